"""Golden numbers of the tiny decoder, by diffusers' AutoencoderTiny at its true size."""

import torch
from diffusers import AutoencoderTiny

import models


def published(name):
    """diffusers' name of a decoder tensor -> the one in taesd_decoder.safetensors, where a clamp is module 0."""
    number, rest = name.removeprefix("decoder.layers.").split(".", 1)
    return f"{int(number) + 1}.{rest}"


def golden():
    """Returns the tensors and the listing of names and shapes in the published file."""
    tiny = AutoencoderTiny().eval()
    state = tiny.state_dict()
    listing = {}
    for name, tensor in state.items():
        if name.startswith("decoder."):
            listing[published(name)] = tuple(tensor.shape)
            state[name] = models.procedural(published(name), tensor.shape)
    tiny.load_state_dict(state)
    latent = torch.randn(1, 4, 5, 7, generator=torch.Generator().manual_seed(11)) * 2
    return {"latent": latent, "picture": tiny.decode(latent).sample}, listing
