"""LoRA files of every kind for the tiny models, and what the models' weights become with them.

kohya's and peft's files are merged by diffusers and peft, those of LyCORIS by the functions of the `lycoris` package;
IA3, norms and whole differences, which are one line each, by plain torch."""

import json

import peft as peft_library
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
from lycoris.functional import locon, loha, lokr, weight_decompose
from safetensors.torch import save_file

import families
import layout
import models

RANK, ALPHA = 4, 2.0


class Maker:
    """Random tensors, all from one seed."""

    def __init__(self, seed):
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, *shape, scale=1.0):
        fan_in = max(1, torch.Size(shape[1:]).numel())
        return scale * torch.randn(shape, generator=self.generator) / fan_in**0.5

    def pair(self, shape):
        """lora_up and lora_down for a weight of this shape."""
        kernel = shape[2:]
        return self(shape[0], RANK, *(1 for _ in kernel), scale=0.5), self(RANK, shape[1], *kernel)


def merged_by_diffusers(parts, path, scale):
    """{tensor of the single file: merged weight} of everything that the file changes. The modules stay merged."""
    unet, vae, clip = parts
    table = layout.names(*parts)
    before = {name: part.state_dict()[own].clone() for name, (part, own) in table.items()}
    pipe = StableDiffusionPipeline(vae, clip, None, unet, DDIMScheduler(), None, None, requires_safety_checker=False)
    pipe.load_lora_weights(path.parent, weight_name=path.name, local_files_only=True)
    pipe.fuse_lora(lora_scale=scale)
    pipe.unload_lora_weights()
    result = {}
    for name, (part, own) in table.items():
        after = part.state_dict()[own]
        if not torch.equal(after, before[name]):
            result[name] = after.reshape(layout.file_shape(name, after)).clone()
    return result


def restore(tensors, parts):
    layout.load(tensors, *parts)


DOWN = "down_blocks.0.attentions.0."
BLOCK = DOWN + "transformer_blocks.0."
UNET_LAYERS = [
    BLOCK + "attn1.to_q",
    BLOCK + "attn1.to_out.0",
    BLOCK + "attn2.to_k",
    BLOCK + "ff.net.0.proj",
    DOWN + "proj_in",
    "down_blocks.0.resnets.0.conv1",
    "down_blocks.0.downsamplers.0.conv",
    "up_blocks.3.attentions.2.transformer_blocks.0.attn2.to_v",
    "up_blocks.3.resnets.2.conv_shortcut",
]
TEXT_LAYERS = ["text_model.encoder.layers.0.self_attn.k_proj", "text_model.encoder.layers.3.self_attn.out_proj"]


def shape_of(part, layer):
    own = layer + ".weight"
    state = part.state_dict()
    return tuple(state[own if own in state else own.removeprefix("text_model.")].shape)


def kohya(make, parts):
    """sd-scripts' names for diffusers' layers, 16-bit floats."""
    unet, _, clip = parts
    file = {}
    for prefix, part, layers in (("lora_unet", unet, UNET_LAYERS), ("lora_te", clip, TEXT_LAYERS)):
        for layer in layers:
            up, down = make.pair(shape_of(part, layer))
            key = f"{prefix}_{layer.replace('.', '_')}"
            file |= {f"{key}.lora_up.weight": up.half(), f"{key}.lora_down.weight": down.half()}
            file[f"{key}.alpha"] = torch.tensor(ALPHA)
    return file, {"ss_output_name": "tiny_ink", "ss_base_model_version": "sd_v1", "ss_tag_frequency": '{"1_a":{"ink":2}}'}


