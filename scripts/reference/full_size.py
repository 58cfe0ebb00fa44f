#!/usr/bin/env python3
"""Random checkpoints of true size, and what diffusers makes of them. `scripts/full-size` calls this.

full_size.py checkpoint sd15|sdxl FOLDER   writes FOLDER/NAME.safetensors (2.1 or 6.9 GB, fp16), one tensor at a time
full_size.py expected sd15|sdxl FOLDER     writes FOLDER/NAME.expected.safetensors: text, one UNet output, one decoded
                                           latent, computed in fp32 by diffusers and transformers, one network at a time
full_size.py diffusers sd15 FOLDER         writes FOLDER/NAME-diffusers: the same checkpoint as diffusers' own folders (fp16)"""

import json
import pathlib
import sys
import tempfile
import zlib

import torch
from safetensors import safe_open
from safetensors.torch import save_file

import families
import layout
import models
import tokens

PROMPT = "a photo of an astronaut riding a horse"
VAE = [128, 256, 512, 512]


class Part:
    """One network: how it is made, and under which names its tensors lie in the file."""

    def __init__(self, make, names=None, open_clip=None):
        self.make, self.names, self.open_clip = make, names, open_clip

    def shapes(self):
        """{name in the file: shape}"""
        with torch.device("meta"):
            model = self.make()
        found = {}
        if self.open_clip is None:
            for own, tensor in model.state_dict().items():
                if "position_ids" not in own:
                    name = self.names(own, model.config)
                    found[name] = layout.file_shape(name, tensor)
        else:

            def record(name, *shape):
                found[self.open_clip + name] = shape
                return torch.empty(shape, device="meta")

            families.load_open_clip(model, record)
        return found

    def load(self, file):
        """The network with the file's weights in fp32."""
        with torch.device("meta"):
            model = self.make()
        model = model.to_empty(device="cpu")
        for name, buffer in model.named_buffers():
            assert name.endswith("position_ids"), name
            buffer.copy_(torch.arange(buffer.numel()).reshape(buffer.shape))
        if self.open_clip is None:
            for own, tensor in model.state_dict().items():
                if "position_ids" not in own:
                    found = file.get_tensor(self.names(own, model.config))
                    tensor.copy_(found.reshape(tensor.shape))
        else:
            families.load_open_clip(model, lambda name, *_shape: file.get_tensor(self.open_clip + name).float())
        return model.eval()


def clip(prefix, width, layers):
    names = lambda own, _config: prefix + (own if own.startswith("text_model.") else "text_model." + own)
    return Part(lambda: models.text_encoder(49408, width, layers), names)


def parts(name):
    """{unet, vae, text...}"""
    stable_diffusion = lambda i: lambda: models.stable_diffusion_15([320, 640, 1280, 1280], VAE, 768, 12)[i]
    vae = Part(stable_diffusion(1), layout.vae_name)
    if name == "sd15":
        text = clip("cond_stage_model.transformer.", 768, 12)
        return {"unet": Part(stable_diffusion(0), layout.unet_name), "vae": vae, "text": text}
    unet = lambda: families.sdxl([320, 640, 1280], [1, 2, 10], 768 + 1280, 1280)
    return {
        "unet": Part(unet, layout.unet_name),
        "vae": vae,
        "text": clip("conditioner.embedders.0.transformer.", 768, 12),
        "text2": Part(lambda: families.open_clip(1280, 32), open_clip="conditioner.embedders.1.model."),
    }


def random(name, shape):
    """Weights that keep activations near unit size."""
    unit = torch.rand(shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode()))) * 2 - 1
    if len(shape) == 1:
        return 1 + 0.1 * unit if name.endswith("weight") else 0.05 * unit
    fan_in = torch.Size(shape[1:]).numel()
    return unit * (0.05 if "embedding" in name else (3 / fan_in) ** 0.5)


def checkpoint(name, folder):
    shapes = {}
    for part in parts(name).values():
        shapes |= part.shapes()
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for tensor, shape in shapes.items():
        size = 2 * torch.Size(shape).numel()
        header[tensor] = {"dtype": "F16", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    encoded = json.dumps(header).encode()
    with (folder / f"{name}.safetensors").open("wb") as file:
        file.write(len(encoded).to_bytes(8, "little") + encoded)
        for tensor, shape in shapes.items():
            file.write(random(tensor, shape).half().numpy().tobytes())
    print(f"{name}: {len(shapes)} tensors, {at / 1e9:.2f} GB")


def expected(name, folder):
    with tempfile.TemporaryDirectory() as vocabulary:
        ids = tokens.clip(pathlib.Path(vocabulary))(PROMPT)
    networks, result = parts(name), {}
    with safe_open(folder / f"{name}.safetensors", "pt") as file:
        text = networks["text"].load(file)(torch.tensor([ids]), output_hidden_states=True)
        context, added = text.last_hidden_state, {}
        if name == "sdxl":
            two = networks["text2"].load(file)(torch.tensor(families.padded([ids], 0)), output_hidden_states=True)
            context = torch.cat([text.hidden_states[-2], two.hidden_states[-2]], -1)
            result["pooled"] = two.text_embeds
            sizes = torch.tensor([[1024.0, 1024.0, 0.0, 0.0, 1024.0, 1024.0]])
            added = {"added_cond_kwargs": {"text_embeds": two.text_embeds, "time_ids": sizes}}
        noise = torch.randn(1, 4, 64, 64, generator=torch.Generator().manual_seed(42))
        result |= {"context": context, "noise": noise}
        result["picture"] = networks["vae"].load(file).decode(noise[:, :, :16, :16] / (0.13025 if added else 0.18215)).sample
        result["unet"] = networks["unet"].load(file)(noise, 981.0, context, **added).sample
    for key, tensor in result.items():
        print(f"{key} {list(tensor.shape)}: standard deviation {tensor.std():.3f}")
    save_file({key: tensor.contiguous().clone() for key, tensor in result.items()}, folder / f"{name}.expected.safetensors")


def diffusers(name, folder):
    with safe_open(folder / f"{name}.safetensors", "pt") as file:
        for part, network in parts(name).items():
            own = {"text": "text_encoder", "text2": "text_encoder_2"}.get(part, part)
            network.load(file).half().save_pretrained(folder / f"{name}-diffusers" / own)


if __name__ == "__main__":
    verb, name, folder = sys.argv[1:]
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        {"checkpoint": checkpoint, "expected": expected, "diffusers": diffusers}[verb](name, folder)
