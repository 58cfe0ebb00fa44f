"""Train the autoencoder on pictures of objects, on many backgrounds and in other colours too.

Chroma counts three times in the loss from the first step. Run again to continue; `--side` may grow on the way, since
the network is convolutional. With `--only-decoder` the latents stay what they are, so that this may follow at any time
after the UNet was trained on them.
"""

import math
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from colour import delta_e, opponent
from concepts import BACKGROUNDS, TIERS, load_concepts
from muon import Muon, split_parameters
from pictures import COLOURS, blank, load_pictures, on_background, place, recolour, shrink_to, turn_hues
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
from vae import Autoencoder, pass_colours_through

CHANNELS = (64, 96, 96, 96)
CHROMA_WEIGHT = 3.0
SQUARE_WEIGHT = 8.0
KL_WEIGHT = 1e-4
# A UNet's latents are never quite those of the encoder; in parts of their spread.
DECODER_NOISE = 0.1


class Batches:
    """Random training pictures in -1..1, painted on the device that holds the pictures.

    An object of its own colours, recoloured (a sixth) or with all hues turned (a sixth), upright or (half) turned in
    one of eight ways, for half of the pictures above another object: the more is on a picture, the more is learned from it.
    """

    def __init__(self, pictures, concepts, tiers, styles, smallest, side, seed):
        pictures = pictures[: 1 if styles == "noto" else 2]
        usable = torch.tensor([concept.tier in TIERS[tiers] for concept in concepts])
        self.all = pictures[:, usable].flatten(0, 1)
        self.all = self.all[~blank(self.all)]
        self.smallest, self.side, self.device = smallest, side, pictures.device
        self.palette = torch.tensor(list(BACKGROUNDS.values()), device=self.device) / 255
        self.generator = torch.Generator(self.device).manual_seed(seed)

    def integers(self, limit, count):
        return torch.randint(limit, (count,), generator=self.generator, device=self.device)

    def random(self, *shape):
        return torch.rand(*shape, generator=self.generator, device=self.device)

    def part(self, count, share):
        """About `share` of `count`, as a number that the device need not be asked for."""
        return int(count * share + torch.rand(()).item())

    def objects(self, count):
        """The first ones have other colours; their order tells nothing, since each is drawn by chance."""
        chosen = self.all[self.integers(len(self.all), count)].float() / 255
        named, turned = self.part(count, 1 / 6), self.part(count, 1 / 6)
        named, turned = min(named, count), min(turned, count - named)
        if named:
            chosen[:named] = recolour(chosen[:named], self.integers(len(COLOURS), named))
        if turned:
            chosen[named : named + turned] = turn_hues(chosen[named : named + turned], 360 * self.random(turned))
        return chosen

    def layer(self, count, low, high):
        size = low + (high - low) * self.random(count)
        quarter = (self.integers(4, count) * (self.random(count) < 0.5)).float() * (math.pi / 2)
        mirror = torch.where(self.random(count) < 0.5, -1.0, 1.0)
        turns = torch.stack([quarter.cos() * mirror, -quarter.sin(), quarter.sin() * mirror, quarter.cos()], 1).view(-1, 2, 2)
        room = 1 - size
        return place(self.objects(count), size, self.random(count) * room, self.random(count) * room, turns)

    def backgrounds(self, count):
        named = self.palette[self.integers(len(self.palette), count)]
        free = self.random(count, 3)
        kind = self.random(count, 1)
        return torch.where(kind < 0.5, torch.ones_like(free), torch.where(kind < 0.85, named, free))

    @torch.no_grad()
    def draw(self, count):
        layer = self.layer(count, self.smallest, 1.05)
        below = min(self.part(count, 0.5), count)
        if below:
            top = layer[-below:]
            layer[-below:] = top + (1 - top[:, 3:]) * self.layer(below, 0.5, 1.6)
        return shrink_to(on_background(layer, self.backgrounds(count)), self.side)


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
    return absolute + 0.5 * coarse + 0.5 * edges(difference) + SQUARE_WEIGHT * difference.square().mean()


def held_out(pictures, concepts, side):
    """The held-out pictures on white, RGB in -1..1, and their opacity `[n, side, side]`."""
    chosen = pictures[:, torch.tensor([concept.tier == "heldout" for concept in concepts])].flatten(0, 1)
    chosen = shrink_to(chosen[~blank(chosen)].float() / 255, side)
    return on_background(chosen, torch.ones(len(chosen), 3, device=chosen.device)), chosen[:, 3]


@torch.no_grad()
def measure(autoencoder, pictures, opacity, batch=10):
    """Mean PSNR in dB over whole pictures, and mean CIE76 difference over the opaque area."""
    psnr, differences = [], []
    device = next(autoencoder.parameters()).device
    for target, alpha in zip(pictures.split(batch), opacity.split(batch)):
        mean, _ = autoencoder.encode(target.to(device))
        output = autoencoder.decode(mean).clamp(-1, 1)
        psnr += [10 * math.log10(4 / max(error, 1e-9)) for error in (output - target).square().mean((1, 2, 3)).tolist()]
        difference = delta_e((output + 1) / 2, (target + 1) / 2)
        differences += [d[a > 0.5].mean().item() for d, a in zip(difference, alpha)]
    return sum(psnr) / len(psnr), sum(differences) / len(differences)


