"""Draw one picture from a finished spark, with Fieldforge's own engine or with torch."""

import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer

from export import load_spark
from sampling import LATENT_SCALE, sample
from tokenizer import token_numbers

STEPS, GUIDANCE = 20, 5.0


class Artist:
    """`program` is the path of a `fieldforge`; without one, torch draws. `seconds` holds the time of each picture."""

    def __init__(self, model, program=None):
        self.model, self.program, self.seconds = Path(model), program, []
        self.spark = load_spark(model)
        self.tokenizer = Tokenizer.from_file(str(self.model.with_name("tokenizer.json")))

    def draw(self, prompt, seed):
        """RGB `[3, side, side]` in 0..1."""
        started = time.monotonic()
        picture = self._with_engine(prompt, seed) if self.program else self._with_torch(prompt, seed)
        self.seconds.append(time.monotonic() - started)
        return picture

    def _with_engine(self, prompt, seed):
        side = self.spark.side
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "picture.png"
            command = [self.program, "generate", prompt, "--model", self.model, "--out", out, "--size", f"{side}x{side}"]
            command += ["--seed", str(seed), "--steps", str(STEPS), "--cfg", str(GUIDANCE), "--sampler", "Euler"]
            done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
            if done.returncode != 0:
                raise SystemExit(f"`{' '.join(map(str, command))}` failed:\n{done.stderr}")
            pixels = np.asarray(Image.open(out).convert("RGB"), dtype=np.float32)
        return torch.from_numpy(pixels / 255).permute(2, 0, 1)

    @torch.no_grad()
    def _with_torch(self, prompt, seed):
        numbers = torch.tensor([token_numbers(self.tokenizer, text) for text in (prompt, "")])
        text = self.spark.text_encoder(numbers)
        cells = self.spark.side // 8
        noise = torch.randn(1, 4, cells, cells, generator=torch.Generator().manual_seed(seed))
        latent = sample(self.spark.unet, text[:1], text[1:], noise, STEPS, GUIDANCE)
        return (self.spark.autoencoder.decode(latent / LATENT_SCALE)[0].clamp(-1, 1) + 1) / 2
