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
        return self.denoised(x, sigma, levels.timestep(self.table, sigma))

    def denoised(self, x, sigma, timestep):
        return x - sigma * self.noise(x / (sigma**2 + 1).sqrt(), timestep)


def by_k_diffusion(function, model, sigmas, noise, draw, picture=0, **options):
    """One of k-diffusion's samplers; all fresh noise comes from `draw`."""
    original, K.torch.randn_like = torch.randn_like, lambda _x: draw()
    try:
        return getattr(K, function)(model, picture + noise * sigmas[0], sigmas, disable=True, **options)
    finally:
        K.torch.randn_like = original


def ddim(model, noise, steps, draw, eta=0.0):
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        timestep_spacing="leading",
        prediction_type=getattr(model, "prediction", "epsilon"),
        rescale_betas_zero_snr=bool(model.table[-1] > 1000),
    )
    scheduler.set_timesteps(steps)
    x = noise
    for timestep in scheduler.timesteps:
        fresh = draw() if eta else None
        x = scheduler.step(model.noise(x, timestep), timestep, x, eta=eta, variance_noise=fresh).prev_sample
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
        x = model.denoised(x, now, (known.log() - now.log()).abs().argmin() * 20.0 + 19)
        if i + 1 < steps:
            x = x + sigmas[i + 1] * draw()
    return x


def unipc(model, alphas, sigmas, times, x, order, basis):
    """UniPC (Zhao et al. 2023), multistep, predicting the picture, in the variables of the paper; float64. `x` is scaled
    to unit variance, alphas and sigmas are those of the levels, `times` what the model is told."""
    alphas, sigmas, x = alphas.double(), sigmas.double(), x.double()
    half_snr = (alphas / sigmas).log()

    def picture(x, i):
        ratio = (sigmas[i] / alphas[i]).float()
        return model.denoised((x / alphas[i]).float(), ratio, times[i]).double()

    looks, steps = [(0, picture(x, 0))], len(alphas) - 1
    for i in range(1, steps + 1):
        now = min(order, len(looks), steps + 1 - i)
        before, newest = looks[-1]
        h = half_snr[i] - half_snr[before]
        size = -h if basis == "bh1" else torch.expm1(-h)
        places = [(half_snr[j] - half_snr[before]) / h for j, _ in looks[-now:-1][::-1]]
        differences = [(seen - newest) / place for place, (_, seen) in zip(places, looks[-now:-1][::-1])]
        base = sigmas[i] / sigmas[before] * x - alphas[i] * torch.expm1(-h) * newest

        def weights(places):
            if len(places) == 1:
                return torch.tensor([0.5], dtype=torch.float64)
            phi, factorial, right = torch.expm1(-h) / -h - 1, 1, []
            for k in range(1, len(places) + 1):
                right.append(phi * factorial / size)
                factorial *= k + 1
                phi = phi / -h - 1 / factorial
            places = torch.tensor(places, dtype=torch.float64)
            rows = torch.stack([places**k for k in range(len(places))])
            return torch.linalg.solve(rows, torch.stack(right))

        def moved(places, differences):
            total = sum(w * d for w, d in zip(weights(places), differences)) if places else 0
            return base - alphas[i] * size * total

        x = moved(places, differences)
        if i < steps:
            seen = picture(x, i)
            x = moved([*places, torch.tensor(1.0)], [*differences, seen - newest])
            looks.append((i, seen))
    return x.float()


