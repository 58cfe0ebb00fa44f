"""Group norm with a quick backward pass on the CPU, where torch's own takes a third of an autoencoder's training step."""

import torch
from torch import nn


class _OnCpu(torch.autograd.Function):
    @staticmethod
    def forward(context, x, weight, bias, groups, epsilon):
        batch, channels, height, width = x.shape
        y, mean, scale = torch.native_group_norm(x, weight, bias, batch, channels, height * width, groups, epsilon)
        context.save_for_backward(x, weight, mean, scale)
        return y

    @staticmethod
    def backward(context, gradient):
        x, weight, mean, scale = context.saved_tensors
        batch, channels, height, width = x.shape
        groups = mean.shape[1]
        members = channels // groups
        per_channel = lambda t: t.float().repeat_interleave(members, 1)  # noqa: E731
        per_group = lambda t: per_channel(t.view(batch, groups, members).sum(2))  # noqa: E731
        over_pixels = lambda t: t[:, :, None, None].to(x.dtype)  # noqa: E731
        weight, mean, scale = weight.float(), per_channel(mean), per_channel(scale)
        centred = x - over_pixels(mean)
        total = gradient.sum((2, 3)).float()
        product = (gradient * centred).sum((2, 3)).float() * scale
        count = members * height * width
        along = -per_group(weight * product) * scale.square() / count
        constant = -per_group(weight * total) * scale / count
        result = torch.addcmul(over_pixels(constant), gradient, over_pixels(weight * scale))
        return result.addcmul_(centred, over_pixels(along)), product.sum(0), total.sum(0), None, None


class GroupNorm(nn.GroupNorm):
    def forward(self, x):
        if x.is_cpu and x.requires_grad:
            return _OnCpu.apply(x, self.weight, self.bias, self.num_groups, self.eps)
        return super().forward(x)
