"""Muon (Jordan et al. 2024) for matrices and convolution kernels, AdamW for everything else, in one optimizer."""

import torch


@torch.no_grad()
def orthogonalize(matrix, steps=5):
    """The nearest semi-orthogonal matrix, by five Newton-Schulz steps of the quintic with Jordan's coefficients."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix.float()
    tall = x.size(0) > x.size(1)
    if tall:
        x = x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x.T if tall else x


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
            update = self._muon if group["kind"] == "muon" else self._adam
            for parameter in group["params"]:
                if parameter.grad is not None:
                    update(parameter, parameter.grad.float(), self.state[parameter], group)

    @staticmethod
    def _muon(parameter, gradient, state, group):
        average = state.setdefault("momentum", torch.zeros_like(parameter))
        average.lerp_(gradient, 1 - group["momentum"])
        rows = parameter.shape[0]
        update = orthogonalize(gradient.lerp(average, group["momentum"]).reshape(rows, -1))
        update = update * max(1.0, update.size(0) / update.size(1)) ** 0.5
        parameter.add_(update.reshape(parameter.shape), alpha=-group["lr"])

    @staticmethod
    def _adam(parameter, gradient, state, group):
        first = state.setdefault("first", torch.zeros_like(parameter))
        second = state.setdefault("second", torch.zeros_like(parameter))
        state["step"] = count = state.get("step", 0) + 1
        one, two = group["betas"]
        first.lerp_(gradient, 1 - one)
        second.lerp_(gradient * gradient, 1 - two)
        scale = (second / (1 - two**count)).sqrt_().add_(1e-8)
        parameter.addcdiv_(first, scale, value=-group["lr"] / (1 - one**count))


def split_parameters(named, adam_words):
    """Matrices for Muon; vectors, and whatever has one of `adam_words` in its name, for AdamW."""
    matrices, others = [], []
    for name, parameter in named:
        plain = parameter.ndim < 2 or any(word in name for word in adam_words)
        (others if plain else matrices).append(parameter)
    return matrices, others
