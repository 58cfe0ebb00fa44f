"""Train text encoder and UNet together on the encoded scenes. Run again to continue, with more steps to go on.

`--start-from` takes text encoder and UNet of an earlier spark with the same tokenizer.
"""

import random
import time
from collections import Counter
from pathlib import Path

import torch
from tokenizers import Tokenizer

from concepts import STYLES, article, caption, load_concepts
from muon import Muon, split_parameters
from sampling import SIGNAL
from stage import (
    SEED,
    Average,
    Plan,
    Progress,
    Workers,
    choose_device,
    compiled,
    launch,
    save_atomically,
    stage_arguments,
)
from text_encoder import TextEncoder
from tokenizer import token_numbers
from unet import UNet

EMPTY_SHARE = 0.1


class Captions:
    """A fitting caption for a scene, another one each time."""

    def __init__(self, concepts, tokenizer, seed):
        self.names = [concept.name for concept in concepts]
        self.tokenizer, self.random, self.known = tokenizer, random.Random(seed), {}

    def text(self, scene):
        if self.random.random() < EMPTY_SHARE:
            return ""
        # Noto is what a prompt without a style mostly gives.
        style = STYLES[scene.style] if self.random.random() < (0.4 if scene.style == 0 else 0.85) else ""
        name = self.names[scene.concept]
        if scene.second >= 0:
            second = self.names[scene.second]
            text = f"{article(name)}{name} and {article(second)}{second}"
            return text + (f", {style} style" if style else "")
        # One in four scenes on a background goes without the word, so that seeds vary the background.
        background = scene.background if self.random.random() < 0.75 else ""
        return caption(name, scene.colour, background, style, form=self.random.choice([0, 0, 0, 1, 1, 2, 3, 4]))

    def numbers(self, scenes):
        rows = []
        for scene in scenes:
            text = self.text(scene)
            if text not in self.known:
                self.known[text] = torch.tensor(token_numbers(self.tokenizer, text))
            rows.append(self.known[text])
        return torch.stack(rows)


def step_weights():
    """Weight of each timestep on the noise's squared error, mean 1.

    Min-SNR with gamma 5 (Hang et al. 2023), times 1 + 1 / SNR up to 10: the noisiest steps decide on the colours.
    """
    ratio = (SIGNAL / (1 - SIGNAL)).float()
    weights = (5 / ratio).clamp(max=1) * (1 + 1 / ratio).clamp(max=10)
    return weights / weights.mean()


def sampling_shares(scenes):
    """How often each scene is drawn: every concept and style alike, whatever its number of scenes."""
    keys = [(scene.concept, scene.style, bool(scene.colour), bool(scene.background), scene.second >= 0) for scene in scenes]
    share = {(False, False, False): 1.0, (False, True, False): 0.4, (True, False, False): 0.6, (False, False, True): 0.3}
    counts = Counter(keys)
    return torch.tensor([share[key[2:]] / counts[key] for key in keys])


def endless_choices(shares, count):
    """Numbers of `count` scenes at a time, drawn far ahead, since choosing among so many takes longer than using the choice."""
    while True:
        yield from torch.multinomial(shares, 1000 * count, replacement=True).split(count)


