"""A labelled sheet of pictures drawn by a finished spark: usual prompts in both styles, colours, backgrounds, seeds."""

import argparse

import torch
from PIL import Image, ImageDraw

from draw import Artist

PROMPTS = [
    *("an apple", "a banana", "a cat face", "a car", "a sun", "a star", "a heart", "a fish", "a sunflower", "a rocket"),
    *("a crescent moon", "a cloud", "a rainbow", "a mushroom", "a strawberry", "a watermelon", "a carrot", "a pineapple"),
    *("cherries", "a hamburger", "an ice cream", "a birthday cake", "an egg", "a butterfly", "a frog", "an owl", "a lion"),
    *("a tiger face", "an elephant", "a crab", "a snail", "a rose", "a tulip", "a cactus", "a palm tree", "a maple leaf"),
    *("an umbrella", "a snowman", "a snowflake", "a fire", "a balloon", "a ghost", "a robot", "an alien", "a skull"),
    *("a smiley", "a face with sunglasses", "an angry face", "a soccer ball", "a bus", "a bicycle", "a traffic light"),
    *("a stop sign", "a taxi", "a tractor", "a helicopter", "a planet", "an earth", "a volcano", "a castle"),
    *("a banana, noto style", "a banana, flat style", "a penguin, noto style", "a penguin, flat style"),
    *("a red car", "a yellow car", "a green car", "a blue car", "a pink car", "a purple car"),
    *("a blue apple", "an orange book", "a pink butterfly", "a green star", "a purple mushroom", "a red frog"),
    *("a fox on a green background", "a pizza on a dark background", "a cat face and a soccer ball"),
]
COLUMNS, GAP, LABEL = 10, 6, 14


def sheet(pictures, labels, cell):
    """RGB pictures `[n, 3, h, w]` in 0..1, scaled to `cell` pixels, each with its label below."""
    rows = -(-len(labels) // COLUMNS)
    image = Image.new("RGB", (COLUMNS * (cell + GAP), rows * (cell + LABEL + GAP)), "white")
    draw = ImageDraw.Draw(image)
    for i, (picture, label) in enumerate(zip(pictures, labels)):
        left, top = (i % COLUMNS) * (cell + GAP), (i // COLUMNS) * (cell + LABEL + GAP)
        pixels = (picture.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
        image.paste(Image.fromarray(pixels).resize((cell, cell), Image.Resampling.BICUBIC), (left, top))
        draw.text((left + 2, top + cell + 1), label[:24], fill="black")
    return image


def main(arguments):
    torch.set_num_threads(arguments.threads)
    artist = Artist(arguments.model, arguments.engine)
    prompts = PROMPTS[: arguments.prompts]
    pictures = torch.stack([artist.draw(prompt, arguments.seed) for prompt in prompts])
    sheet(pictures, prompts, 128).save(arguments.out)
    print(f"{arguments.out}: {len(prompts)} pictures")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="target/spark/out/spark.safetensors", help="a finished spark")
    parser.add_argument("--engine", metavar="PROGRAM", help="draw with this `fieldforge` instead of with torch")
    parser.add_argument("--out", default="target/spark/out/contact_sheet.png")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--prompts", type=int, default=len(PROMPTS), help="only the first so many")
    parser.add_argument("--threads", type=int, default=2)
    main(parser.parse_args())
