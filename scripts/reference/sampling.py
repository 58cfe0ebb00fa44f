"""Samplers in plain torch, written from the papers and k-diffusion's conventions, around diffusers' UNet."""

import torch
from diffusers import DDIMScheduler


def levels():
    """sigma at each of the 1000 timesteps."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    signal = torch.cumprod(1 - betas, 0).float()
    return ((1 - signal) / signal).sqrt()


def sigmas_linspace(steps):
    table = levels().log()
    at = torch.linspace(999, 0, steps)
    low, high, part = at.floor().long(), at.ceil().long(), at.frac()
    return torch.cat([((1 - part) * table[low] + part * table[high]).exp(), torch.zeros(1)])


def sigmas_karras(steps, rho=7.0):
    table = levels()
    low, high = table[0].item() ** (1 / rho), table[-1].item() ** (1 / rho)
    return torch.cat([(high + torch.linspace(0, 1, steps) * (low - high)) ** rho, torch.zeros(1)])


def timestep_of(sigma):
    table = levels().log()
    distance = sigma.log() - table
    low = distance.ge(0).cumsum(0).argmax().clamp(max=998)
    part = ((table[low] - sigma.log()) / (table[low] - table[low + 1])).clamp(0, 1)
    return (1 - part) * low + part * (low + 1)


class Guided:
    """UNet, prompts and guidance behind one call."""

    def __init__(self, unet, context, empty, scale):
        self.unet, self.context, self.scale = unet, torch.cat([context, empty]), scale

    def noise(self, x, timestep):
        found = self.unet(torch.cat([x, x]), timestep, self.context).sample
        prompted, empty = found.chunk(2)
        return empty + self.scale * (prompted - empty)

    def denoised(self, x, sigma):
        return x - sigma * self.noise(x / (sigma**2 + 1).sqrt(), timestep_of(sigma))


def euler(model, noise, steps, _draw):
    sigmas = sigmas_linspace(steps)
    x = noise * sigmas[0]
    for now, then in zip(sigmas, sigmas[1:]):
        x = x + (x - model.denoised(x, now)) / now * (then - now)
    return x


def euler_a(model, noise, steps, draw):
    sigmas = sigmas_linspace(steps)
    x = noise * sigmas[0]
    for now, then in zip(sigmas, sigmas[1:]):
        seen = model.denoised(x, now)
        up = min(then, (then**2 * (now**2 - then**2) / now**2) ** 0.5)
        down = (then**2 - up**2) ** 0.5
        x = x + (x - seen) / now * (down - now)
        if then > 0:
            x = x + draw() * up
    return x


def dpmpp_2m_karras(model, noise, steps, _draw):
    sigmas = sigmas_karras(steps)
    x, before, last = noise * sigmas[0], None, None
    for now, then in zip(sigmas, sigmas[1:]):
        seen = model.denoised(x, now)
        length = now.log() - then.log()
        if before is None or then == 0:
            target = seen
        else:
            ratio = last / length
            target = (1 + 1 / (2 * ratio)) * seen - 1 / (2 * ratio) * before
        x = then / now * x - torch.expm1(-length) * target
        before, last = seen, length
    return x


def ddim(model, noise, steps, _draw):
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        timestep_spacing="leading",
    )
    scheduler.set_timesteps(steps)
    x = noise
    for timestep in scheduler.timesteps:
        x = scheduler.step(model.noise(x, timestep), timestep, x).prev_sample
    return x


ALL = {"Euler": euler, "Euler a": euler_a, "DPM++ 2M Karras": dpmpp_2m_karras, "DDIM": ddim}