def unipc_by_time(model, steps, noise, basis):
    """As AUTOMATIC1111 runs it: levels evenly spread in time, the logarithm of alpha interpolated."""
    count = len(range(0, 1000, 1000 // steps))
    times = torch.linspace(1, 1e-3, count + 1, dtype=torch.float64) * 1000 - 1
    logs = -0.5 * torch.log1p(model.table.double() ** 2)
    low, high, part = times.floor().long(), times.ceil().long().clamp(max=999), times.frac()
    alphas = ((1 - part) * logs[low] + part * logs[high]).exp()
    return unipc(model, alphas, (1 - alphas**2).sqrt(), times.float(), noise, min(3, count), basis)


def unipc_by_levels(model, levels_, noise, basis):
    """As ComfyUI runs it: on levels of any kind, the last 0.001 instead of 0."""
    sigmas = torch.cat([levels_[:-1], torch.tensor([0.001])]).double()
    alphas = 1 / (1 + sigmas**2).sqrt()
    times = [levels.timestep(model.table, sigma.float()) for sigma in sigmas]
    start = noise * sigmas[0] / (1 + sigmas[0] ** 2).sqrt()
    x = unipc(model, alphas, sigmas * alphas, times, start, min(3, len(sigmas) - 2), basis)
    return (x / alphas[-1]).float()


def restart(model, sigmas, noise, draw):
    """Xu et al. 2023 around Heun's method, with AUTOMATIC1111's numbers of steps."""
    steps, again = len(sigmas) - 1, []
    more, times = (0, 0) if steps < 20 else (9, 1) if steps < 36 else (steps // 4, 2)
    pairs = list(zip(sigmas, sigmas[1:]))
    if times:
        few = K.get_sigmas_karras(steps - more * times, sigmas[-2].item(), sigmas[0].item())
        low, high = (few - 0.1).abs().argmin(), (few - 2).abs().argmin()
        back = K.get_sigmas_karras(more + 1, few[low].item(), few[high].item())[:-1]
        again = list(zip(back, back[1:])) * times
        pairs = list(zip(few, few[1:]))
        pairs = pairs[:low] + again + pairs[low:]
    x, level = noise * sigmas[0], sigmas[0]
    for now, then in pairs:
        if now > level:
            x = x + draw() * (now**2 - level**2).sqrt()
        slope = (x - model(x, now)) / now
        if then == 0:
            x = x + slope * (then - now)
        else:
            there = x + slope * (then - now)
            x = x + (slope + (there - model(there, then)) / then) / 2 * (then - now)
        level = then
    return x


# name: k-diffusion's function, schedule, whether the level before the last is left out
BY_K_DIFFUSION = {
    "Euler": ("sample_euler", "Normal", False),
    "Euler a": ("sample_euler_ancestral", "Normal", False),
    "DPM++ 2M": ("sample_dpmpp_2m", "Karras", False),
    "DPM++ SDE": ("sample_dpmpp_sde", "Karras", False),
    "DPM++ 2M SDE": ("sample_dpmpp_2m_sde", "Exponential", False),
    "DPM++ 2M SDE Heun": ("sample_dpmpp_2m_sde", "Exponential", False),
    "DPM++ 2S a": ("sample_dpmpp_2s_ancestral", "Karras", False),
    "DPM++ 3M SDE": ("sample_dpmpp_3m_sde", "Exponential", True),
    "Heun": ("sample_heun", "Normal", False),
    "DPM2": ("sample_dpm_2", "Karras", True),
    "DPM2 a": ("sample_dpm_2_ancestral", "Karras", True),
    "LMS": ("sample_lms", "Normal", False),
}
NAMES = [*BY_K_DIFFUSION, "Restart", "DDIM", "UniPC", "UniPC BH2", "LCM", "DDPM"]


def run(name, model, noise, steps, draw, scheduler=None, tree=None, start=0, picture=None, **options):
    """The sampler with its own schedule or another one; `tree` makes the noise of SDE samplers for a range of levels.
    With `start`, that many steps are left out and the rest begins with `picture`."""
    if name in BY_K_DIFFUSION:
        function, own, discard = BY_K_DIFFUSION[name]
        sigmas = levels.BY_NAME[scheduler or own](model.table, steps + discard)
        if discard:
            sigmas = torch.cat([sigmas[:-2], sigmas[-1:]])
        if function in ("sample_euler", "sample_heun", "sample_dpm_2"):  # they draw noise even if they need none
            inner = draw
            draw = lambda: inner() if options.get("s_churn") else torch.zeros_like(noise)
        if function.endswith("_sde"):
            options["noise_sampler"] = tree(sigmas[sigmas > 0].min(), sigmas.max())
        if name == "DPM++ 2M SDE Heun":
            options["solver_type"] = "heun"
        if picture is not None:
            options["picture"] = picture
        return by_k_diffusion(function, model, sigmas[start:], noise, draw, **options)
    basis = "bh2" if name.endswith("BH2") else "bh1"
    if name.startswith("UniPC") and scheduler:
        sigmas = levels.BY_NAME[scheduler](model.table, steps + 1)
        return unipc_by_levels(model, torch.cat([sigmas[:-2], sigmas[-1:]]), noise, basis)
    if name.startswith("UniPC"):
        return unipc_by_time(model, steps, noise, basis)
    if name == "DDIM":
        return ddim(model, noise, steps, draw, **options)
    if name == "DDPM":
        return ddpm(model, levels.BY_NAME["Normal"](model.table, steps), noise, draw)
    if name == "LCM":
        return lcm(model, steps, noise, draw)
    if name == "Restart":
        return restart(model, levels.BY_NAME["Karras"](model.table, steps), noise, draw)
    raise KeyError(name)


def cases():
    """Runs of every sampler around a formula: what, the engine's settings, and the arguments above."""
    sde = [name for name in NAMES if "SDE" in name]
    ancestral = ["Euler a", "DPM2 a", "DPM++ 2S a", *sde]
    for name in NAMES:
        yield f"{name}", name, 8, {}, {}
        steps = 10 if name == "DDIM" else 13  # diffusers and AUTOMATIC1111 differ where 1000 is not a multiple
        yield f"{name}, {steps} steps, NV", name, steps, {"noise": {"source": "NV"}}, {}
    for name in NAMES:
        yield f"{name}, v", name, 8, {}, {"prediction": "v_prediction"}
    for name in ["Euler", "Euler a", "DPM++ 2M", "DPM++ SDE", "DPM++ 3M SDE", "DDIM", "Heun"]:
        yield f"{name}, v, zero SNR", name, 8, {}, {"prediction": "v_prediction", "zero_snr": True}
    for name in [*ancestral, "DDIM"]:
        yield f"{name}, eta 0.6", name, 8, {"eta": 0.6}, {"eta": 0.6}
        if name != "DDIM":
            yield f"{name}, eta 0", name, 8, {"eta": 0.0}, {"eta": 0.0}
            yield f"{name}, noise 1.1", name, 8, {"s_noise": 1.1}, {"s_noise": 1.1}
    churn = {"s_churn": 3.0, "s_tmin": 0.1, "s_tmax": 10.0, "s_noise": 1.01}
    for name in ["Euler", "Heun", "DPM2"]:
        yield f"{name}, churn", name, 8, churn, churn
    for name in ["Euler", "DPM++ 2M", "DPM++ 2M SDE", "LMS", "UniPC", "UniPC BH2", "DPM2"]:
        for scheduler in ["SGM Uniform", "Simple", "KL Optimal", "Beta"]:
            if "UniPC" in name and scheduler == "KL Optimal":
                continue
            yield f"{name}, {scheduler}", name, 8, {"scheduler": scheduler}, {"scheduler": scheduler}
    for steps in (24, 40):
        yield f"Restart, {steps} steps", "Restart", steps, {}, {}
    for name in ["Euler", "DPM++ 2M SDE", "DPM++ 2M"]:
        yield f"{name}, from a picture", name, 10, {}, {"start": 4}
