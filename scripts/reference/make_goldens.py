#!/usr/bin/env python3
"""Makes every golden file of crates/engine/tests/golden/ anew: `python scripts/reference/make_goldens.py`.

With names behind it (`spark token_ids`), only what these functions write.
"""

import json
import pathlib
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file

import autoencoder
import controlnet
import families
import levels
import lora
import models
import noise as noises
import prompt_goldens
import prompt_states
import pictures
import pipelines
import sampling
import taesd
import tokens
import toy
import upscaler

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "crates/engine/tests/golden"
SPARK = ROOT / "models/spark"
PROMPT, SEED, STEPS, SCALE = "a red apple", 42, 8, 5.0


def write(name, tensors):
    save_file({key: value.contiguous().clone() for key, value in tensors.items()}, GOLDEN / f"{name}.safetensors")
    print(f"{name}: {sum(value.numel() for value in tensors.values())} numbers")


def random():
    """torch.randn: every path of it, and what a second call of the same generator gives."""
    tensors = {}
    for seed, counts in [
        (0, (16384, 256)),
        (1, (1, 3, 15)),
        (42, (16, 17, 31, 100)),
        (2**32 - 1, (300, 5)),
        (2**40 + 7, (64,)),
        (7, (5, 20, 4)),
    ]:
        generator = torch.Generator().manual_seed(seed)
        for call, count in enumerate(counts):
            tensors[f"{seed}.{call}"] = torch.randn(count, generator=generator)
    many = torch.randn(2_000_003, generator=torch.Generator().manual_seed(123)).view(torch.int32).to(torch.int64)
    odd = torch.arange(many.numel()) * 2 + 1
    tensors["checksum"] = ((many & 0xFFFFFFFF) * odd).sum().reshape(1)  # wraps around
    write("random", tensors)


def token_ids():
    with tempfile.TemporaryDirectory() as folder:
        clip = tokens.clip(pathlib.Path(folder))
        spark = tokens.spark(SPARK)
        rows = [{"prompt": p, "clip": clip(p), "spark": spark(p)} for p in tokens.PROMPTS]
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (GOLDEN / "tokens.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def prompts():
    with tempfile.TemporaryDirectory() as folder:
        tokens.clip(pathlib.Path(folder))
        words = tokens.words(pathlib.Path(folder))
    prompt_goldens.write(GOLDEN / "prompts.json", words, 49406, 49407, 267)
    unet, vae, clip = models.tiny()
    models.fill_procedurally(unet, vae, clip)
    small, big = models.text_encoder(49408, 64, 3), families.open_clip(128, 4)
    families.filled_clip(small, "conditioner.embedders.0.transformer.")
    families.filled_open_clip(big, "conditioner.embedders.1.model.")
    write("prompt_states", prompt_states.goldens(clip, small, big, words))
    prompt_states.write_cases(GOLDEN / "prompt_states.json")


def spark():
    unet, vae, clip = models.spark(SPARK)
    ids = tokens.spark(SPARK)
    context, empty = (clip(torch.tensor([ids(p)])).last_hidden_state for p in (PROMPT, ""))
    cells = json.loads((SPARK / "spark_info.json").read_text())["resolution"] // 8
    generator = torch.Generator().manual_seed(SEED)
    noise = torch.randn(1, 4, cells, cells, generator=generator)
    wide = torch.randn(2, 4, 7, 12, generator=generator)
    tensors = {"context": torch.cat([context, empty]), "noise": noise, "wide": wide}
    for timestep in (981.0, 500.5, 1.0):
        tensors[f"unet.{timestep}"] = unet(noise, timestep, context).sample
    tensors["unet.wide"] = unet(wide, 250.0, torch.cat([context, empty])).sample
    for name in sampling.NAMES:
        generator = torch.Generator().manual_seed(SEED)
        first = torch.randn(1, 4, cells, cells, generator=generator)
        draw = lambda: torch.randn(1, 4, cells, cells, generator=generator)
        tree = lambda low, high: noises.tree("CPU", SEED, (1, 4, cells, cells), low, high)
        model = sampling.Guided(unet, context, empty, SCALE)
        tensors[f"latent.{name}"] = sampling.run(name, model, first, STEPS, draw, tree=tree)
    tensors["picture"] = vae.decode(tensors["latent.Euler"] / 0.18215).sample
    write("spark", tensors)


def tiny():
    unet, vae, clip = models.tiny()
    made = models.fill_procedurally(unet, vae, clip)
    lines = [f"{name} {','.join(map(str, tensor.shape))}" for name, tensor in sorted(made.items())]
    (GOLDEN / "tiny.tensors.txt").write_text("\n".join(lines) + "\n")
    with tempfile.TemporaryDirectory() as folder:
        ids = tokens.clip(pathlib.Path(folder))(tokens.PROMPTS[3])
    context = clip(torch.tensor([ids])).last_hidden_state
    generator = torch.Generator().manual_seed(SEED)
    noise, odd = torch.randn(1, 4, 16, 16, generator=generator), torch.randn(1, 4, 9, 13, generator=generator)
    tensors = {"context": context, "noise": noise, "odd": odd}
    tensors["unet.981.0"] = unet(noise, 981.0, context).sample
    tensors["unet.33.0"] = unet(noise, 33.0, context).sample
    tensors["unet.odd"] = unet(odd, 500.0, context).sample
    tensors["picture"] = vae.decode(noise[:, :, :8, :8] / 0.18215).sample
    write("tiny", tensors)
    with tempfile.TemporaryDirectory() as folder:
        ids = tokens.clip(pathlib.Path(folder))
        encode = lambda prompt: clip(torch.tensor([ids(prompt)])).last_hidden_state
        looking = [models.tiny(channels)[0] for channels in (9, 8)]
        for model in looking:
            families.filled_unet(model)
        write("pipelines", pipelines.goldens(unet, vae, encode, *looking))


def vae():
    unet, small, clip = models.tiny()
    models.fill_procedurally(unet, small, clip)
    write("vae", autoencoder.encoder({"tiny": small, "spark": models.spark(SPARK)[1]}))


def write_listing(name, shapes):
    lines = [f"{tensor} {','.join(map(str, shape))}" for tensor, shape in sorted(shapes.items())]
    (GOLDEN / f"{name}.tensors.txt").write_text("\n".join(lines) + "\n")


def other_families():
    unet, vae, clip = models.tiny()
    models.fill_procedurally(unet, vae, clip)
    for name, (made, golden) in families.goldens(vae).items():
        if made is not None:
            write_listing(name, {name: tensor.shape for name, tensor in made.items()})
        write(name, golden)
    (GOLDEN / "sdxl.folder.txt").write_text("\n".join(families.folder_names(vae)) + "\n")


def small_networks():
    tensors, shapes = taesd.golden()
    write("taesd", tensors)
    write_listing("taesd", shapes)
    tensors, cases = upscaler.golden()
    write("upscaler", tensors)
    write_listing("upscaler", {f"{case}/{name}": shape for case, shapes in cases.items() for name, shape in shapes.items()})


def control():
    """Needs the contexts of `tiny` and `other_families`."""
    unet, vae, clip = models.tiny()
    models.fill_procedurally(unet, vae, clip)
    tensors, shapes = controlnet.golden(unet, load_file(GOLDEN / "tiny.safetensors")["context"])
    write("controlnet", tensors)
    write_listing("controlnet", shapes)
    unet = families.sdxl()
    families.filled_unet(unet)
    known = load_file(GOLDEN / "sdxl.safetensors")
    sizes = torch.tensor([[768.0, 1344.0, 16.0, 8.0, 1024.0, 1024.0]] * 2)
    added = {"text_embeds": known["pooled"], "time_ids": sizes}
    tensors, shapes = controlnet.golden(unet, known["context"], added)
    write("controlnet-sdxl", tensors)
    write_listing("controlnet-sdxl", shapes)
    write("canny", controlnet.edges())


def loras():
    parts = models.tiny()
    made = models.fill_procedurally(*parts)
    with tempfile.TemporaryDirectory() as folder:
        ids = tokens.clip(pathlib.Path(folder))(tokens.PROMPTS[3])
    context = parts[2](torch.tensor([ids])).last_hidden_state
    noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(SEED))
    merged = lora.goldens(GOLDEN / "lora", parts, made, noise, context)
    write("lora", merged | lora.sdxl(GOLDEN / "lora"))


