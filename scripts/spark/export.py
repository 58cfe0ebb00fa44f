"""Write the finished model as one fp16 file in the single-file layout, and read such files back."""

import argparse
import hashlib
import json
import os
import re
import shutil
import struct
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open

from sampling import LATENT_SCALE
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

    @property
    def unet_channels(self):
        return tuple(self.unet.input_blocks[i][0].out_layers[3].out_channels for i in (1, 3, 5))


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


def save_sorted(tensors, metadata, path):
    """A safetensors file with header and tensors in alphabetical order: the same values give the same bytes."""
    header, position = dict(__metadata__=metadata), 0
    for name, tensor in sorted(tensors.items()):
        size = tensor.numel() * tensor.element_size()
        header[name] = dict(dtype="F16", shape=list(tensor.shape), data_offsets=[position, position + size])
        position += size
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(f"{path}.part", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, tensor in sorted(tensors.items()):
            file.write(tensor.half().contiguous().numpy().tobytes())
    os.replace(f"{path}.part", path)


def autoencoder_tensors(folded, trained):
    """The autoencoder that the latents were made with; its decoder as it was trained since then."""
    for name, tensor in folded["encoder"].items():
        if not torch.equal(tensor, trained["average"][name].cpu()):
            raise SystemExit("`vae.pt` has another encoder than `folded.pt`: run make_latents.py and train_diffusion.py anew")
    decoder = {name: tensor for name, tensor in trained["average"].items() if name.startswith("decoder.")}
    return dict(folded["vae"], **decoder)


def diffusers_configs(spark):
    """What diffusers needs to know of the two networks and cannot read from the file; the rest are its defaults."""
    widths = [level.block[0].conv1.out_channels for level in spark.autoencoder.encoder.down]
    last = len(spark.unet_channels) - 1
    unet = dict(
        sample_size=spark.side // 8,
        block_out_channels=list(spark.unet_channels),
        layers_per_block=1,
        down_block_types=["CrossAttnDownBlock2D"] * last + ["DownBlock2D"],
        up_block_types=["UpBlock2D"] + ["CrossAttnUpBlock2D"] * last,
        cross_attention_dim=spark.text_encoder.text_model.final_layer_norm.weight.numel(),
        attention_head_dim=HEADS,
        norm_num_groups=GROUPS,
    )
    vae = dict(
        sample_size=spark.side,
        block_out_channels=widths,
        layers_per_block=1,
        down_block_types=["DownEncoderBlock2D"] * len(widths),
        up_block_types=["UpDecoderBlock2D"] * len(widths),
        latent_channels=4,
        norm_num_groups=GROUPS,
        scaling_factor=LATENT_SCALE,
    )
    text = spark.text_encoder.text_model
    vocabulary, width = text.embeddings.token_embedding.weight.shape
    text_encoder = dict(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=width,
        num_hidden_layers=len(text.encoder.layers),
        num_attention_heads=width // HEAD_SIZE,
        max_position_embeddings=TOKENS,
        hidden_act="quick_gelu",
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=vocabulary - 1,
    )
    return dict(unet=unet, vae=vae, text_encoder=text_encoder)


def export(arguments):
    work, out = Path(arguments.work), Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    folded = torch.load(work / "folded.pt", map_location="cpu")
    diffusion = torch.load(work / "diffusion.pt", map_location="cpu")
    trained = torch.load(work / "vae.pt", map_location="cpu")
    tensors = {VAE + name: tensor for name, tensor in autoencoder_tensors(folded, trained).items()}
    for name, tensor in diffusion["average"].items():
        part, name = name.split(".", 1)
        tensors[(UNET if part == "unet" else TEXT) + name] = tensor
    tensors = {name: tensor.half().contiguous() for name, tensor in sorted(tensors.items())}
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"`{name}` does not fit in half precision")
    metadata = dict(
        format="pt", name="spark", license="MIT OR Apache-2.0", resolution=folded["side"], prediction="epsilon",
        scaling_factor=0.18215, clip_heads=tensors[f"{TEXT}text_model.final_layer_norm.weight"].numel() // HEAD_SIZE,
        clip_act="quick_gelu", unet_heads=HEADS, norm_groups=GROUPS, tokens=TOKENS,
    )  # fmt: skip
    path = out / FILE_NAME
    save_sorted(tensors, {name: str(value) for name, value in metadata.items()}, path)
    shutil.copyfile(work / "tokenizer.json", out / "tokenizer.json")
    spark = load_spark(path)
    count = lambda part: sum(p.numel() for p in part.parameters())  # noqa: E731
    parts = dict(unet=spark.unet, text_encoder=spark.text_encoder, autoencoder=spark.autoencoder)
    info = dict(
        file=FILE_NAME,
        bytes=path.stat().st_size,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        resolution=folded["side"],
        parameters={name: count(part) for name, part in parts.items()},
        scenes=folded["scenes"],
        autoencoder_steps=folded["vae_step"],
        diffusion_steps=diffusion["step"],
        decoder_steps=trained.get("decoder_step", 0),
        **diffusers_configs(spark),
        params=sum(map(count, parts.values())),
    )
    (out / "spark_info.json").write_text(json.dumps(info, indent=1) + "\n", encoding="utf-8")
    print(f"`{path}`: {info['bytes']:,} bytes, {info['params']:,} parameters")


def options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", default="target/spark", help="folder of latents and checkpoints")
    parser.add_argument("--out", default="target/spark/out", help="folder for the finished files")
    return parser


if __name__ == "__main__":
    export(options().parse_args())
