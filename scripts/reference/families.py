"""Tiny models of every family besides Stable Diffusion 1.x, with procedural weights, and what diffusers and transformers
make of them."""

import pathlib
import tempfile

import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

import layout
import models
import tokens

SEED = 42
PROMPTS = ["an astronaut riding a horse", ""]


def unet(channels, down, up, context, **more):
    return UNet2DConditionModel(
        sample_size=64,
        in_channels=4,
        out_channels=4,
        layers_per_block=2,
        norm_num_groups=32,
        block_out_channels=channels,
        down_block_types=["CrossAttnDownBlock2D" if cross else "DownBlock2D" for cross in down],
        up_block_types=["CrossAttnUpBlock2D" if cross else "UpBlock2D" for cross in up],
        cross_attention_dim=context,
        attention_head_dim=[max(1, width // 64) for width in channels],  # diffusers means the number of heads
        use_linear_projection=True,
        **more,
    )


def labelled(summary, numbers):
    return {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": summary + numbers * 256,
    }


def sd2():
    return unet([64, 64, 128, 128], [True] * 3 + [False], [False] + [True] * 3, 128)


def sdxl(channels=(64, 64, 128), depths=(1, 1, 2), context=64 + 128, summary=128):
    more = labelled(summary, 6) | {"transformer_layers_per_block": list(depths)}
    return unet(list(channels), [False, True, True], [True, True, False], context, **more)


def refiner():
    more = labelled(128, 5) | {"transformer_layers_per_block": 2}
    return unet([64, 64, 128, 128], [False, True, True, False], [False, True, True, False], 128, **more)


def open_clip(width, layers):
    """OpenCLIP's text encoder (H and bigG) as transformers has it."""
    config = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        max_position_embeddings=77,
        hidden_act="gelu",
        projection_dim=width,
        bos_token_id=49406,
        eos_token_id=49407,
        pad_token_id=0,
    )
    return CLIPTextModelWithProjection(config)


def filled_unet(model):
    table = {layout.unet_name(name, model.config): name for name in model.state_dict()}
    made = {name: models.procedural(name, model.state_dict()[own].shape) for name, own in table.items()}
    model.load_state_dict({own: made[name] for name, own in table.items()})
    model.eval()
    return made


def filled_open_clip(model, prefix):
    made = {}

    def make(name, *shape):
        made[prefix + name] = models.procedural(prefix + name, shape)
        return made[prefix + name]

    load_open_clip(model, make)
    return made


def load_open_clip(model, make):
    """Fills the model with the tensors that `make` has under OpenCLIP's names and in its shapes."""
    config = model.config
    width = config.hidden_size
    state = {
        "embeddings.token_embedding.weight": make("token_embedding.weight", config.vocab_size, width),
        "embeddings.position_embedding.weight": make("positional_embedding", 77, width),
        "final_layer_norm.weight": make("ln_final.weight", width),
        "final_layer_norm.bias": make("ln_final.bias", width),
    }
    for i in range(config.num_hidden_layers):
        theirs, ours = f"encoder.layers.{i}.", f"transformer.resblocks.{i}."
        for kind, shape in (("weight", (3 * width, width)), ("bias", (3 * width,))):
            parts = make(f"{ours}attn.in_proj_{kind}", *shape).chunk(3)
            for part, name in zip(parts, "qkv"):
                state[f"{theirs}self_attn.{name}_proj.{kind}"] = part
        for their, our, outputs, inputs in (
            ("self_attn.out_proj", "attn.out_proj", width, width),
            ("mlp.fc1", "mlp.c_fc", 4 * width, width),
            ("mlp.fc2", "mlp.c_proj", width, 4 * width),
        ):
            state[f"{theirs}{their}.weight"] = make(f"{ours}{our}.weight", outputs, inputs)
            state[f"{theirs}{their}.bias"] = make(f"{ours}{our}.bias", outputs)
        for their, our in (("layer_norm1", "ln_1"), ("layer_norm2", "ln_2")):
            for kind in ("weight", "bias"):
                state[f"{theirs}{their}.{kind}"] = make(f"{ours}{our}.{kind}", width)
    model.text_model.load_state_dict(state)
    model.text_projection.weight.copy_(make("text_projection", width, config.projection_dim).T)
    model.eval()


def filled_clip(model, prefix):
    table = {}
    for name in model.state_dict():
        if "position_ids" not in name:
            table[prefix + (name if name.startswith("text_model.") else "text_model." + name)] = name
    made = {name: models.procedural(name, model.state_dict()[own].shape) for name, own in table.items()}
    model.load_state_dict({own: made[name] for name, own in table.items()})
    model.eval()
    return made


def folder_names(tiny_vae):
    """Lines `part name-in-the-folder name-in-a-single-file` of what diffusers would save for XL."""
    for part, model, rename in (("unet", sdxl(), layout.unet_name), ("vae", tiny_vae, layout.vae_name)):
        for name in sorted(model.state_dict()):
            yield f"{part} {name} {rename(name, model.config)}"


def padded(ids, padding):
    """What follows the first end token is padding."""
    return [row[: row.index(49407) + 1] + [padding] * (76 - row.index(49407)) for row in ids]


def latents(channels=4):
    generator = torch.Generator().manual_seed(SEED)
    return torch.randn(2, channels, 8, 8, generator=generator)


def goldens(tiny_vae):
    """{name: (tensors in the file, golden tensors)}"""
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = tokens.clip(pathlib.Path(folder))
        ids = [tokenizer(prompt) for prompt in PROMPTS]
    zeros = torch.tensor(padded(ids, 0))
    ids = torch.tensor(ids)
    result = {}

    model, text = sd2(), open_clip(128, 4)
    made = filled_unet(model) | filled_open_clip(text, "cond_stage_model.model.")
    states = text(zeros, output_hidden_states=True).hidden_states
    norm = text.text_model.final_layer_norm
    context = norm(states[-2])
    golden = {"context": context, "context.skip3": norm(states[-3]), "noise": latents()}
    golden["unet"] = model(latents(), 981.0, context).sample
    result["sd2"] = made, golden

    model, small, big = sdxl(), models.text_encoder(49408, 64, 3), open_clip(128, 4)
    made = filled_unet(model) | filled_clip(small, "conditioner.embedders.0.transformer.")
    made |= filled_open_clip(big, "conditioner.embedders.1.model.")
    one, two = small(ids, output_hidden_states=True), big(zeros, output_hidden_states=True)
    context = torch.cat([one.hidden_states[-2], two.hidden_states[-2]], -1)
    sizes = [768.0, 1344.0, 16.0, 8.0, 1024.0, 1024.0]
    added = {"text_embeds": two.text_embeds, "time_ids": torch.tensor([sizes] * 2)}
    golden = {"context": context, "pooled": two.text_embeds, "noise": latents()}
    golden["context.skip3"] = torch.cat([one.hidden_states[-3], two.hidden_states[-3]], -1)
    golden["unet"] = model(latents(), 500.5, context, added_cond_kwargs=added).sample
    golden["picture"] = tiny_vae.decode(latents()[:1] / 0.13025).sample
    result["sdxl"] = made, golden

    model, big = refiner(), open_clip(128, 3)
    made = filled_unet(model) | filled_open_clip(big, "conditioner.embedders.0.model.")
    two = big(zeros, output_hidden_states=True)
    context = two.hidden_states[-2]
    added = {"text_embeds": two.text_embeds, "time_ids": torch.tensor([[1024.0, 768.0, 0.0, 0.0, 6.0]] * 2)}
    golden = {"context": context, "pooled": two.text_embeds, "noise": latents()}
    golden["unet"] = model(latents(), 33.0, context, added_cond_kwargs=added).sample
    result["sdxl-refiner"] = made, golden

    for name, channels in (("inpaint", 9), ("edit", 8)):
        model = models.stable_diffusion_15([32, 64, 96, 96], [32, 64, 96, 96], 128, 4, channels)[0]
        filled_unet(model)
        text = models.text_encoder(49408, 128, 4)
        filled_clip(text, "cond_stage_model.transformer.")
        noise = latents(channels)
        result[name] = None, {"noise": noise, "unet": model(noise, 700.0, text(ids).last_hidden_state).sample}
    return result