def peft(make, parts):
    """diffusers' names with peft's settings in the metadata, bf16; one alpha is another one."""
    unet, _, clip = parts
    file = {}
    for prefix, part, layers in (("unet", unet, UNET_LAYERS[:3] + UNET_LAYERS[7:8]), ("text_encoder", clip, TEXT_LAYERS)):
        for layer in layers:
            up, down = make.pair(shape_of(part, layer))
            key = f"{prefix}.{layer}"
            file |= {f"{key}.lora_B.weight": up.bfloat16(), f"{key}.lora_A.weight": down.bfloat16()}
    config = {"r": RANK, "lora_alpha": 8, "target_modules": ["to_q", "to_k", "to_v", "to_out.0"], "bias": "none"}
    config |= {"use_rslora": False, "use_dora": False, "rank_pattern": {}, "alpha_pattern": {"attn2.to_k": 2}}
    text = config | {"target_modules": ["k_proj", "out_proj"], "alpha_pattern": {}, "use_rslora": True}
    both = {f"unet.{key}": value for key, value in config.items()} | {f"text_encoder.{k}": v for k, v in text.items()}
    return file, {"format": "pt", "lora_adapter_metadata": json.dumps(both)}


def merged_by_peft(weight, up, down, magnitude):
    """DoRA's weight: what peft merges into one layer."""
    kernel = weight.shape[2:]
    layer = torch.nn.Conv2d(weight.shape[1], weight.shape[0], kernel, bias=False) if kernel else torch.nn.Linear(*weight.T.shape, bias=False)
    layer.weight.copy_(weight)
    config = peft_library.LoraConfig(r=RANK, lora_alpha=ALPHA, use_dora=True, target_modules=["0"])
    model = peft_library.get_peft_model(torch.nn.Sequential(layer), config)
    wrapped = model.base_model.model[0]
    wrapped.lora_A["default"].weight.copy_(down)
    wrapped.lora_B["default"].weight.copy_(up)
    own = wrapped.lora_magnitude_vector["default"].weight
    own.copy_(magnitude.reshape(own.shape))
    return model.merge_and_unload()[0].weight.clone()


def dora(make, parts, weights):
    """kohya's names with magnitudes for each output, and one of peft's; returns the file and the merged weights."""
    unet, _, _ = parts
    file, merged = {}, {}
    for layer in UNET_LAYERS[:3] + UNET_LAYERS[5:6]:
        name = layout.unet_name(f"{layer}.weight", unet.config)
        before = weights[name]
        up, down = make.pair(before.shape)
        magnitude = 1 + 0.2 * make(before.shape[0])
        merged[name] = merged_by_peft(before, up, down, magnitude)
        if layer == UNET_LAYERS[2]:
            down = down * (ALPHA / RANK)  # peft's files have no alpha
            key = f"base_model.model.{layer}"
            file |= {f"{key}.lora_B.weight": up, f"{key}.lora_A.weight": down, f"{key}.lora_magnitude_vector": magnitude}
            continue
        key = f"lora_unet_{layer.replace('.', '_')}"
        file |= {f"{key}.lora_up.weight": up, f"{key}.lora_down.weight": down, f"{key}.alpha": torch.tensor(ALPHA)}
        file[f"{key}.dora_scale"] = magnitude.reshape(-1, *(1 for _ in before.shape[1:]))
    return file, merged