def train(rank, arguments):
    torch.set_num_threads(arguments.threads)
    workers = Workers(rank, arguments.workers, arguments.work)
    device, work = choose_device(arguments.device), Path(arguments.work)
    checkpoint = work / "vae.pt"
    torch.manual_seed(SEED)
    concepts, pictures = load_concepts(), load_pictures(work, device)
    autoencoder = Autoencoder(CHANNELS)
    if not arguments.plain_start:
        pass_colours_through(autoencoder, arguments.side)
    autoencoder = autoencoder.to(device, memory_format=torch.channels_last)
    state = torch.load(checkpoint, map_location=device) if checkpoint.exists() else dict(step=0, spent={})
    stage = "decoder" if arguments.only_decoder else "vae"
    step, step_name = state.get(f"{stage}_step", 0), f"{stage}_step"
    if "raw" in state:
        # Once the encoder is settled, its average is what counts.
        autoencoder.load_state_dict(state["average" if arguments.only_decoder and step == 0 else "raw"])
    named = list(autoencoder.named_parameters())
    if arguments.only_decoder:
        for name, parameter in named:
            parameter.requires_grad_(name.startswith("decoder."))
        named = [(name, parameter) for name, parameter in named if parameter.requires_grad]
    average = Average(named, 0.998)
    size = arguments.batch * arguments.workers
    factor = min(2.0, max(0.7, (size / 16) ** 0.5))
    optimizer = Muon(*split_parameters(named, ("conv_in", "conv_out", "quant_conv")), 0.004 * factor, 7e-4 * factor)
    if "raw" in state:
        average.load(state["average"])
        if state.get("optimizer_of") == stage:
            optimizer.load_state_dict(state["optimizer"])
    torch.manual_seed(SEED + 1000 * step + rank)
    seed = SEED + 1000 * step + rank
    batches = Batches(pictures, concepts, arguments.tiers, arguments.styles, arguments.smallest, arguments.side, seed)
    test = held_out(pictures, concepts, arguments.side)
    progress = Progress(work / f"{stage}.log.jsonl", every=arguments.line_every)
    parameters = [parameter for _, parameter in named]

    def loss_of(picture):
        with torch.autocast(device, torch.bfloat16):
            mean, log_variance = autoencoder.encode(picture)
            mean, log_variance = mean.float(), log_variance.float().clamp(-20, 10)
            if arguments.only_decoder:
                strength = torch.rand(len(mean), 1, 1, 1, device=device) * DECODER_NOISE * mean.std()
            else:
                strength = (0.5 * log_variance).exp()
            output = autoencoder.decode(mean + torch.randn_like(mean) * strength).float()
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        loss = reconstruction_loss(output, picture) + KL_WEIGHT * divergence
        return loss, (output.detach() - picture).square().mean(), divergence.detach()

    def draw():
        return batches.draw(arguments.batch).contiguous(memory_format=torch.channels_last)

    loss_of = compiled(loss_of, arguments.compile, draw())
    plan = Plan(arguments, step, state["spent"].get(stage, 0.0))
    saved = time.monotonic()

    def save():
        whole = dict(autoencoder.state_dict(), **average.values)
        spent = dict(state["spent"], **{stage: plan.spent})
        kept = dict(state, raw=autoencoder.state_dict(), average=whole, optimizer=optimizer.state_dict(), optimizer_of=stage)
        save_atomically(dict(kept, **{step_name: step, "spent": spent, "channels": CHANNELS}), checkpoint)
        shown = Autoencoder(CHANNELS).to(device, memory_format=torch.channels_last)
        shown.load_state_dict(whole)
        psnr, difference = measure(shown, *test)
        progress.note(step=step, held_out_psnr=round(psnr, 2), held_out_delta_e=round(difference, 2))

    while workers.all_agree(plan.goes_on(step)):
        optimizer.set_rate(plan.learning_rate(step))
        loss, error, divergence = loss_of(draw())
        optimizer.zero_grad()
        loss.backward()
        workers.average_gradients(parameters)
        optimizer.step()
        step += 1
        average.update(step)
        if workers.first:
            progress.step(step, loss=loss.detach(), psnr=-10 * torch.log10(error / 4), kl=divergence)
            if time.monotonic() - saved > arguments.save_every:
                save()
                saved = time.monotonic()
    if workers.first:
        save()
    return plan.fraction(step) >= 1


def options():
    parser = stage_arguments(__doc__, steps=20000)
    parser.add_argument("--tiers", default="all", choices=list(TIERS), help="which concepts of concepts.tsv")
    parser.add_argument("--styles", default="both", choices=["both", "noto"])
    parser.add_argument("--smallest", type=float, default=0.7, help="smallest size of the upper object on a picture")
    parser.add_argument("--batch", type=int, default=8, help="pictures per worker and step")
    parser.add_argument("--side", type=int, default=128, choices=[64, 128], help="pixels of the training pictures")
    parser.add_argument("--line-every", type=int, default=10, help="steps between progress lines")
    parser.add_argument("--plain-start", action="store_true", help="start from random weights alone (for comparison)")
    parser.add_argument("--only-decoder", action="store_true", help="leave the encoder and its latents as they are")
    return parser


if __name__ == "__main__":
    launch(train, options().parse_args())
