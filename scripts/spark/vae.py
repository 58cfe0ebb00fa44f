"""The autoencoder of Stable Diffusion 1.x (AutoencoderKL), small, in the tensor names of the single-file layout.

`Autoencoder().state_dict()` with the prefix `first_stage_model.` is what a checkpoint file holds, so that nothing
has to be renamed on the way out.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from group_norm import GroupNorm

GROUPS = 32
EPSILON = 1e-6


def norm(channels):
    return GroupNorm(GROUPS, channels, eps=EPSILON)


class ResidualBlock(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.norm1 = norm(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = norm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        if inputs != outputs:
            self.nin_shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x):
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)


class AttentionBlock(nn.Module):
    """One head over all positions, as wide as the channels."""

    def __init__(self, channels):
        super().__init__()
        self.norm = norm(channels)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x):
        batch, channels, height, width = x.shape
        h = self.norm(x)
        q, k, v = (layer(h).flatten(2).transpose(1, 2)[:, None] for layer in (self.q, self.k, self.v))
        h = F.scaled_dot_product_attention(q, k, v)[:, 0]
        return x + self.proj_out(h.transpose(1, 2).reshape(batch, channels, height, width))


class Downsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x):
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Level(nn.Module):
    """The blocks of one resolution; `downsample` or `upsample` is added by its owner where there is one."""

    def __init__(self, inputs, outputs, blocks):
        super().__init__()
        self.block = nn.ModuleList(ResidualBlock(inputs if i == 0 else outputs, outputs) for i in range(blocks))


class Middle(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.block_1 = ResidualBlock(channels, channels)
        self.attn_1 = AttentionBlock(channels)
        self.block_2 = ResidualBlock(channels, channels)

    def forward(self, x):
        return self.block_2(self.attn_1(self.block_1(x)))


class Encoder(nn.Module):
    def __init__(self, channels, latent):
        super().__init__()
        self.conv_in = nn.Conv2d(3, channels[0], 3, padding=1)
        self.down = nn.ModuleList()
        width = channels[0]
        for i, outputs in enumerate(channels):
            level = Level(width, outputs, 1)
            if i + 1 < len(channels):
                level.downsample = Downsample(outputs)
            self.down.append(level)
            width = outputs
        self.mid = Middle(width)
        self.norm_out = norm(width)
        self.conv_out = nn.Conv2d(width, 2 * latent, 3, padding=1)

    def forward(self, x):
        x = self.conv_in(x)
        for level in self.down:
            x = level.block[0](x)
            if hasattr(level, "downsample"):
                x = level.downsample(x)
        return self.conv_out(F.silu(self.norm_out(self.mid(x))))


class Decoder(nn.Module):
    def __init__(self, channels, latent):
        super().__init__()
        width = channels[-1]
        self.conv_in = nn.Conv2d(latent, width, 3, padding=1)
        self.mid = Middle(width)
        levels = []
        for i, outputs in reversed(list(enumerate(channels))):
            level = Level(width, outputs, 2)
            if i > 0:
                level.upsample = Upsample(outputs)
            levels.insert(0, level)
            width = outputs
        self.up = nn.ModuleList(levels)
        self.norm_out = norm(width)
        self.conv_out = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, z):
        x = self.mid(self.conv_in(z))
        for level in reversed(self.up):
            for block in level.block:
                x = block(x)
            if hasattr(level, "upsample"):
                x = level.upsample(x)
        return self.conv_out(F.silu(self.norm_out(x)))


class Autoencoder(nn.Module):
    """Pictures `[batch, 3, height, width]` in -1..1 to latents `[batch, 4, height / 8, width / 8]` and back."""

    def __init__(self, channels=(64, 96, 96, 96), latent=4):
        super().__init__()
        self.encoder = Encoder(channels, latent)
        self.decoder = Decoder(channels, latent)
        self.quant_conv = nn.Conv2d(2 * latent, 2 * latent, 1)
        self.post_quant_conv = nn.Conv2d(latent, latent, 1)

    def encode(self, pictures):
        """Mean and logarithm of the variance of each latent value."""
        mean, log_variance = self.quant_conv(self.encoder(pictures)).chunk(2, 1)
        return mean, log_variance

    def decode(self, latents):
        return self.decoder(self.post_quant_conv(latents))


@torch.no_grad()
def pass_colours_through(autoencoder, side):
    """Start as a linear map from each 8x8 cell's mean colour to a latent and back, with everything else to be learned.

    Small autoencoders lose their colours in the decoder's last norm: a group norm over two channels removes the
    level and the spread of both, so that a flat red and a flat blue area look alike behind it. Here luma and the two
    chroma differences travel along the shortcuts on three carrier channels, from the first convolution to the last.
    So that the norms let them through, the other channels of a carrier's group hold the group's mean and spread in
    place, for pictures of `side` pixels: in the encoder (three to a group) with opposite constants, in the decoder (two to a group) with a strong
    frame around the picture, which the zero padding of the first convolutions provides.
    """
    encoder, decoder = autoencoder.encoder, autoencoder.decoder
    for module in autoencoder.modules():
        if isinstance(module, ResidualBlock):
            module.conv2.weight *= 0.2
            module.conv2.bias.zero_()
            module.conv2.weight[LANES] = 0
        elif isinstance(module, AttentionBlock):
            module.proj_out.weight *= 0.2
            module.proj_out.weight[LANES] = 0
            module.proj_out.bias[LANES] = 0
    to_opponent = torch.tensor([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]])
    identity, corner = torch.eye(3), ((0, 0), (0, 1), (1, 0), (1, 1))

    _route(encoder.conv_in, CARRIERS, [0, 1, 2], to_opponent)
    for level in encoder.down:
        if hasattr(level.block[0], "nin_shortcut"):
            _route(level.block[0].nin_shortcut, CARRIERS, CARRIERS, identity)
        if hasattr(level, "downsample"):
            _route(level.downsample.conv, CARRIERS, CARRIERS, identity, corner)
    last = encoder.down[-2].downsample.conv
    for offset, constant in ((1, 3.0), (2, -3.0)):
        _route(last, [carrier + offset for carrier in CARRIERS], CARRIERS, -0.5 * identity, corner)
        last.bias[[carrier + offset for carrier in CARRIERS]] = constant
    _read_out(encoder, identity, spread=(2 / 3 * 9) ** 0.5, shift=0.0)

    frames = [carrier + 1 for carrier in CARRIERS]
    both = CARRIERS + frames
    _route(decoder.conv_in, CARRIERS, [0, 1, 2], 0.5 * identity)
    _route(decoder.conv_in, frames, [0, 1, 2], -0.5 * identity)
    for level in decoder.up:
        for block in level.block:
            if hasattr(block, "nin_shortcut"):
                _route(block.nin_shortcut, both, both, torch.eye(6))
        if hasattr(level, "upsample"):
            _route(level.upsample.conv, both, both, torch.eye(6))
    block, constant = decoder.mid.block_1, 20
    block.norm2.weight[constant], block.norm2.bias[constant] = 0, OPEN
    kernel = torch.full((3, 3), FRAME / 8)
    kernel[1, 1] = -FRAME
    block.conv2.weight[frames] = 0
    block.conv2.weight[frames, constant] = kernel / _silu(OPEN)
    # What mean and spread the frame gives to each group, where luma is that of a mostly white picture.
    edge = torch.nn.functional.conv2d(torch.ones(1, 1, side // 8, side // 8), kernel[None, None], padding=1)
    level = torch.tensor([0.35, 0.0, 0.0])
    groups = torch.stack([level[:, None, None].expand(3, *edge.shape[2:]), edge[0] - level[:, None, None]], 1).flatten(1)
    _read_out(decoder, 2 * to_opponent.inverse(), spread=groups.std(1, correction=0), shift=groups.mean(1))

    latent = autoencoder.post_quant_conv.in_channels
    for convolution in (autoencoder.quant_conv, autoencoder.post_quant_conv):
        convolution.weight.copy_(torch.eye(convolution.in_channels)[:, :, None, None])
        convolution.bias.zero_()
    autoencoder.quant_conv.bias[latent:] = -5


CARRIERS = [0, 6, 12]
# The carriers and the channels that share their groups, of two or of three.
LANES = [0, 1, 2, 6, 7, 8, 12, 13, 14]
# Height of the constant before the last activation, where silu is nearly linear, and of the decoder's frame.
OPEN = 2.0
FRAME = 8.0


def _silu(x):
    return x / (1 + math.exp(-x))


def _route(convolution, outputs, inputs, matrix, taps=None):
    """Let channels `outputs` come from `inputs` alone, averaged over the kernel's `taps` (default: its centre)."""
    size = convolution.kernel_size[0]
    taps = taps or ((size // 2, size // 2),)
    convolution.weight[outputs] = 0
    convolution.bias[outputs] = 0
    for row, column in taps:
        for output, values in zip(outputs, matrix):
            convolution.weight[output, inputs, row, column] = values / len(taps)


def _read_out(part, matrix, spread, shift):
    """Undo the last norm on the carriers, pass silu where it is nearly linear, and apply `matrix`."""
    part.norm_out.weight[CARRIERS] = spread
    part.norm_out.bias[CARRIERS] = shift + OPEN
    sigmoid = 1 / (1 + math.exp(-OPEN))
    matrix = matrix / (sigmoid * (1 + OPEN * (1 - sigmoid)))
    part.conv_out.weight *= 0.2
    part.conv_out.weight[:3] = 0
    part.conv_out.weight[:3, CARRIERS, 1, 1] = matrix
    part.conv_out.bias.zero_()
    part.conv_out.bias[:3] = -matrix.sum(1) * _silu(OPEN)


@torch.no_grad()
def fold_latent_statistics(autoencoder, mean, spread, scale=0.18215):
    """Make `scale * latent` zero-mean and unit-variance by changing only the two 1x1 convolutions.

    `mean` and `spread`: `[4]`, of the latents as they are now.
    """
    factor = spread * scale
    quant, post = autoencoder.quant_conv, autoencoder.post_quant_conv
    latent = len(mean)
    quant.weight[:latent] /= factor[:, None, None, None]
    quant.bias[:latent] = (quant.bias[:latent] - mean) / factor
    quant.bias[latent:] -= 2 * factor.log()
    post.bias += post.weight[:, :, 0, 0] @ mean
    post.weight *= factor[None, :, None, None]


@torch.no_grad()
def rotate_latents(autoencoder, rotation):
    """Turn the latents by an orthogonal matrix `[4, 4]` without changing what is decoded; unit variance stays."""
    quant, post = autoencoder.quant_conv, autoencoder.post_quant_conv
    latent = len(rotation)
    quant.weight[:latent] = torch.einsum("ij,jkhw->ikhw", rotation, quant.weight[:latent])
    quant.bias[:latent] = rotation @ quant.bias[:latent]
    post.weight.copy_(torch.einsum("ijhw,kj->ikhw", post.weight, rotation))
