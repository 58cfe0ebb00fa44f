#!/usr/bin/env python3
"""A random checkpoint of Stable Diffusion 1.5's true size: `full_size.py FOLDER` writes FOLDER/sd15.safetensors
(2.1 GB, fp16) and FOLDER/expected.safetensors (hidden state, UNet output, decoded picture from diffusers, fp32).

`cargo run --release -p fieldforge-engine --example compare_full_size FOLDER` compares the engine with it."""

import pathlib
import sys
import tempfile

import torch
from safetensors.torch import save_file

import layout
import models
import tokens


@torch.no_grad()
def main(folder):
    torch.manual_seed(0)
    parts = models.stable_diffusion_15([320, 640, 1280, 1280], [128, 256, 512, 512], 768, 12)
    tensors = {}
    for name, (module, own_name) in layout.names(*parts).items():
        weight = module.state_dict()[own_name]
        tensors[name] = weight.reshape(layout.file_shape(name, weight)).half().contiguous()
    # what real files carry besides
    position_ids = "cond_stage_model.transformer.text_model.embeddings.position_ids"
    extras = {position_ids: torch.arange(77)[None], "alphas_cumprod": torch.linspace(1, 0, 1000)}
    save_file({**tensors, **extras}, folder / "sd15.safetensors", metadata={"format": "pt"})
    layout.load(tensors, *parts)
    unet, vae, clip = parts
    with tempfile.TemporaryDirectory() as vocabulary:
        ids = tokens.clip(pathlib.Path(vocabulary))("a photo of an astronaut riding a horse")
    context = clip(torch.tensor([ids])).last_hidden_state
    noise = torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(42))
    expected = {"context": context, "noise": noise, "unet": unet(noise, 981.0, context).sample}
    expected["picture"] = vae.decode(noise[:, :, :16, :16] / 0.18215).sample
    save_file({name: tensor.contiguous().clone() for name, tensor in expected.items()}, folder / "expected.safetensors")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
