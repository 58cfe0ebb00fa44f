"""The denoising UNet of Stable Diffusion 1.x, small, in the tensor names of the single-file layout.

`UNet().state_dict()` with the prefix `model.diffusion_model.` is what a checkpoint file holds. Three levels, one
residual block in each on the way down and two on the way up; attention on all levels but the last, eight heads.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

HEADS = 8
GROUPS = 32


def timestep_embedding(timesteps, width):
    """Cosines, then sines, of the timestep at frequencies from 1 down to 1/10000: `[batch, width]`."""
    half = width // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half, device=timesteps.device) / half)
    angles = timesteps.float()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], 1)


class ResidualBlock(nn.Module):
    def __init__(self, inputs, outputs, time):
        super().__init__()
        self.in_layers = nn.Sequential(nn.GroupNorm(GROUPS, inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(time, outputs))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(GROUPS, outputs), nn.SiLU(), nn.Identity(), nn.Conv2d(outputs, outputs, 3, padding=1)
        )
        nn.init.zeros_(self.out_layers[3].weight)
        self.skip_connection = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x, time, _context):
        h = self.in_layers(x) + self.emb_layers(time)[:, :, None, None]
        return self.skip_connection(x) + self.out_layers(h)


class CrossAttention(nn.Module):
    def __init__(self, width, context):
        super().__init__()
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(context, width, bias=False)
        self.to_v = nn.Linear(context, width, bias=False)
        self.to_out = nn.Sequential(nn.Linear(width, width))

    def forward(self, x, context):
        """`context` may have fewer rows than `x`: row i then serves x's rows i, i + rows, ..."""
        split = lambda t: t.view(len(t), -1, HEADS, t.shape[-1] // HEADS).transpose(1, 2)  # noqa: E731
        repeats = len(x) // len(context)
        q, k, v = split(self.to_q(x)), split(self.to_k(context)), split(self.to_v(context))
        if repeats > 1:
            k, v = k.repeat(repeats, 1, 1, 1), v.repeat(repeats, 1, 1, 1)
        return self.to_out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class GatedGelu(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.proj = nn.Linear(width, 8 * width)

    def forward(self, x):
        x, gate = self.proj(x).chunk(2, -1)
        return x * F.gelu(gate)


class FeedForward(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.net = nn.Sequential(GatedGelu(width), nn.Identity(), nn.Linear(4 * width, width))

    def forward(self, x):
        return self.net(x)


class TransformerBlock(nn.Module):
    def __init__(self, width, context):
        super().__init__()
        self.attn1 = CrossAttention(width, width)
        self.attn2 = CrossAttention(width, context)
        self.ff = FeedForward(width)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))

    def forward(self, x, context):
        h = self.norm1(x)
        x = x + self.attn1(h, h)
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff(self.norm3(x))


class SpatialTransformer(nn.Module):
    def __init__(self, width, context):
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, width, eps=1e-6)
        self.proj_in = nn.Conv2d(width, width, 1)
        self.transformer_blocks = nn.ModuleList([TransformerBlock(width, context)])
        self.proj_out = nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.proj_out.weight)

    def forward(self, x, _time, context):
        batch, width, rows, columns = x.shape
        h = self.proj_in(self.norm(x)).flatten(2).transpose(1, 2)
        h = self.transformer_blocks[0](h, context)
        return x + self.proj_out(h.transpose(1, 2).reshape(batch, width, rows, columns))


class Downsample(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.op = nn.Conv2d(width, width, 3, stride=2, padding=1)

    def forward(self, x, _time, _context):
        return self.op(x)


class Upsample(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x, _time, _context):
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class First(nn.Conv2d):
    def forward(self, x, _time, _context):
        return super().forward(x)


class UNet(nn.Module):
    """Noisy latents `[batch, 4, h, w]`, timesteps `[batch]`, text `[batch, 77, context]` to the noise in them."""

    def __init__(self, channels=(64, 128, 128), context=128):
        super().__init__()
        self.width, time, last = channels[0], 4 * channels[0], len(channels) - 1
        self.time_embed = nn.Sequential(nn.Linear(self.width, time), nn.SiLU(), nn.Linear(time, time))
        self.input_blocks = nn.ModuleList([nn.ModuleList([First(4, self.width, 3, padding=1)])])
        width, skips = self.width, [self.width]
        for level, outputs in enumerate(channels):
            parts = [ResidualBlock(width, outputs, time)]
            if level < last:
                parts.append(SpatialTransformer(outputs, context))
            self.input_blocks.append(nn.ModuleList(parts))
            width = outputs
            skips.append(width)
            if level < last:
                self.input_blocks.append(nn.ModuleList([Downsample(width)]))
                skips.append(width)
        self.middle_block = nn.ModuleList(
            [ResidualBlock(width, width, time), SpatialTransformer(width, context), ResidualBlock(width, width, time)]
        )
        self.output_blocks = nn.ModuleList()
        for level, outputs in reversed(list(enumerate(channels))):
            for i in range(2):
                parts = [ResidualBlock(width + skips.pop(), outputs, time)]
                if level < last:
                    parts.append(SpatialTransformer(outputs, context))
                if i == 1 and level > 0:
                    parts.append(Upsample(outputs))
                self.output_blocks.append(nn.ModuleList(parts))
                width = outputs
        self.out = nn.Sequential(nn.GroupNorm(GROUPS, width), nn.SiLU(), nn.Conv2d(width, 4, 3, padding=1))
        nn.init.zeros_(self.out[2].weight)

    def forward(self, x, timesteps, context):
        time = self.time_embed(timestep_embedding(timesteps, self.width))
        kept = []
        for block in self.input_blocks:
            for part in block:
                x = part(x, time, context)
            kept.append(x)
        for part in self.middle_block:
            x = part(x, time, context)
        for block in self.output_blocks:
            x = torch.cat([x, kept.pop()], 1)
            for part in block:
                x = part(x, time, context)
        return self.out(x)
