"""Noise levels: Stable Diffusion's table and the ways to choose steps from it, with k-diffusion's, AUTOMATIC1111's and
ComfyUI's conventions."""

import math

import numpy as np
import torch
from scipy import stats


def table(zero_snr=False):
    """sigma at each of the 1000 timesteps."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    signal = torch.cumprod(1 - betas, 0)
    if zero_snr:  # Lin et al. 2024, algorithm 1; the last one kept finite
        root = signal.sqrt()
        root = (root - root[-1]) * root[0] / (root[0] - root[-1])
        signal = root**2
        signal[-1] = 4.8973451890853435e-08
    signal = signal.float()
    return ((1 - signal) / signal).sqrt()


TABLE = table()


def sigma(table, timestep):
    low, high, part = timestep.floor().long(), timestep.ceil().long(), timestep.frac()
    return ((1 - part) * table.log()[low] + part * table.log()[high]).exp()


def timestep(table, sigma):
    distance = sigma.log() - table.log()
    low = distance.ge(0).cumsum(0).argmax().clamp(max=998)
    part = ((table.log()[low] - sigma.log()) / (table.log()[low] - table.log()[low + 1])).clamp(0, 1)
    return (1 - part) * low + part * (low + 1)


def ended(levels, end=0.0):
    return torch.cat([torch.as_tensor(levels, dtype=torch.float32), torch.tensor([float(end)])])


def karras(table, steps, rho=7.0):
    low, high = table[0].item() ** (1 / rho), table[-1].item() ** (1 / rho)
    return ended((high + torch.linspace(0, 1, steps) * (low - high)) ** rho)


def exponential(table, steps):
    return ended(torch.linspace(math.log(table[-1]), math.log(table[0]), steps).exp())


def simple(table, steps):
    return ended([table[-(1 + int(i * 1000 / steps))] for i in range(steps)])


def ddim_uniform(table, steps):
    return ended(table[1 :: max(1000 // steps, 1)].flip(0))


def beta(table, steps):
    at = stats.beta.ppf(1 - np.linspace(0, 1, steps), 0.6, 0.6)
    return ended(table[0].item() + at * (table[-1].item() - table[0].item()))


def beta_timesteps(table, steps):
    at = np.rint(stats.beta.ppf(1 - np.linspace(0, 1, steps, endpoint=False), 0.6, 0.6) * 999)
    return ended([table[int(t)] for t in dict.fromkeys(at)])


def align_your_steps(_table, steps, known=(14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029)):
    logs = np.interp(np.linspace(0, 1, steps), np.linspace(0, 1, 11), np.log(known))
    return ended(np.exp(logs))


def kl_optimal(table, steps):
    share = torch.arange(steps + 1) / steps
    return (share * math.atan(table[0]) + (1 - share) * math.atan(table[-1])).tan()


BY_NAME = {
    "Normal": lambda table, steps: ended(sigma(table, torch.linspace(999, 0, steps))),
    "Karras": karras,
    "Exponential": exponential,
    "SGM Uniform": lambda table, steps: ended(sigma(table, torch.linspace(999, 0, steps + 1)[:-1])),
    "Simple": simple,
    "DDIM": ddim_uniform,
    "Beta": beta,
    "Beta timesteps": beta_timesteps,
    "Align Your Steps": align_your_steps,
    "KL Optimal": kl_optimal,
}
