#!/usr/bin/env python3
"""How fast diffusers is: `diffusers_speed.py FOLDER bf16|f32 SIDE [--steps N]`. Its last line is JSON, in seconds.

FOLDER has `unet`, `vae` and `text_encoder`. Weights and activations lie as oneDNN likes them best (channels last). With
`--steps` it draws a whole picture with that many steps instead, and says nothing."""

import argparse
import json
import time
from pathlib import Path

import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, UNet2DConditionModel
from transformers import CLIPTextModel

parser = argparse.ArgumentParser()
parser.add_argument("folder", type=Path)
parser.add_argument("precision", choices=["bf16", "f32"])
parser.add_argument("side", type=int)
parser.add_argument("--steps", type=int)
arguments = parser.parse_args()
dtype = dict(bf16=torch.bfloat16, f32=torch.float32)[arguments.precision]


def seconds(run):
    """(what it returned, the seconds that it took)"""
    began = time.monotonic()
    found = run()
    return found, time.monotonic() - began


def opened():
    load = lambda network, name: network.from_pretrained(arguments.folder / name, dtype=dtype, local_files_only=True).eval()
    unet, vae = load(UNet2DConditionModel, "unet"), load(AutoencoderKL, "vae")
    return unet.to(memory_format=torch.channels_last), vae.to(memory_format=torch.channels_last), load(CLIPTextModel, "text_encoder")


ids = torch.full((2, 77), 49407)
ids[:, 0] = 49406
ids[0, 1:6] = torch.tensor([320, 18376, 525, 320, 12985])
side = arguments.side // 8
noise = torch.randn(1, 4, side, side, generator=torch.Generator().manual_seed(0))
with torch.inference_mode():
    (unet, vae, text), opening = seconds(opened)
    context, encoding = seconds(lambda: text(ids)[0])
    noise_of = lambda latent, time_: unet(latent.to(dtype).expand(2, -1, -1, -1).to(memory_format=torch.channels_last), time_, context).sample
    if arguments.steps:
        scheduler = EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="leading", steps_offset=1)
        scheduler.set_timesteps(arguments.steps)
        latent = noise * scheduler.init_noise_sigma
        for moment in scheduler.timesteps:
            without, with_ = noise_of(scheduler.scale_model_input(latent, moment), moment).float().chunk(2)
            latent = scheduler.step(without + 7 * (with_ - without), moment, latent).prev_sample
        vae.decode((latent / 0.18215).to(dtype).to(memory_format=torch.channels_last))
    else:
        noise_of(noise, 500)
        _, step = seconds(lambda: noise_of(noise, 500))
        _, decoding = seconds(lambda: vae.decode(noise.to(dtype).to(memory_format=torch.channels_last)))
        print(json.dumps(dict(opening=opening, text=encoding, step=step, decoding=decoding)))
