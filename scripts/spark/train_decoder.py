"""Go on training only the decoder of a finished spark; its encoder, text encoder and UNet stay as they are.

What the UNet draws keeps its meaning, so this stage may follow at any time, and may be repeated. It sees the scenes of
the given tiers in the styles the UNet knows, as the encoder gives them, with a little noise, since a UNet's latents are
never quite those of the encoder. Run again to continue.
"""

import argparse
import math
import os
import time
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from concepts import TIERS, load_concepts
from export import VAE, load_spark
from muon import Muon, split_parameters
from pictures import blank, load_pictures
from scenes import Painter, all_scenes
from stage import SEED, Average, Progress, choose_device, learning_rate, save_atomically
from train_vae import reconstruction_loss

NOISE = 0.15
TRAINED = ("decoder.", "post_quant_conv.")


@torch.no_grad()
def scenes_and_latents(autoencoder, arguments, device):
    """Pictures `[n, 3, side, side]`, their latents, and how often each is drawn."""
    pictures = load_pictures(arguments.work)
    usable = ~blank(pictures)
    if arguments.styles == "noto":
        usable[1] = False
    scenes = all_scenes(load_concepts(), usable, arguments)
    painter = Painter(pictures, arguments.side, device, SEED, arguments.smallest)
    shown = torch.cat([painter.paint(scene) for scene in scenes])
    latents = torch.cat([autoencoder.encode(part)[0] for part in shown.split(32)])
    shares = torch.tensor([0.5 if scene.colour or scene.background else 1.0 for scene in scenes])
    return shown, latents, shares


def write(path, source, values):
    """A copy of the checkpoint `source` with the decoder's tensors replaced."""
    with safe_open(source, "pt") as file:
        tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()
    for name, value in values.items():
        tensors[VAE + name] = value.to(tensors[VAE + name].dtype).reshape(tensors[VAE + name].shape).contiguous()
    save_file(tensors, str(path) + ".part", metadata=metadata)
    os.replace(str(path) + ".part", path)


def main(arguments):
    torch.set_num_threads(arguments.threads)
    device, work = choose_device(arguments.device), Path(arguments.work)
    checkpoint = work / "decoder.pt"
    torch.manual_seed(SEED)
    spark = load_spark(arguments.start_from)
    arguments.side = spark.side
    autoencoder = spark.autoencoder.to(device, memory_format=torch.channels_last)
    shown, latents, shares = scenes_and_latents(autoencoder, arguments, device)
    named = [(name, p) for name, p in autoencoder.named_parameters() if name.startswith(TRAINED)]
    matrices, others = split_parameters(named, ("conv_in", "conv_out", "quant_conv"))
    optimizer = Muon(matrices, others, matrix_rate=0.008, other_rate=1e-3)
    average, step = Average(named, 0.98), 0
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device)
        autoencoder.load_state_dict(state["raw"], strict=False)
        average.values.update(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
        torch.manual_seed(SEED + step)
    progress = Progress(work / "decoder.log.jsonl", every=10)
    progress.note(step=step, scenes=len(shown))
    first_step, saved = step, time.monotonic()

    def save():
        raw = {name: parameter.detach() for name, parameter in named}
        save_atomically(dict(raw=raw, average=average.values, optimizer=optimizer.state_dict(), step=step), checkpoint)
        write(Path(arguments.out), arguments.start_from, {name: value.cpu() for name, value in average.values.items()})

    while step < arguments.steps:
        optimizer.set_rate(learning_rate(step, arguments.steps, step - first_step, hold=0.1))
        chosen = torch.multinomial(shares, arguments.batch)
        target, latent = shown[chosen].to(memory_format=torch.channels_last), latents[chosen]
        strength = torch.rand(len(chosen), 1, 1, 1, device=device) * NOISE * latents.std()
        with torch.autocast(device, torch.bfloat16):
            output = autoencoder.decode(latent + torch.randn_like(latent) * strength).float()
        loss = reconstruction_loss(output, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        average.update(step)
        error = (output.detach() - target).square().mean().item()
        progress.step(step, loss=loss.item(), psnr=10 * math.log10(4 / error))
        if time.monotonic() - saved > arguments.save_every:
            save()
            saved = time.monotonic()
    save()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", default="target/spark", help="folder of pictures and checkpoints")
    parser.add_argument("--start-from", default="target/spark/out/spark.safetensors", metavar="FILE", help="a finished spark")
    parser.add_argument("--out", default="target/spark/out/spark-decoder.safetensors", help="the same with the new decoder")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=4000, help="steps over all runs; run again with more to go on")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--tiers", default="all", choices=list(TIERS), help="which concepts of concepts.tsv")
    parser.add_argument("--styles", default="both", choices=["both", "noto"])
    parser.add_argument("--smallest", type=float, default=0.74, help="smallest size of an object, as the UNet learned it")
    parser.add_argument("--placements", type=int, default=6, help="white scenes of each concept and style")
    parser.add_argument("--backgrounds", type=int, default=3, help="scenes on named backgrounds")
    parser.add_argument("--recoloured", type=int, default=2, help="scenes in each colour")
    parser.add_argument("--pairs", type=int, default=500, help="scenes of two objects")
    parser.add_argument("--save-every", type=float, default=180, help="seconds between checkpoints")
    main(parser.parse_args())
