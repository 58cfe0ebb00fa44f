#!/usr/bin/env python3
"""Draws two steps with stable-diffusion.cpp, which logs how long its parts take: `stable_diffusion_cpp_speed.py FILE SIDE`.
Its last line is JSON: how many steps."""

import json
import os
import sys

from stable_diffusion_cpp import StableDiffusion

STEPS = 2
file, side = sys.argv[1], int(sys.argv[2])
model = StableDiffusion(model_path=file, n_threads=os.cpu_count(), verbose=True)
model.generate_image(prompt="a lighthouse on a cliff", width=side, height=side, sample_steps=STEPS, sample_method="euler", cfg_scale=7.0, seed=1)
print(json.dumps(dict(steps=STEPS)))
