"""From rasterized emoji to training pictures: placing, recolouring, backgrounds. Everything is batched in torch."""

import gzip
from pathlib import Path

import torch
import torch.nn.functional as F

from concepts import HUES, STYLES

SIDE = 128
COLOURS = list(HUES)


def load_pictures(work, device="cpu"):
    """Premultiplied RGBA bytes `[2, concepts, 4, 128, 128]`, first noto, then flat; written by `rasterize.mjs`."""
    sets = []
    for style in STYLES:
        raw = gzip.decompress((Path(work) / f"pictures-{style}.rgba.gz").read_bytes())
        sets.append(torch.frombuffer(bytearray(raw), dtype=torch.uint8).view(-1, SIDE, SIDE, 4).permute(0, 3, 1, 2))
    return torch.stack(sets).contiguous().to(device)


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


def turn_hues(pictures, degrees):
    """Turn all hues of premultiplied RGBA `[batch, 4, h, w]` by `degrees` `[batch]`."""
    alpha = pictures[:, 3:]
    hue, saturation, value = to_hsv((pictures[:, :3] / alpha.clamp(min=1e-4)).clamp(0, 1))
    return torch.cat([from_hsv((hue + degrees[:, None, None]) % 360, saturation, value) * alpha, alpha], 1)


def recolour(pictures, colours):
    """Give the most frequent hue of each picture the named colour; everything else keeps its own.

    `pictures`: premultiplied RGBA `[batch, 4, h, w]` in 0..1; `colours`: `[batch]`, numbers in `COLOURS`, -1 for none.
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
    colours = colours[:, None, None]
    named = lambda *names: sum(colours == COLOURS.index(name) for name in names).bool()  # noqa: E731
    value = torch.where(named("yellow", "orange"), (value * 1.15 + 0.1).clamp(0, 1), value)
    value = torch.where(named("blue", "purple"), value * 0.95, value)
    value = torch.where(named("pink"), value.clamp(min=0.9) * 0.98, value)
    saturation = torch.where(named("pink"), saturation * 0.5, saturation)
    wanted = torch.tensor([float(HUES[name]) for name in COLOURS], device=rgb.device)[colours.clamp(min=0)]
    painted = from_hsv(wanted.expand_as(hue), saturation, value)
    return torch.cat([torch.where((near & (colours >= 0))[:, None], painted, rgb) * alpha, alpha], 1)


def place(pictures, size, left, top, turns=None, side=SIDE):
    """Scale square pictures `[batch, channels, h, h]` and put them on a transparent square of `side` pixels.

    `size`, `left`, `top`: `[batch]`, in parts of the square; `turns`: rotations or reflections `[batch, 2, 2]`.
    """
    if turns is None:
        turns = torch.eye(2, device=pictures.device).expand(len(pictures), 2, 2)
    centre = torch.stack([2 * left + size - 1, 2 * top + size - 1], 1)
    matrix = turns / size[:, None, None]
    back = torch.cat([matrix, -matrix @ centre[:, :, None]], 2)
    grid = F.affine_grid(back, [len(pictures), 1, side, side], align_corners=False)
    return F.grid_sample(pictures, grid, align_corners=False)


def shrink_to(pictures, side):
    """Mean over cells, for a `side` that divides 128."""
    return pictures if side == SIDE else F.avg_pool2d(pictures, SIDE // side)


def on_background(pictures, colours):
    """Premultiplied RGBA over colours `[batch, 3]` (0..1), as RGB in -1..1."""
    return (pictures[:, :3] + (1 - pictures[:, 3:]) * colours[:, :, None, None]) * 2 - 1
