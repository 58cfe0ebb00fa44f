"""The models that the golden files are made with: spark, and a tiny Stable Diffusion 1.5."""

import json

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file
from transformers import CLIPTextConfig, CLIPTextModel

import layout


def text_encoder(vocabulary, width, layers):
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=width,
            intermediate_size=4 * width,
            num_hidden_layers=layers,
            num_attention_heads=width // 64,
            max_position_embeddings=77,
            hidden_act="quick_gelu",
            projection_dim=width,
            bos_token_id=vocabulary - 2,
            eos_token_id=vocabulary - 1,
            pad_token_id=vocabulary - 1,
        )
    )


def spark(folder):
    """spark as its file has it, widened to float32."""
    info = json.loads((folder / "spark_info.json").read_text())
    clean = lambda config: {k: v for k, v in config.items() if not k.startswith("_")}
    unet = UNet2DConditionModel(**clean(info["unet"]))
    vae = AutoencoderKL(**clean(info["vae"]))
    clip = text_encoder(3000, 128, 3)
    layout.load(load_file(folder / "spark.safetensors"), unet, vae, clip)
    return unet, vae, clip


def stable_diffusion_15(channels, vae_channels, width, layers, inputs=4):
    """An untrained model with the structure of Stable Diffusion 1.5."""
    unet = UNet2DConditionModel(
        sample_size=64,
        in_channels=inputs,
        out_channels=4,
        layers_per_block=2,
        norm_num_groups=32,
        block_out_channels=channels,
        down_block_types=["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
        up_block_types=["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
        attention_head_dim=8,
        cross_attention_dim=width,
    )
    vae = AutoencoderKL(
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        layers_per_block=2,
        norm_num_groups=32,
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        block_out_channels=vae_channels,
        act_fn="silu",
        scaling_factor=0.18215,
    )
    return unet, vae, text_encoder(49408, width, layers)


def tiny(inputs=4):
    return stable_diffusion_15([32, 64, 96, 96], [32, 64, 96, 96], 128, 4, inputs)


def procedural(name, shape):
    """Weights that another program can make too: element i of a tensor is 24 bits of splitmix64(fnv1a64(name) + i),
    as a number in [-1, 1), times a scale that keeps activations near unit size."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = ((seed ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(int(np.prod(shape)), dtype=np.uint64)
        z = z + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    unit = (z >> np.uint64(40)).astype(np.float64) / 2**23 - 1.0
    if len(shape) == 1:
        values = 1.0 + 0.1 * unit if name.endswith("weight") else 0.05 * unit
    elif "embedding" in name:
        values = 0.5 * unit
    else:
        values = unit * np.sqrt(3.0 / np.prod(shape[1:]))
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


def fill_procedurally(unet, vae, clip):
    """Gives the three modules procedural weights and returns {name in the file: tensor}."""
    tensors = {}
    for name, (module, own_name) in layout.names(unet, vae, clip).items():
        tensors[name] = procedural(name, layout.file_shape(name, module.state_dict()[own_name]))
    layout.load(tensors, unet, vae, clip)
    return tensors
