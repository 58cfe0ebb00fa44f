"""Train the autoencoder on pictures of single objects, on many backgrounds and in other colours too.

Chroma counts three times in the loss from the first step. Run again to continue; `--side` may grow on the way, since
the network is convolutional: many cheap steps at 64 px, then fewer at 128.
"""

import argparse
import math
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from colour import delta_e, opponent
from concepts import BACKGROUNDS, HUES, TIERS, load_concepts
from muon import Muon, split_parameters
from pictures import blank, load_pictures, on_background, place, recolour
from stage import SEED, Average, Progress, Workers, choose_device, launch, learning_rate, save_atomically
from vae import Autoencoder, pass_colours_through

CHANNELS = (64, 64, 96, 96)
CHROMA_WEIGHT = 3.0
KL_WEIGHT = 1e-4


class Batches:
    """Random training pictures in -1..1."""

    def __init__(self, pictures, concepts, tiers, styles, smallest, seed):
        pictures = pictures[: 1 if styles == "noto" else 2]
        usable = torch.tensor([concept.tier in TIERS[tiers] for concept in concepts])
        self.smallest = smallest
        self.all = pictures[:, usable].flatten(0, 1)
        self.all = self.all[~blank(self.all)]
        self.recolourable = pictures[:, torch.tensor([concept.recolour for concept in concepts])].flatten(0, 1)
        self.palette = torch.tensor(list(BACKGROUNDS.values())) / 255
        self.generator = torch.Generator().manual_seed(seed)

    def integer(self, low, high):
        return int(torch.randint(low, high, (), generator=self.generator))

    def sources(self, count):
        """Mostly the pictures as they are, every sixth time recoloured ones."""
        if self.integer(0, 6) == 0:
            chosen = torch.randint(len(self.recolourable), (count,), generator=self.generator)
            return recolour(self.recolourable[chosen].float() / 255, list(HUES)[self.integer(0, len(HUES))])
        chosen = torch.randint(len(self.all), (count,), generator=self.generator)
        return self.all[chosen].float() / 255

    def backgrounds(self, count):
        named = self.palette[torch.randint(len(self.palette), (count,), generator=self.generator)]
        free = torch.rand(count, 3, generator=self.generator)
        kind = torch.rand(count, 1, generator=self.generator)
        return torch.where(kind < 0.5, torch.ones_like(free), torch.where(kind < 0.85, named, free))

    def draw(self, count, side):
        size = self.integer(round(side * self.smallest), side + 1)
        top, left = self.integer(0, side - size + 1), self.integer(0, side - size + 1)
        return on_background(place(self.sources(count), size, top, left, side), self.backgrounds(count))


def edges(difference):
    return (difference[..., 1:, :] - difference[..., :-1, :]).abs().mean() + (
        difference[..., 1:] - difference[..., :-1]
    ).abs().mean()


def reconstruction_loss(output, target):
    difference = output - target
    shifted = opponent(difference)
    luma, chroma = shifted[:, :1], shifted[:, 1:]
    wide = opponent(F.avg_pool2d(difference, 4))
    absolute = luma.abs().mean() + CHROMA_WEIGHT * chroma.abs().mean()
    coarse = wide[:, :1].abs().mean() + CHROMA_WEIGHT * wide[:, 1:].abs().mean()
    return absolute + 0.5 * coarse + 0.5 * edges(difference) + difference.square().mean()


def held_out(pictures, concepts, side):
    """The held-out pictures on white, RGB in -1..1, and their opacity `[n, side, side]`."""
    chosen = pictures[:, torch.tensor([concept.tier == "heldout" for concept in concepts])].flatten(0, 1).float() / 255
    chosen = place(chosen, side, 0, 0, side)
    return on_background(chosen, torch.ones(len(chosen), 3)), chosen[:, 3]