def lycoris(make, weights):
    """The other methods, each in a file of its own, in the original code's names: {file: (tensors, merged weights)}."""
    root = "model.diffusion_model."
    linear = [f"output_blocks.11.1.transformer_blocks.0.attn{i}.to_{x}" for i in (1, 2) for x in ("q", "v", "k")]
    conv = [f"output_blocks.{i}.0.out_layers.3" for i in (9, 10, 11)] + [
        f"input_blocks.{i}.0.{x}" for i in (1, 2) for x in ("in_layers.2", "out_layers.3")
    ]
    gamma = ALPHA / RANK
    files = {}

    def add(method, layer, parts, delta=None, whole=None, suffix="weight", scale=0.7):
        """`scale` is how much of it is applied."""
        file, merged = files.setdefault(method, ({}, {}))
        name = f"{root}{layer}.{suffix}"
        before = weights[name]
        file.update({f"lora_unet_{layer.replace('.', '_')}.{key}": value for key, value in parts.items()})
        after = before + delta.reshape(before.shape) if whole is None else whole
        merged[name] = before + scale * (after - before)

    def shape(layer):
        return tuple(weights[f"{root}{layer}.weight"].shape)

    alpha = {"alpha": torch.tensor(ALPHA)}
    out, inn, k, _ = shape(conv[0])
    up, mid, down = make(out, RANK, 1, 1), make(RANK, RANK, k, k), make(RANK, inn, 1, 1)
    parts = {"lora_up.weight": up, "lora_mid.weight": mid, "lora_down.weight": down} | alpha
    add("locon", conv[0], parts, locon.diff_weight(down, up, mid, gamma=gamma, backend="torch"))

    out, inn = shape(linear[0])
    a1, b1, a2, b2 = make(out, RANK), make(RANK, inn), make(out, RANK), make(RANK, inn)
    parts = {"hada_w1_a": a1, "hada_w1_b": b1, "hada_w2_a": a2, "hada_w2_b": b2} | alpha
    add("loha", linear[0], parts, loha.diff_weight(b1, a1, b2, a2, None, None, gamma=gamma, backend="torch"))

    out, inn, k, _ = shape(conv[1])
    a1, b1, a2, b2 = make(out, RANK), make(RANK, inn * k * k), make(out, RANK), make(RANK, inn * k * k)
    parts = {"hada_w1_a": a1, "hada_w1_b": b1, "hada_w2_a": a2, "hada_w2_b": b2} | alpha
    add("loha", conv[1], parts, loha.diff_weight(b1, a1, b2, a2, None, None, gamma=gamma, backend="torch"))

    out, inn, k, _ = shape(conv[2])
    t1, t2 = make(RANK, RANK, k, k), make(RANK, RANK, k, k)
    a1, b1, a2, b2 = make(RANK, out), make(RANK, inn), make(RANK, out), make(RANK, inn)
    parts = {"hada_w1_a": a1, "hada_w1_b": b1, "hada_w2_a": a2, "hada_w2_b": b2, "hada_t1": t1, "hada_t2": t2} | alpha
    add("loha", conv[2], parts, loha.diff_weight(b1, a1, b2, a2, t1, t2, gamma=gamma, backend="torch"))

    def kronecker(layer, w1, w2, t2=None, gamma=gamma):
        """`w1` and `w2`: a matrix, or two factors of one."""
        parts = dict(alpha)
        for name, value in (("w1", w1), ("w2", w2)):
            parts |= {f"lokr_{name}_a": value[0], f"lokr_{name}_b": value[1]} if isinstance(value, tuple) else {f"lokr_{name}": value}
        if t2 is not None:
            parts["lokr_t2"] = t2
        split = lambda value: (None, *value) if isinstance(value, tuple) else (value, None, None)
        delta = lokr.kron_weight(*split(w1), *split(w2), t2, scale=gamma, backend="torch")
        add("lokr", layer, parts, delta)

    out, inn = shape(linear[1])
    kronecker(linear[1], make(4, 8), make(out // 4, inn // 8), gamma=1.0)  # alpha means nothing here
    out, inn = shape(linear[2])
    kronecker(linear[2], make(4, 8), (make(out // 4, RANK), make(RANK, inn // 8)))
    out, inn = shape(linear[3])
    kronecker(linear[3], (make(8, RANK), make(RANK, 4)), (make(out // 8, RANK), make(RANK, inn // 4)))
    out, inn, k, _ = shape(conv[3])
    kronecker(conv[3], make(4, 4), (make(RANK, out // 4), make(RANK, inn // 4)), make(RANK, RANK, k, k))
    out, inn, k, _ = shape(conv[4])
    kronecker(conv[4], make(4, 4), (make(out // 4, RANK), make(RANK, inn // 4 * k * k)))
    out, inn, k, _ = shape(conv[5])
    kronecker(conv[5], make(4, 4), make(out // 4, inn // 4, k, k), gamma=1.0)

    for layer, on_input in ((linear[4], 0), (linear[5], 1)):
        before = weights[f"{root}{layer}.weight"]
        factor = 0.3 * make(before.shape[on_input])
        delta = before * (factor if on_input else factor[:, None])
        add("ia3", layer, {"weight": factor, "on_input": torch.tensor(on_input)}, delta)

    layer = "output_blocks.11.1.transformer_blocks.0.attn1.to_out.0"  # magnitudes for each input
    before = weights[f"{root}{layer}.weight"]
    up, down = make.pair(before.shape)
    magnitude = 1 + 0.2 * make(before.shape[1])[None]
    whole = weight_decompose(before + gamma * up @ down, magnitude, 1, wd_on_out=False, backend="torch")
    add("doha", layer, {"lora_up.weight": up, "lora_down.weight": down, "dora_scale": magnitude} | alpha, whole=whole)

    layer = "output_blocks.11.1.transformer_blocks.0.attn2.to_out.0"  # LoHa with magnitudes
    before = weights[f"{root}{layer}.weight"]
    out, inn = before.shape
    a1, b1, a2, b2 = make(out, RANK), make(RANK, inn), make(out, RANK), make(RANK, inn)
    magnitude = 1 + 0.2 * make(out)[:, None]
    delta = loha.diff_weight(b1, a1, b2, a2, None, None, gamma=gamma, backend="torch")
    whole = weight_decompose(before + delta, magnitude, 1, wd_on_out=True, backend="torch")
    parts = {"hada_w1_a": a1, "hada_w1_b": b1, "hada_w2_a": a2, "hada_w2_b": b2, "dora_scale": magnitude} | alpha
    add("doha", layer, parts, whole=whole)

    layer = "output_blocks.11.1.norm"
    w, b = 0.1 * make(32), 0.1 * make(32)
    add("full", layer, {"w_norm": w, "b_norm": b}, w)
    add("full", layer, {}, b, suffix="bias")
    layer = "output_blocks.11.1.proj_out"
    w, b = 0.1 * make(32, 32, 1, 1), 0.1 * make(32)
    add("full", layer, {"diff": w, "diff_b": b}, w)
    add("full", layer, {}, b, suffix="bias")
    files["full"][0]["lora_unet_output_blocks_11_1_no_such_layer.alpha"] = torch.tensor(1.0)
    files["full"][0]["lora_unet_output_blocks_77_1_proj_in.diff"] = make(2, 2)
    return files


def goldens(folder, parts, tensors, noise, context):
    """Writes the LoRA files to `folder` and returns {"file|tensor": merged weight} and the UNet's outputs. Every fifth
    element of a weight is enough: 5 divides no side."""
    folder.mkdir(exist_ok=True)
    make = Maker(7)
    result = {}

    def write(name, file, metadata):
        file = {key: value.clone().contiguous() for key, value in file.items()}
        save_file(file, folder / f"{name}.safetensors", metadata={**metadata})
        return folder / f"{name}.safetensors"

    for name, maker, scale in (("kohya", kohya, 0.8), ("peft", peft, 1.0)):
        path = write(name, *maker(make, parts))
        merged = merged_by_diffusers(parts, path, scale)
        result |= {f"{name}|{tensor}": value.flatten()[::5] for tensor, value in merged.items()}
        result[f"{name}|unet"] = parts[0](noise, 981.0, context).sample
        restore(tensors, parts)
    for name, (file, merged) in ({"dora": dora(make, parts, tensors)} | lycoris(make, tensors)).items():
        write(name, file, {"ss_network_module": "lycoris.kohya"})
        result |= {f"{name}|{tensor}": value.flatten()[::5] for tensor, value in merged.items()}
    return result


def sdxl(folder):
    """kohya's file for SDXL: the original code's names, both text encoders; {"sdxl|tensor": merged weight}."""
    unet, small, big = families.sdxl(), models.text_encoder(49408, 64, 3), families.open_clip(128, 4)
    unet_tensors = families.filled_unet(unet)
    families.filled_clip(small, "conditioner.embedders.0.transformer.")
    families.filled_open_clip(big, "conditioner.embedders.1.model.")
    root, one, two = "model.diffusion_model.", "conditioner.embedders.0.transformer.", "conditioner.embedders.1.model."
    make = Maker(11)
    file, expected = {}, {}

    def add(key, shape):
        up, down = make.pair(shape)
        file.update({f"{key}.lora_up.weight": up.half(), f"{key}.lora_down.weight": down.half()})
        file[f"{key}.alpha"] = torch.tensor(ALPHA)

    own = {layout.unet_name(name, unet.config): name for name in unet.state_dict()}
    layers = ["input_blocks.4.1.transformer_blocks.0.attn1.to_q", "input_blocks.4.1.transformer_blocks.0.attn2.to_k"]
    layers += ["output_blocks.2.1.transformer_blocks.1.attn1.to_out.0", "input_blocks.4.1.proj_in", "input_blocks.3.0.op"]
    for layer in layers:
        add(f"lora_unet_{layer.replace('.', '_')}", unet_tensors[f"{root}{layer}.weight"].shape)
    for layer in ("q_proj", "out_proj"):
        add(f"lora_te1_text_model_encoder_layers_0_self_attn_{layer}", (64, 64))
    for layer in ("0_self_attn_q_proj", "0_self_attn_k_proj", "0_self_attn_v_proj", "0_self_attn_out_proj", "2_self_attn_v_proj"):
        add(f"lora_te2_text_model_encoder_layers_{layer}", (128, 128))
    path = folder / "sdxl.safetensors"
    save_file({key: value.clone() for key, value in file.items()}, path, metadata={"ss_base_model_version": "sdxl_base_v1-0"})

    pipe = StableDiffusionXLPipeline(None, small, big, None, None, unet, DDIMScheduler(), add_watermarker=False)
    pipe.load_lora_weights(folder, weight_name=path.name, local_files_only=True)
    pipe.fuse_lora(components=["unet", "text_encoder", "text_encoder_2"], lora_scale=0.6)
    pipe.unload_lora_weights()
    for layer in layers:
        expected[f"{root}{layer}.weight"] = unet.state_dict()[own[f"{root}{layer}.weight"]]
    find = lambda module, name: next(value for key, value in module.state_dict().items() if key.endswith(name))
    for name in ("encoder.layers.0.self_attn.q_proj.weight", "encoder.layers.0.self_attn.out_proj.weight"):
        expected[f"{one}text_model.{name}"] = find(small, name)
    for i in (0, 2):
        parts = [find(big, f"encoder.layers.{i}.self_attn.{x}_proj.weight") for x in "qkv"]
        expected[f"{two}transformer.resblocks.{i}.attn.in_proj_weight"] = torch.cat(parts)
    expected[f"{two}transformer.resblocks.0.attn.out_proj.weight"] = find(big, "layers.0.self_attn.out_proj.weight")

    # what diffusers does not know: the projection, which the file has the other way round
    projection = find(big, "text_projection.weight")
    up, down = make.pair(projection.shape)
    file |= {"lora_te2_text_projection.lora_up.weight": up, "lora_te2_text_projection.lora_down.weight": down}
    expected[f"{two}text_projection"] = (projection + 0.6 * up @ down).T
    save_file({key: value.clone() for key, value in file.items()}, path, metadata={"ss_base_model_version": "sdxl_base_v1-0"})
    return {f"sdxl|{name}": value.flatten()[::5].clone() for name, value in expected.items()}
