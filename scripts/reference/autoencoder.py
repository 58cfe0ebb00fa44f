"""Golden numbers of the autoencoder, by diffusers' AutoencoderKL."""

import torch


def picture(height, width):
    """Gradients and waves, one of them finer than a latent position."""
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    colours = [x * 2 - 1, y * 2 - 1, torch.sin(37 * x + 11 * y)]
    return torch.stack(colours)[None].contiguous()


def encoder(autoencoders):
    """`autoencoders` is {name: AutoencoderKL}. One picture has sides that are no multiples of 8."""
    tensors = {}
    generator = torch.Generator().manual_seed(7)
    for size, (height, width) in {"even": (64, 96), "odd": (71, 45)}.items():
        tensors[size] = picture(height, width)
        noise = tensors[f"{size}.noise"] = torch.randn(1, 4, height // 8, width // 8, generator=generator)
        for name, vae in autoencoders.items():
            found = vae.encode(tensors[size]).latent_dist
            scale = vae.config.scaling_factor
            tensors[f"{name}.{size}.mean"] = found.mode() * scale
            tensors[f"{name}.{size}.sample"] = (found.mean + found.std * noise) * scale
    return tensors
