"""From rasterized emoji to training pictures: placing, recolouring, backgrounds. Everything is batched in torch."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from concepts import HUES, STYLES

SIDE = 128


def load_pictures(work):
    """Premultiplied RGBA bytes `[2, concepts, 4, 128, 128]`, first noto, then flat; written by `rasterize.mjs`."""
    sets = []
    for style in STYLES:
        raw = np.fromfile(Path(work) / f"pictures-{style}.rgba", dtype=np.uint8)
        sets.append(torch.from_numpy(raw).reshape(-1, SIDE, SIDE, 4).permute(0, 3, 1, 2))
    return torch.stack(sets).contiguous()


def blank(pictures):
    """True for pictures with nothing on them (icons that the rasterizer cannot draw)."""
    return pictures[..., 3, :, :].flatten(-2).amax(-1) == 0


def to_hsv(rgb):
    """`[batch, 3, h, w]` in 0..1 to hue in degrees, saturation, value, each `[batch, h, w]`."""
    red, green, blue = rgb.unbind(1)
    high, low = rgb.amax(1), rgb.amin(1)
    range_ = high - low + 1e-9
    hue = torch.where(
        high == red,
        ((green - blue) / range_) % 6,
        torch.where(high == green, (blue - red) / range_ + 2, (red - green) / range_ + 4),
    )
    return hue * 60, torch.where(high > 1e-6, (high - low) / (high + 1e-9), torch.zeros_like(high)), high


def from_hsv(hue, saturation, value):
    offsets = torch.tensor([5.0, 3.0, 1.0], device=hue.device).view(1, 3, 1, 1)
    sector = (offsets + hue[:, None] / 60) % 6
    return value[:, None] * (1 - saturation[:, None] * torch.minimum(sector, 4 - sector).clamp(0, 1))


def recolour(pictures, colour):
    """Give the most frequent hue of each picture the named colour; everything else keeps its own.

    `pictures`: premultiplied RGBA `[batch, 4, h, w]` in 0..1.
    """
    alpha = pictures[:, 3:]
    rgb = (pictures[:, :3] / alpha.clamp(min=1e-4)).clamp(0, 1)
    hue, saturation, value = to_hsv(rgb)
    weight = ((saturation > 0.25) & (value > 0.15)) * alpha[:, 0] * saturation
    bins = (hue / 10).long().clamp(0, 35).flatten(1)
    histogram = torch.zeros(len(rgb), 36, device=rgb.device).scatter_add_(1, bins, weight.flatten(1))
    histogram = histogram + histogram.roll(1, 1) + histogram.roll(-1, 1)
    dominant = (histogram.argmax(1).float() + 0.5)[:, None, None] * 10
    near = (((hue - dominant + 180) % 360 - 180).abs() < 45) & (saturation > 0.2)
    if colour == "pink":
        saturation, value = saturation * 0.5, value.clamp(min=0.9) * 0.98
    elif colour in ("yellow", "orange"):
        value = (value * 1.15 + 0.1).clamp(0, 1)
    elif colour in ("blue", "purple"):
        value = value * 0.95
    painted = from_hsv(torch.full_like(hue, float(HUES[colour])), saturation, value)
    return torch.cat([torch.where(near[:, None], painted, rgb) * alpha, alpha], 1)


def place(pictures, size, top, left, side):
    """Scale pictures `[batch, 4, 128, 128]` to `size` and put them on a transparent square of `side`."""
    if size != pictures.shape[-1]:
        pictures = F.interpolate(pictures, size=(size, size), mode="bilinear", antialias=True).clamp(0, 1)
    return F.pad(pictures, (left, side - size - left, top, side - size - top))


def on_background(pictures, colours):
    """Premultiplied RGBA over colours `[batch, 3]` (0..1), as RGB in -1..1."""
    return (pictures[:, :3] + (1 - pictures[:, 3:]) * colours[:, :, None, None]) * 2 - 1