@torch.no_grad()
def measure(autoencoder, pictures, opacity, batch=10):
    """Mean PSNR in dB over whole pictures, and mean CIE76 difference over the opaque area."""
    psnr, differences = [], []
    device = next(autoencoder.parameters()).device
    for target, alpha in zip(pictures.split(batch), opacity.split(batch)):
        with torch.autocast(device.type, torch.bfloat16):
            mean, _ = autoencoder.encode(target.to(device))
            output = autoencoder.decode(mean)
        output = output.float().cpu().clamp(-1, 1)
        psnr += [10 * math.log10(4 / max(error, 1e-9)) for error in (output - target).square().mean((1, 2, 3)).tolist()]
        difference = delta_e((output + 1) / 2, (target + 1) / 2)
        differences += [d[a > 0.5].mean().item() for d, a in zip(difference, alpha)]
    return sum(psnr) / len(psnr), sum(differences) / len(differences)


def train(rank, arguments):
    torch.set_num_threads(arguments.threads)
    workers = Workers(rank, arguments.workers, arguments.work)
    device = choose_device(arguments.device)
    work = Path(arguments.work)
    checkpoint = work / "vae.pt"
    torch.manual_seed(SEED)
    concepts, pictures = load_concepts(), load_pictures(work)
    autoencoder = Autoencoder(CHANNELS)
    if not arguments.plain_start:
        pass_colours_through(autoencoder, arguments.side)
    autoencoder = autoencoder.to(device, memory_format=torch.channels_last)
    matrices, others = split_parameters(autoencoder.named_parameters(), ("conv_in", "conv_out", "quant_conv"))
    optimizer = Muon(matrices, others, matrix_rate=0.004, other_rate=7e-4)
    average = Average(autoencoder.named_parameters(), 0.995)
    step = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device)
        autoencoder.load_state_dict(state["raw"])
        average.values.update(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    batches = Batches(pictures, concepts, arguments.tiers, arguments.styles, arguments.smallest, SEED + 1000 * step + rank)
    test = held_out(pictures, concepts, arguments.side)
    progress = Progress(work / "vae.log.jsonl", every=10)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    first_step, saved = step, time.monotonic()

    def save():
        state = dict(raw=autoencoder.state_dict(), average=average.values, optimizer=optimizer.state_dict())
        save_atomically(dict(state, step=step, channels=CHANNELS), checkpoint)
        shown = Autoencoder(CHANNELS).to(device, memory_format=torch.channels_last)
        shown.load_state_dict(average.values)
        psnr, difference = measure(shown, *test)
        progress.note(step=step, held_out_psnr=round(psnr, 2), held_out_delta_e=round(difference, 2))

    while step < arguments.steps:
        optimizer.set_rate(learning_rate(step, arguments.steps, step - first_step))
        picture = batches.draw(arguments.batch, arguments.side).to(device, memory_format=torch.channels_last)
        with torch.autocast(device, torch.bfloat16):
            mean, log_variance = autoencoder.encode(picture)
            mean, log_variance = mean.float(), log_variance.float().clamp(-20, 10)
            latent = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
            output = autoencoder.decode(latent).float()
        loss = reconstruction_loss(output, picture)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        optimizer.zero_grad()
        (loss + KL_WEIGHT * divergence).backward()
        workers.average_gradients(parameters)
        optimizer.step()
        step += 1
        average.update(step)
        error = (output.detach() - picture).square().mean().item()
        if workers.first:
            progress.step(step, loss=loss.item(), psnr=10 * math.log10(4 / error), kl=divergence.item())
            if time.monotonic() - saved > arguments.save_every:
                save()
                saved = time.monotonic()
    if workers.first:
        save()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", default="target/spark", help="folder of pictures and checkpoints")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--steps", type=int, default=20000, help="steps over all runs; run again with more to go on")
    parser.add_argument("--tiers", default="all", choices=list(TIERS), help="which concepts of concepts.tsv")
    parser.add_argument("--styles", default="both", choices=["both", "noto"])
    parser.add_argument("--smallest", type=float, default=0.7, help="smallest size of an object on its picture")
    parser.add_argument("--batch", type=int, default=8, help="pictures per worker and step")
    parser.add_argument("--side", type=int, default=128, choices=[64, 128], help="pixels of the training pictures")
    parser.add_argument("--workers", type=int, default=1, help="processes on the CPU")
    parser.add_argument("--threads", type=int, default=2, help="threads of each worker")
    parser.add_argument("--save-every", type=float, default=180, help="seconds between checkpoints")
    parser.add_argument("--plain-start", action="store_true", help="start from random weights alone (for comparison)")
    launch(train, parser.parse_args())
