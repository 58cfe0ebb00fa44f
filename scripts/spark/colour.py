"""CIELAB from sRGB (D65, IEC 61966-2-1), for the figures; opponent colours for the loss."""

import torch

_XYZ = torch.tensor([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])
_WHITE = torch.tensor([0.95047, 1.0, 1.08883])


def lab(rgb):
    """sRGB `[..., 3, h, w]` in 0..1 to CIELAB of the same shape."""
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb.clamp(min=0) + 0.055) / 1.055) ** 2.4)
    xyz = torch.einsum("ij,...jhw->...ihw", _XYZ.to(rgb), linear) / _WHITE.to(rgb)[:, None, None]
    f = torch.where(xyz > 0.008856, xyz.clamp(min=1e-8) ** (1 / 3), 7.787 * xyz + 16 / 116)
    x, y, z = f.unbind(-3)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -3)


def delta_e(first, second):
    """CIE76 difference of two sRGB pictures `[..., 3, h, w]` in 0..1, as `[..., h, w]`."""
    return (lab(first) - lab(second)).norm(dim=-3)


def opponent(rgb):
    """Luma and two chroma differences (ITU-R BT.601), linear: `[batch, 3, h, w]`."""
    red, green, blue = rgb.unbind(1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return torch.stack([luma, 0.564 * (blue - luma), 0.713 * (red - luma)], 1)
