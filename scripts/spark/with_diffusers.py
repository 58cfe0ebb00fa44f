"""Draw a picture with diffusers from the single file alone and a local configuration: does another program see the same model?"""

import json
import tempfile
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from diffusers.utils import logging
from transformers import PreTrainedTokenizerFast

from export import diffusers_configs
from sampling import LATENT_SCALE, sample
from tokenizer import END, token_numbers

INDEX = dict(
    _class_name="StableDiffusionPipeline",
    feature_extractor=[None, None],
    safety_checker=[None, None],
    scheduler=["diffusers", "EulerDiscreteScheduler"],
    text_encoder=["transformers", "CLIPTextModel"],
    tokenizer=["transformers", "PreTrainedTokenizerFast"],
    unet=["diffusers", "UNet2DConditionModel"],
    vae=["diffusers", "AutoencoderKL"],
)
SCHEDULE = dict(_class_name="EulerDiscreteScheduler", beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, steps_offset=1)


def load(path, spark):
    """diffusers' own reading of the file; only its configuration comes from us, since shapes do not tell it."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        configs = dict(diffusers_configs(spark), scheduler=SCHEDULE)
        names = dict(unet="UNet2DConditionModel", vae="AutoencoderKL", text_encoder="CLIPTextModel")
        (folder / "model_index.json").write_text(json.dumps(INDEX))
        for part, config in configs.items():
            (folder / part).mkdir()
            file = "scheduler_config.json" if part == "scheduler" else "config.json"
            (folder / part / file).write_text(json.dumps(dict(config, _class_name=names.get(part, SCHEDULE["_class_name"]))))
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(Path(path).with_name("tokenizer.json")), pad_token=END)
        return StableDiffusionPipeline.from_single_file(
            str(path), config=str(folder), tokenizer=tokenizer, safety_checker=None, local_files_only=True
        )


@torch.no_grad()
def draw(pipeline, tokenizer, prompt, seed, steps, guidance):
    """RGB `[3, side, side]` in 0..1 with Euler's method, from the noise that a CPU generator gives for the seed."""
    numbers = torch.tensor([token_numbers(tokenizer, text) for text in (prompt, "")])
    text = pipeline.text_encoder(numbers).last_hidden_state
    cells = pipeline.unet.config.sample_size
    noise = torch.randn(1, 4, cells, cells, generator=torch.Generator().manual_seed(seed))
    unet = lambda x, timesteps, context: pipeline.unet(x, timesteps, context).sample  # noqa: E731
    latent = sample(unet, text[:1], text[1:], noise, steps, guidance)
    return (pipeline.vae.decode(latent / LATENT_SCALE).sample[0].clamp(-1, 1) + 1) / 2
