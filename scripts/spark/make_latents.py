"""Encode all training scenes once: both styles, placements, backgrounds, recoloured objects, pairs of objects.

Before that, the latents' mean and spread are folded into the autoencoder, so that the usual 0.18215 holds.
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
        pictures = torch.cat([painter.paint(scene) for scene in scenes[start : start + batch]])
        with torch.autocast(painter.device, torch.bfloat16):
            mean, _ = autoencoder.encode(pictures.to(memory_format=torch.channels_last))
        means.append(mean.float().cpu())
        print(f"encoded {min(start + batch, len(scenes))} of {len(scenes)} scenes", flush=True)
    return torch.cat(means)


def alignment(latents, earlier):
    """The rotation of four-dimensional latents that brings them nearest to `earlier` ones (orthogonal Procrustes)."""
    left, _, right = torch.linalg.svd(earlier.transpose(0, 1).flatten(1) @ latents.transpose(0, 1).flatten(1).T)
    return left @ right


def main(arguments):
    torch.set_num_threads(arguments.threads)
    device, work = choose_device(arguments.device), Path(arguments.work)
    torch.manual_seed(SEED)
    state = torch.load(work / "vae.pt", map_location="cpu")
    autoencoder = Autoencoder(state["channels"])
    autoencoder.load_state_dict(state["average"])
    concepts, pictures = load_concepts(), load_pictures(work)
    usable = ~blank(pictures)
    if arguments.styles == "noto":
        usable[1] = False
    scenes = all_scenes(concepts, usable, arguments)
    painter = Painter(pictures, arguments.side, device, SEED, arguments.smallest)
    latents = encode(autoencoder.to(device, memory_format=torch.channels_last), painter, scenes)
    autoencoder.cpu()
    mean, spread = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    fold_latent_statistics(autoencoder, mean, spread)
    latents = (latents - mean[:, None, None]) / spread[:, None, None]
    if arguments.like:
        from export import load_spark

        earlier = load_spark(arguments.like).autoencoder
        sample = list(range(0, len(scenes), max(1, len(scenes) // 256)))
        painter = Painter(pictures, arguments.side, device, SEED, arguments.smallest)
        shown = torch.cat([painter.paint(scenes[i]) for i in sample]).cpu()
        with torch.no_grad():
            theirs, ours = (model.encode(shown)[0] * LATENT_SCALE for model in (earlier, autoencoder))
        rotation = alignment(ours, theirs)
        rotate_latents(autoencoder, rotation)
        latents = torch.einsum("ij,bjhw->bihw", rotation, latents)
        print(f"rotated towards `{arguments.like}`")
    saved = dict(latents=latents.half(), scenes=scenes, side=arguments.side, vae=autoencoder.state_dict())
    save_atomically(dict(saved, channels=state["channels"], vae_step=state["step"]), work / "latents.pt")
    print(f"latents.pt: {len(scenes)} scenes, mean {latents.mean():.3f}, spread {latents.std():.3f}")


if __name__ == "__main__":
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
    main(parser.parse_args())
