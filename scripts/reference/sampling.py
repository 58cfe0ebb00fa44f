"""Samplers around diffusers' UNet or a formula: k-diffusion's own code, diffusers' DDIM, the rest in plain torch."""

import importlib.util
import pathlib
import sys
import types

import torch
from diffusers import DDIMScheduler

import levels


def k_diffusion():
    """k-diffusion's sampling.py alone: the package asks for much that is not needed here."""
    folder = pathlib.Path(importlib.util.find_spec("torchsde").origin).parents[1] / "k_diffusion"
    package, utils = types.ModuleType("k_diffusion"), types.ModuleType("k_diffusion.utils")
    utils.append_dims = lambda x, dims: x[(...,) + (None,) * (dims - x.ndim)]
    package.utils, package.__path__ = utils, [str(folder)]
    sys.modules.update({"k_diffusion": package, "k_diffusion.utils": utils})
    spec = importlib.util.spec_from_file_location("k_diffusion.sampling", folder / "sampling.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["k_diffusion.sampling"] = module
    spec.loader.exec_module(module)
    return module


K = k_diffusion()


class Guided:
    """UNet, prompts and guidance behind one call."""

    def __init__(self, unet, context, empty, scale, table=None):
        self.unet, self.context, self.scale = unet, torch.cat([context, empty]), scale
        self.table = levels.TABLE if table is None else table

    def noise(self, x, timestep):
        found = self.unet(torch.cat([x, x]), timestep, self.context).sample
        prompted, empty = found.chunk(2)
        return empty + self.scale * (prompted - empty)

    def __call__(self, x, sigma):
        sigma = sigma.flatten()[0]
        return x - sigma * self.noise(x / (sigma**2 + 1).sqrt(), levels.timestep(self.table, sigma))


def by_k_diffusion(function, model, sigmas, noise, draw, **options):
    """One of k-diffusion's samplers; all fresh noise comes from `draw`."""
    original, K.torch.randn_like = torch.randn_like, lambda _x: draw()
    try:
        return getattr(K, function)(model, noise * sigmas[0], sigmas, disable=True, **options)
    finally:
        K.torch.randn_like = original


def ddim(model, noise, steps):
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


def ddpm(model, sigmas, noise, draw):
    """Ho et al. 2020, algorithm 2 with the posterior's variance, between the levels given."""
    x = noise * sigmas[0]
    for now, then in zip(sigmas, sigmas[1:]):
        found = (x - model(x, now)) / now
        kept, left = 1 / (1 + now**2), 1 / (1 + then**2)
        alpha = kept / left
        scaled = x * kept.sqrt()
        mean = (scaled - (1 - alpha) / (1 - kept).sqrt() * found) / alpha.sqrt()
        if then > 0:
            mean = mean + ((1 - alpha) * (1 - left) / (1 - kept)).sqrt() * draw()
        x = mean / left.sqrt()
    return x


def lcm(model, steps, noise, draw):
    """Luo et al. 2023, algorithm 3, on the 50 timesteps that the models were distilled for."""
    known = model.table[torch.arange(19, 1000, 20)]
    at = torch.linspace(49, 0, steps)
    low, high, part = at.floor().long(), at.ceil().long(), at.frac()
    sigmas = ((1 - part) * known.log()[low] + part * known.log()[high]).exp()
    x = noise * sigmas[0]
    for i, now in enumerate(sigmas):
        timestep = (known.log() - now.log()).abs().argmin() * 20.0 + 19
        x = x - now * model.noise(x / (now**2 + 1).sqrt(), timestep)
        if i + 1 < steps:
            x = x + sigmas[i + 1] * draw()
    return x


# name: k-diffusion's function, schedule, whether the level before the last is left out
BY_K_DIFFUSION = {
    "Euler": ("sample_euler", "Normal", False),
    "Euler a": ("sample_euler_ancestral", "Normal", False),
    "DPM++ 2M": ("sample_dpmpp_2m", "Karras", False),
    "DPM++ 2S a": ("sample_dpmpp_2s_ancestral", "Karras", False),
    "Heun": ("sample_heun", "Normal", False),
    "DPM2": ("sample_dpm_2", "Karras", True),
    "DPM2 a": ("sample_dpm_2_ancestral", "Karras", True),
    "LMS": ("sample_lms", "Normal", False),
}


def run(name, model, noise, steps, draw, **options):
    """The sampler with its own schedule."""
    if name in BY_K_DIFFUSION:
        function, schedule, discard = BY_K_DIFFUSION[name]
        sigmas = levels.BY_NAME[schedule](model.table, steps + discard)
        if discard:
            sigmas = torch.cat([sigmas[:-2], sigmas[-1:]])
        if function in ("sample_euler", "sample_heun", "sample_dpm_2"):  # they draw noise even if they need none
            inner, draw = draw, lambda: inner() if options.get("s_churn") else torch.zeros_like(noise)
        return by_k_diffusion(function, model, sigmas, noise, draw, **options)
    if name == "DDIM":
        return ddim(model, noise, steps)
    if name == "DDPM":
        return ddpm(model, levels.BY_NAME["Normal"](model.table, steps), noise, draw)
    if name == "LCM":
        return lcm(model, steps, noise, draw)
    raise KeyError(name)


NAMES = [*BY_K_DIFFUSION, "DDIM", "DDPM", "LCM"]
