"""Stable Diffusion 1.x's noise schedule and the plain Euler sampler with classifier-free guidance."""

import torch

LATENT_SCALE = 0.18215
# Scaled-linear betas 0.00085..0.012 over 1000 steps (Rombach et al. 2022).
BETAS = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
SIGNAL = torch.cumprod(1 - BETAS, 0)


@torch.no_grad()
def sample(unet, text, no_text, noise, steps=20, guidance=5.0):
    """Latents `[batch, 4, h, w]`, unit variance, from unit noise, for texts `[batch, 77, width]`."""
    sigmas = ((1 - SIGNAL) / SIGNAL).sqrt()
    timesteps = torch.linspace(999, 0, steps, dtype=torch.float64)
    low, high = timesteps.floor().long(), timesteps.ceil().long()
    part = timesteps - low
    levels = torch.exp((1 - part) * sigmas[low].log() + part * sigmas[high].log())
    levels = [*levels.tolist(), 0.0]
    x = noise * (levels[0] ** 2 + 1) ** 0.5
    both = torch.cat([text, no_text.expand(len(text), -1, -1)])
    for i in range(steps):
        scaled = x / (levels[i] ** 2 + 1) ** 0.5
        at = torch.full((2 * len(x),), float(timesteps[i]), device=x.device)
        wanted, plain = unet(torch.cat([scaled, scaled]), at, both).chunk(2)
        x = x + (plain + guidance * (wanted - plain)) * (levels[i + 1] - levels[i])
    return x