def noise():
    write("noise", noises.goldens())


def samplers():
    """Every sampler around a formula, and the levels of every scheduler."""
    tensors, rows = {}, []
    for what, name, steps, settings, options in sampling.cases():
        model = toy.Toy(options.pop("prediction", "epsilon"), options.pop("zero_snr", False))
        kind = settings.get("noise", {}).get("source", "CPU")
        source = noises.Source(kind, SEED)
        tree = lambda low, high: noises.tree(kind, SEED, model.SHAPE, low, high)
        first, start = source(model.SHAPE), options.pop("start", 0)
        picture = model.a if start else None
        draw = lambda: source(model.SHAPE)
        tensors[what] = sampling.run(
            name, model, first, steps, draw, tree=tree, start=start, picture=picture, **options
        )
        rows.append(
            {
                "what": what,
                "sampler": name,
                "steps": steps,
                "settings": settings,
                "prediction": model.prediction,
                "zero_snr": bool(model.table[-1] > 1000),
                "skip": start,
            }
        )
    lines = ",\n".join(json.dumps(row) for row in rows)
    (GOLDEN / "samplers.json").write_text(f"[\n{lines}\n]\n")
    for zero_snr in (False, True):
        table = levels.table(zero_snr)
        for name, spread in levels.BY_NAME.items():
            for steps in (1, 2, 5, 8, 10, 11, 20, 31):
                tensors[f"levels.{name}.{steps}.{zero_snr}"] = spread(table, steps)
    xl = (14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029)
    tensors["levels.xl.20"] = levels.align_your_steps(levels.TABLE, 20, xl)
    write("samplers", tensors)


def picture_work():
    write("pictures", pictures.goldens())


if __name__ == "__main__":
    GOLDEN.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    with torch.no_grad():
        made = [random, noise, samplers, token_ids, prompts, spark, tiny, vae, other_families, small_networks]
        for make in [*made, control, picture_work, loras]:
            if make.__name__ in sys.argv[1:] or len(sys.argv) == 1:
                make()
