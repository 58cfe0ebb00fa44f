"""Noise: NVIDIA's Philox after its paper, torchsde's Brownian trees, and how AUTOMATIC1111 and ComfyUI put noise together."""

import numpy as np
import torch
import torchsde


def philox(seed, offset, count):
    """torch.randn(count, device="cuda"): Philox 4x32-10 (Salmon et al. 2011), then Box and Muller, as AUTOMATIC1111's
    rng_philox rounds it: constants in float32, arithmetic in float64."""
    mask = (1 << 32) - 1
    unit = np.float32(2.3283064e-10)
    turn = np.float32(2.3283064e-10 * 6.2831855)
    numbers = []
    for i in range(count):
        a, b, c, d = offset, 0, i, 0
        low, high = seed & mask, seed >> 32
        for _ in range(10):
            p, q = a * 0xD2511F53, c * 0xCD9E8D57
            a, b, c, d = (q >> 32) ^ b ^ low, q & mask, (p >> 32) ^ d ^ high, p & mask
            low, high = (low + 0x9E3779B9) & mask, (high + 0xBB67AE85) & mask
        u = a * np.float64(unit) + np.float64(unit / np.float32(2))
        v = b * np.float64(turn) + np.float64(turn / np.float32(2))
        numbers.append(np.float32(np.sqrt(-2.0 * np.log(u)) * np.sin(v)))
    return torch.tensor(np.array(numbers))


class Source:
    """A generator of `CPU` or `NV`; every call goes on where the last one ended."""

    def __init__(self, kind, seed):
        self.kind, self.seed, self.calls = kind, seed, 0
        self.torch = torch.Generator().manual_seed(seed)

    def __call__(self, shape):
        self.calls += 1
        if self.kind == "CPU":
            return torch.randn(shape, generator=self.torch)
        return philox(self.seed, self.calls - 1, int(np.prod(shape))).reshape(shape)


def tree(kind, seed, shape, low, high):
    """k-diffusion's BrownianTreeNoiseSampler over torchsde's tree."""
    module = torchsde._brownian.brownian_interval
    original, module._randn = module._randn, lambda size, dtype, device, seed: Source(kind, int(seed))(size)
    low, high = torch.as_tensor(low), torch.as_tensor(high)
    path = torchsde.BrownianTree(low, torch.zeros(shape), high, entropy=seed)
    module._randn = original

    def noise(start, end):
        module._randn = lambda size, dtype, device, seed: Source(kind, int(seed))(size)
        start, end = torch.as_tensor(start), torch.as_tensor(end)
        found = path(end, start) * -1 if end < start else path(start, end)
        module._randn = original
        # torch's own root is a bit off on some machines
        return found / torch.tensor(np.sqrt((end - start).abs().numpy()))

    return noise


def towards(low, high, share):
    """Spherical interpolation along the second dimension, as AUTOMATIC1111 has it."""
    cosine = (low / low.norm(dim=1, keepdim=True) * (high / high.norm(dim=1, keepdim=True))).sum(1)
    if cosine.mean() > 0.9995:
        return low * share + high * (1 - share)
    angle = cosine.acos()
    weights = ((1 - share) * angle).sin() / angle.sin(), (share * angle).sin() / angle.sin()
    return weights[0].unsqueeze(1) * low + weights[1].unsqueeze(1) * high


def first(kind, seed, shape, variation=None, strength=0.0, resized_from=None):
    """The first noise of a picture; `resized_from` is another shape."""
    noise = Source(kind, seed)(resized_from or shape)
    if strength:
        noise = towards(noise, Source(kind, variation)(resized_from or shape), strength)
    if resized_from:
        whole = Source(kind, seed)(shape)
        dy, dx = (shape[1] - resized_from[1]) // 2, (shape[2] - resized_from[2]) // 2
        height = resized_from[1] + min(2 * dy, 0)
        width = resized_from[2] + min(2 * dx, 0)
        to, of = (max(dy, 0), max(dx, 0)), (max(-dy, 0), max(-dx, 0))
        part = noise[:, of[0] : of[0] + height, of[1] : of[1] + width]
        whole[:, to[0] : to[0] + height, to[1] : to[1] + width] = part
        noise = whole
    return noise


def goldens():
    published = [-0.92466259, -0.42534415, -2.6438457, 0.14518388, -0.12086647, -0.57972564]
    assert np.abs(philox(0, 0, 12)[:6].numpy() - published).max() < 1e-6  # in rng_philox, with exact constants
    tensors = {}
    for seed, counts in [(0, (300, 5)), (42, (64, 64)), (2**40 + 7, (33,)), (2**64 - 1, (17,))]:
        source = Source("NV", seed)
        for call, count in enumerate(counts):
            tensors[f"philox.{seed}.{call}"] = source((count,))
    points = torch.tensor([14.614643, 9.1, 4.796544, 1.274105, 0.5, 0.247952, 0.0781250, 0.029167539])
    tensors["brownian.points"] = points
    for kind, seed in [("CPU", 1), ("CPU", 2**33 + 5), ("NV", 42)]:
        noise = tree(kind, seed, (20,), points[-1], points[0])
        pairs = [*zip(points, points[1:]), (points[0], points[-1]), (points[2], points[5]), (points[6], points[3])]
        tensors[f"brownian.{kind}.{seed}"] = torch.stack([noise(start, end) for start, end in pairs])
    shape = (4, 9, 10)
    for kind in ("CPU", "NV"):
        tensors[f"variation.{kind}"] = first(kind, 5, shape, variation=6, strength=0.3)
        tensors[f"resized.smaller.{kind}"] = first(kind, 5, shape, resized_from=(4, 8, 13))
        tensors[f"resized.both.{kind}"] = first(kind, 5, shape, variation=6, strength=0.7, resized_from=(4, 14, 8))
        goes_on = Source(kind, 5)
        goes_on(shape)
        tensors[f"continued.{kind}"] = goes_on(shape)
        tensors[f"delta.{kind}"] = Source(kind, 5 + 31337)(shape)
    return tensors
