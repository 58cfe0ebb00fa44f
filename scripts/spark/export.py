"""Write the finished model as one fp16 file in the single-file layout, and read such files back."""

import argparse
import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from text_encoder import HEAD_SIZE, TOKENS, TextEncoder
from unet import GROUPS, HEADS, UNet
from vae import Autoencoder

UNET, TEXT, VAE = "model.diffusion_model.", "cond_stage_model.transformer.", "first_stage_model."
FILE_NAME = "spark.safetensors"


@dataclass
class Spark:
    unet: UNet
    text_encoder: TextEncoder
    autoencoder: Autoencoder
    side: int


def load_spark(path):
    """The three networks of a file, in f32 on the CPU; every dimension is read from the tensors' shapes."""
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name).float() for name in file.keys()}
        side = int(file.metadata()["resolution"])
    shape = lambda name: tensors[name].shape  # noqa: E731
    levels = 1 + max(int(match[1]) for name in tensors if (match := re.match(VAE + r"encoder\.down\.(\d+)\.", name)))
    channels = tuple(shape(f"{VAE}encoder.down.{i}.block.0.conv1.weight")[0] for i in range(levels))
    layers = 1 + max(int(match[1]) for name in tensors if (match := re.match(TEXT + r".*layers\.(\d+)\.", name)))
    vocabulary, width = shape(f"{TEXT}text_model.embeddings.token_embedding.weight")
    blocks = [f"{UNET}input_blocks.{i}.0.out_layers.3.weight" for i in (1, 3, 5)]
    spark = Spark(
        UNet(tuple(shape(name)[0] for name in blocks), width),
        TextEncoder(vocabulary, width, layers),
        Autoencoder(channels),
        side,
    )
    for prefix, part in ((UNET, spark.unet), (TEXT, spark.text_encoder), (VAE, spark.autoencoder)):
        part.load_state_dict({name: tensors.pop(prefix + name) for name in part.state_dict()})
        part.eval()
    if tensors:
        raise ValueError(f"`{path}` has tensors of no known part: {sorted(tensors)[:3]}")
    return spark


def main(arguments):
    work, out = Path(arguments.work), Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    latents = torch.load(work / "latents.pt", weights_only=False, map_location="cpu")
    diffusion = torch.load(work / "diffusion.pt", map_location="cpu")
    tensors = {VAE + name: tensor for name, tensor in latents["vae"].items()}
    for name, tensor in diffusion["average"].items():
        part, name = name.split(".", 1)
        tensors[(UNET if part == "unet" else TEXT) + name] = tensor
    tensors = {name: tensor.half().contiguous() for name, tensor in sorted(tensors.items())}
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"`{name}` does not fit in half precision")
    metadata = dict(
        format="pt", name="spark", license="MIT OR Apache-2.0", resolution=latents["side"], prediction="epsilon",
        scaling_factor=0.18215, clip_heads=tensors[f"{TEXT}text_model.final_layer_norm.weight"].numel() // HEAD_SIZE,
        clip_act="quick_gelu", unet_heads=HEADS, norm_groups=GROUPS, tokens=TOKENS,
    )  # fmt: skip
    path = out / FILE_NAME
    save_file(tensors, str(path) + ".part", metadata={name: str(value) for name, value in metadata.items()})
    os.replace(str(path) + ".part", path)
    shutil.copyfile(work / "tokenizer.json", out / "tokenizer.json")
    spark = load_spark(path)
    info = dict(
        file=FILE_NAME,
        bytes=path.stat().st_size,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        resolution=latents["side"],
        parameters={
            name: sum(p.numel() for p in part.parameters())
            for name, part in (("unet", spark.unet), ("text_encoder", spark.text_encoder), ("autoencoder", spark.autoencoder))
        },
        autoencoder_channels=list(latents["channels"]),
        scenes=len(latents["scenes"]),
        autoencoder_steps=latents["vae_step"],
        diffusion_steps=diffusion["step"],
    )
    (out / "spark_info.json").write_text(json.dumps(info, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(info, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", default="target/spark", help="folder of latents and checkpoints")
    parser.add_argument("--out", default="target/spark/out", help="folder for the finished files")
    main(parser.parse_args())
