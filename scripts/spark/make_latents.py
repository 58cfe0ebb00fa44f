"""Encode all training scenes once: both styles, placements, backgrounds, recoloured objects, pairs of objects.

Before that, the latents' mean and spread are folded into the autoencoder, so that the usual 0.18215 holds: `folded.pt`.
"""

import argparse
from pathlib import Path

import torch

from concepts import TIERS, load_concepts
from pictures import blank, load_pictures
from sampling import LATENT_SCALE
from scenes import Painter, all_scenes
from stage import SEED, choose_device, save_atomically
from vae import Autoencoder, fold_latent_statistics, rotate_latents


@torch.no_grad()
def encode(autoencoder, painter, scenes, batch=64):
    """Means of the latents `[scenes, 4, side / 8, side / 8]`."""
    means = []
    for start in range(0, len(scenes), batch):
        pictures = painter.paint(scenes[start : start + batch])
        with torch.autocast(pictures.device.type, torch.bfloat16):
            mean, _ = autoencoder.encode(pictures.contiguous(memory_format=torch.channels_last))
        means.append(mean.float().cpu())
        if start // batch % 16 == 0:
            print(f"encoded {min(start + batch, len(scenes))} of {len(scenes)} scenes", flush=True)
    return torch.cat(means)


def alignment(latents, earlier):
    """The rotation of four-dimensional latents that brings them nearest to `earlier` ones (orthogonal Procrustes)."""
    left, _, right = torch.linalg.svd(earlier.transpose(0, 1).flatten(1) @ latents.transpose(0, 1).flatten(1).T)
    return left @ right


@torch.no_grad()
def fold(autoencoder, painter, scenes, like):
    """Give the latents mean 0 and variance 1 at the usual scale, and turn them towards those of the spark in file `like`."""
    latents = encode(autoencoder, painter, scenes)
    device = painter.pictures.device
    autoencoder.cpu()
    fold_latent_statistics(autoencoder, latents.mean((0, 2, 3)), latents.std((0, 2, 3)))
    if like:
        from export import load_spark

        shown = painter.paint(scenes[:256]).cpu()
        theirs, ours = (model.encode(shown)[0] for model in (load_spark(like).autoencoder, autoencoder))
        rotate_latents(autoencoder, alignment(ours, theirs))
        print(f"rotated towards `{like}`")
    autoencoder.to(device)


def make(arguments):
    torch.set_num_threads(arguments.threads)
    device, work = choose_device(arguments.device), Path(arguments.work)
    torch.manual_seed(SEED)
    state = torch.load(work / "vae.pt", map_location="cpu")
    autoencoder = Autoencoder(state["channels"])
    autoencoder.load_state_dict(state["average"])
    encoder = {name: tensor.clone() for name, tensor in autoencoder.state_dict().items() if name.startswith("encoder.")}
    autoencoder.to(device, memory_format=torch.channels_last)
    concepts, pictures = load_concepts(), load_pictures(work, device)
    usable = ~blank(pictures)
    if arguments.styles == "noto":
        usable[1] = False
    scenes = all_scenes(concepts, usable, arguments)
    painter = Painter(pictures, arguments.side, SEED, arguments.smallest)
    folded = torch.load(work / "folded.pt", map_location="cpu") if (work / "folded.pt").exists() else None
    if folded and all(torch.equal(tensor, folded["encoder"][name]) for name, tensor in encoder.items()):
        autoencoder.load_state_dict(folded["vae"])
    else:
        order = torch.randperm(len(scenes))[:1024].tolist()
        fold(autoencoder, painter, [scenes[i] for i in order], arguments.like)
        kept = {name: tensor.cpu() for name, tensor in autoencoder.state_dict().items()}
        folded = dict(vae=kept, encoder=encoder, side=arguments.side, scenes=len(scenes), vae_step=state["vae_step"])
        save_atomically(folded, work / "folded.pt")
    latents = encode(autoencoder, painter, scenes) * LATENT_SCALE
    save_atomically(dict(latents=latents.half(), scenes=scenes), work / "latents.pt")
    print(f"latents.pt: {len(scenes)} scenes, mean {latents.mean():.3f}, spread {latents.std():.3f}")


def options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", default="target/spark", help="folder of pictures and checkpoints")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--side", type=int, default=128, choices=[64, 128], help="pixels of the training pictures")
    parser.add_argument("--tiers", default="all", choices=list(TIERS), help="which concepts of concepts.tsv")
    parser.add_argument("--styles", default="both", choices=["both", "noto"])
    parser.add_argument("--smallest", type=float, default=0.74, help="smallest size of an object on its picture")
    parser.add_argument("--placements", type=int, default=6, help="white scenes of each concept and style")
    parser.add_argument("--backgrounds", type=int, default=3, help="scenes on named backgrounds")
    parser.add_argument("--recoloured", type=int, default=3, help="scenes in each colour")
    parser.add_argument("--pairs", type=int, default=2000, help="scenes of two objects")
    parser.add_argument("--like", metavar="FILE", help="turn the latents towards those of an earlier spark, to start from it")
    return parser


if __name__ == "__main__":
    make(options().parse_args())
