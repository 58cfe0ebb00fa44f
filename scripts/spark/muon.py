"""Muon (Jordan et al. 2024) for matrices and convolution kernels, AdamW for everything else, in one optimizer.

All matrices of a shape are updated together, so that a step is a few dozen large operations and not thousands of small ones.
"""

import torch


def orthogonalize(matrices, steps=5):
    """The nearest semi-orthogonal matrices of `[n, rows, columns]`, by Newton-Schulz steps with Jordan's coefficients."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices.bfloat16() if matrices.is_cuda else matrices
    tall = x.size(1) > x.size(2)
    if tall:
        x = x.mT
    x = x / (x.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """Learning rates are set through `set_rate(fraction)`, a factor on each group's own base rate."""

    def __init__(self, matrices, others, matrix_rate, other_rate, momentum=0.95, betas=(0.9, 0.99)):
        groups = [
            dict(params=matrices, kind="muon", lr=matrix_rate, base=matrix_rate),
            dict(params=others, kind="adam", lr=other_rate, base=other_rate),
        ]
        super().__init__(groups, dict(momentum=momentum, betas=betas))

    def set_rate(self, fraction):
        for group in self.param_groups:
            group["lr"] = group["base"] * fraction

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            moving = [parameter for parameter in group["params"] if parameter.grad is not None]
            if moving:
                (self._muon if group["kind"] == "muon" else self._adam)(moving, group)

    def _kept(self, parameters, name):
        return [self.state[p].setdefault(name, torch.zeros_like(p)) for p in parameters]

    def _muon(self, parameters, group):
        gradients, averages = [p.grad for p in parameters], self._kept(parameters, "momentum")
        torch._foreach_lerp_(averages, gradients, 1 - group["momentum"])
        updates = torch._foreach_lerp(gradients, averages, group["momentum"])
        shapes = {}
        for parameter, update in zip(parameters, updates):
            shapes.setdefault((len(parameter), parameter[0].numel()), []).append((parameter, update))
        for (rows, columns), members in shapes.items():
            flat = orthogonalize(torch.stack([update.reshape(rows, columns) for _, update in members]))
            flat *= max(1.0, rows / columns) ** 0.5
            turned = [part.reshape(parameter.shape) for (parameter, _), part in zip(members, flat)]
            torch._foreach_add_([parameter for parameter, _ in members], turned, alpha=-group["lr"])

    def _adam(self, parameters, group):
        gradients = [p.grad for p in parameters]
        first, second = self._kept(parameters, "first"), self._kept(parameters, "second")
        group["count"] = count = group.get("count", 0) + 1
        one, two = group["betas"]
        torch._foreach_lerp_(first, gradients, 1 - one)
        torch._foreach_lerp_(second, torch._foreach_mul(gradients, gradients), 1 - two)
        scale = torch._foreach_div(second, 1 - two**count)
        torch._foreach_sqrt_(scale)
        torch._foreach_add_(scale, 1e-8)
        torch._foreach_addcdiv_(parameters, first, scale, value=-group["lr"] / (1 - one**count))


def split_parameters(named, adam_words):
    """Matrices for Muon; vectors, and whatever has one of `adam_words` in its name, for AdamW."""
    matrices, others = [], []
    for name, parameter in named:
        plain = parameter.ndim < 2 or any(word in name for word in adam_words)
        (others if plain else matrices).append(parameter)
    return matrices, others
