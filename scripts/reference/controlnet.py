"""Golden numbers of ControlNets, by diffusers, with procedural weights; and of Canny's edges, by OpenCV."""

import cv2
import numpy as np
import torch
from diffusers import ControlNetModel

import layout
import models

PREFIX = "control_model."


def single_file_name(name, config):
    """diffusers' ControlNetModel -> control_model.*"""
    parts = name.split(".")
    if parts[0] == "controlnet_cond_embedding":
        number = {"conv_in": 0, "conv_out": 14}.get(parts[1]) if parts[1] != "blocks" else 2 * int(parts[2]) + 2
        return f"{PREFIX}input_hint_block.{number}.{parts[-1]}"
    if parts[0] == "controlnet_down_blocks":
        return f"{PREFIX}zero_convs.{parts[1]}.0.{parts[2]}"
    if parts[0] == "controlnet_mid_block":
        return f"{PREFIX}middle_block_out.0.{parts[1]}"
    if parts[0] == "add_embedding":
        return f"{PREFIX}label_emb.0.{0 if parts[1] == 'linear_1' else 2}.{parts[2]}"
    return layout.unet_name(name, config).replace("model.diffusion_model.", PREFIX)


def filled(unet, salt=""):
    """A ControlNet for `unet`; returns it and {single-file name + "=" + diffusers name: shape}. `salt` in front of the
    names makes another one."""
    net = ControlNetModel.from_unet(unet, conditioning_channels=3).eval()
    state = net.state_dict()
    listing = {}
    for own, tensor in state.items():
        name = single_file_name(own, net.config)
        listing[f"{name}={own}"] = tuple(tensor.shape)
        state[own] = models.procedural(salt + name, tensor.shape)
    net.load_state_dict(state)
    return net, listing


def hint(height, width):
    """Lines and a disc, whole 255ths from 0 to 1."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    disc = ((x - width * 0.4) ** 2 + (y - height * 0.5) ** 2 < (height * 0.3) ** 2).float()
    return (torch.stack([disc, ((x + y) % 16 < 3).float(), x / width])[None] * 255).round() / 255


def golden(unet, context, added=None):
    """One net at weight 0.7, two nets at 0.7 and 0.4, at a latent with odd sides."""
    nets = [filled(unet, salt) for salt in ("", "other.")]
    latent = torch.randn(len(context), 4, 9, 7, generator=torch.Generator().manual_seed(3))
    picture = hint(72, 56)
    tensors = {"latent": latent, "hint": picture, "plain": unet(latent, 500.0, context, added_cond_kwargs=added).sample}
    total = None
    for (net, _), weight, name in zip(nets, (0.7, 0.4), ("one", "two")):
        down, middle = net(latent, 500.0, context, picture.expand(len(context), -1, -1, -1), weight,
                           added_cond_kwargs=added, return_dict=False)
        down, middle = list(down), middle
        if total is not None:
            down, middle = [a + b for a, b in zip(down, total[0])], middle + total[1]
        total = down, middle
        tensors[name] = unet(
            latent, 500.0, context, added_cond_kwargs=added,
            down_block_additional_residuals=down, mid_block_additional_residual=middle,
        ).sample
    return tensors, nets[0][1]


def edges():
    """Pictures and the edges that OpenCV finds in them."""
    y, x = np.mgrid[0:61, 0:90].astype(np.float32)
    waves = np.stack([127 + 120 * np.sin(x / 7 + y / 19), 127 + 90 * np.cos(x * y / 300), 2 * x + y], -1)
    noise = np.random.default_rng(4).normal(0, 25, waves.shape)
    disc = (((x - 40) ** 2 + (y - 30) ** 2) < 400)[..., None] * 110.0
    pictures = {"smooth": waves + disc, "noisy": waves + disc + noise, "noise": noise * 4 + 128}
    tensors = {}
    for name, picture in pictures.items():
        picture = picture.clip(0, 255).round().astype(np.uint8)
        tensors[f"{name}.picture"] = torch.from_numpy(picture)
        for low, high in ((100, 200), (50, 150), (30, 400), (200, 100)):
            tensors[f"{name}.{low}.{high}"] = torch.from_numpy(cv2.Canny(picture, low, high))
    return tensors