def train(rank, arguments):
    torch.set_num_threads(arguments.threads)
    workers = Workers(rank, arguments.workers, arguments.work)
    device, work = choose_device(arguments.device), Path(arguments.work)
    checkpoint = work / "diffusion.pt"
    torch.manual_seed(SEED)
    data = torch.load(work / "latents.pt", weights_only=False)
    latents, scenes = data["latents"].float().to(device), data["scenes"]
    unet, text_encoder = UNet(), TextEncoder()
    if arguments.start_from and not checkpoint.exists():
        from export import load_spark

        earlier = load_spark(arguments.start_from)
        unet.load_state_dict(earlier.unet.state_dict())
        text_encoder.load_state_dict(earlier.text_encoder.state_dict())
    unet, text_encoder = unet.to(device), text_encoder.to(device)
    named = [("unet." + n, p) for n, p in unet.named_parameters()] + [("text." + n, p) for n, p in text_encoder.named_parameters()]
    parts = split_parameters(named, ("unet.time_embed", "unet.input_blocks.0.", "unet.out.2", "_embedding"))
    optimizer = Muon(*parts, arguments.matrix_rate, arguments.other_rate)
    average = Average(named, 0.998)
    state = torch.load(checkpoint, map_location=device) if checkpoint.exists() else dict(step=0, spent=0.0)
    step = state["step"]
    if step:
        with torch.no_grad():
            for name, parameter in named:
                parameter.copy_(state["raw"][name])
        average.load(state["average"])
        if state["optimizer"]:
            optimizer.load_state_dict(state["optimizer"])
    torch.manual_seed(SEED + 1000 * step + rank)
    captions = Captions(load_concepts(), Tokenizer.from_file(str(work / "tokenizer.json")), SEED + 1000 * step + rank)
    shares, weights, signal = sampling_shares(scenes), step_weights().to(device), SIGNAL.float().to(device)
    choices = endless_choices(shares, arguments.captions)
    progress = Progress(work / "diffusion.log.jsonl", every=arguments.line_every)
    parameters = [parameter for _, parameter in named]

    def loss_of(tokens, clean, timesteps):
        clean = clean.repeat(arguments.repeats, 1, 1, 1)
        noise = torch.randn_like(clean)
        part = signal[timesteps][:, None, None, None]
        noisy = part.sqrt() * clean + (1 - part).sqrt() * noise
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            guess = unet(noisy, timesteps, text_encoder(tokens)).float()
        errors = (guess - noise).square().mean((1, 2, 3))
        return (errors * weights[timesteps]).mean(), errors.detach()

    def draw():
        """Token numbers, latents, and timesteps: one in each of as many equal ranges, so that a step sees all noise levels."""
        chosen = next(choices)
        count = arguments.captions * arguments.repeats
        timesteps = ((torch.randperm(count) + torch.rand(count)) / count * 1000).long().clamp(0, 999)
        tokens = captions.numbers([scenes[i] for i in chosen.tolist()])
        return tokens.to(device), latents[chosen.to(device)], timesteps.to(device)

    loss_of = compiled(loss_of, arguments.compile, *draw())
    plan = Plan(arguments, step, state["spent"])
    saved = time.monotonic()

    def save():
        raw = {name: parameter.detach() for name, parameter in named}
        kept = dict(raw=raw, average=average.values, optimizer=optimizer.state_dict(), step=step, spent=plan.spent)
        save_atomically(kept, checkpoint)

    while workers.all_agree(plan.goes_on(step)):
        optimizer.set_rate(plan.learning_rate(step))
        tokens, clean, timesteps = draw()
        loss, errors = loss_of(tokens, clean, timesteps)
        optimizer.zero_grad()
        loss.backward()
        workers.average_gradients(parameters)
        optimizer.step()
        step += 1
        average.update(step + 100 * bool(arguments.start_from))
        if workers.first:
            early = (errors * (timesteps > 700)).sum() / (timesteps > 700).sum()
            progress.step(step, loss=loss.detach(), error=errors.mean(), error_above_700=early)
            if time.monotonic() - saved > arguments.save_every:
                save()
                saved = time.monotonic()
    if workers.first:
        save()
    return plan.fraction(step) >= 1


def options():
    parser = stage_arguments(__doc__, steps=20000)
    parser.add_argument("--captions", type=int, default=64, help="scenes per worker and step")
    parser.add_argument("--repeats", type=int, default=3, help="timesteps per scene: the text is encoded once for all")
    parser.add_argument("--matrix-rate", type=float, default=0.015, help="Muon's learning rate")
    parser.add_argument("--other-rate", type=float, default=2e-3, help="AdamW's learning rate")
    parser.add_argument("--line-every", type=int, default=20, help="steps between progress lines")
    parser.add_argument("--start-from", metavar="FILE", help="an earlier spark.safetensors")
    return parser


if __name__ == "__main__":
    launch(train, options().parse_args())
