"""A denoiser given by a formula, for samplers: the best guess for pictures that are one of two, plus a little noise."""

import torch

import levels


class Toy:
    """Predicts noise or velocity for elements that are `+a` or `-a`, with the standard deviation `SPREAD`."""

    SHAPE, SPREAD = (4, 4, 4), 0.1

    def __init__(self, prediction="epsilon", zero_snr=False):
        self.prediction, self.table = prediction, levels.table(zero_snr)
        self.a = 1.5 * torch.arange(1.0, 65.0).sin().reshape(self.SHAPE)

    def noise(self, x, timestep):
        """What the network would answer: x is scaled to unit variance."""
        sigma = levels.sigma(self.table, torch.as_tensor(timestep, dtype=torch.float32)).double()
        x = x.double() * (1 + sigma**2).sqrt()
        variance = self.SPREAD**2 + sigma**2
        seen = (self.SPREAD**2 * x + sigma**2 * self.a * (self.a * x / variance).tanh()) / variance
        noise = (x - seen) / sigma
        if self.prediction == "v_prediction":
            noise = (noise - sigma * seen) / (1 + sigma**2).sqrt()
        return noise.float()

    def __call__(self, x, sigma):
        sigma = torch.as_tensor(sigma).flatten()[0]
        return self.denoised(x, sigma, levels.timestep(self.table, sigma))

    def denoised(self, x, sigma, timestep):
        found = self.noise(x / (sigma**2 + 1).sqrt(), timestep)
        if self.prediction == "v_prediction":
            return x / (sigma**2 + 1) - found * sigma / (sigma**2 + 1).sqrt()
        return x - sigma * found
