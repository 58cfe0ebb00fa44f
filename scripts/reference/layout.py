"""Names of tensors: diffusers' modules against the single-file layout of the original Stable Diffusion code."""

RESIDUAL = [
    ("time_emb_proj.", "emb_layers.1."),
    ("norm1.", "in_layers.0."),
    ("conv1.", "in_layers.2."),
    ("norm2.", "out_layers.0."),
    ("conv2.", "out_layers.3."),
    ("conv_shortcut.", "skip_connection."),
]
AUTOENCODER = [
    ("mid_block.resnets.0.", "mid.block_1."),
    ("mid_block.resnets.1.", "mid.block_2."),
    ("mid_block.attentions.0.", "mid.attn_1."),
    ("group_norm.", "norm."),
    ("to_q.", "q."),
    ("to_k.", "k."),
    ("to_v.", "v."),
    ("to_out.0.", "proj_out."),
    ("conv_norm_out.", "norm_out."),
    ("conv_shortcut.", "nin_shortcut."),
    (".resnets.", ".block."),
    (".downsamplers.0.", ".downsample."),
    (".upsamplers.0.", ".upsample."),
]


def replaced(name, table):
    for old, new in table:
        name = name.replace(old, new)
    return name


def unet_name(name, config):
    """diffusers' UNet2DConditionModel -> model.diffusion_model.*"""
    block = config.layers_per_block + 1
    parts = name.split(".")
    root = "model.diffusion_model."
    if parts[0] == "time_embedding":
        return f"{root}time_embed.{0 if parts[1] == 'linear_1' else 2}.{parts[2]}"
    if parts[0] == "add_embedding":
        return f"{root}label_emb.0.{0 if parts[1] == 'linear_1' else 2}.{parts[2]}"
    single = {"conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2"}
    if parts[0] in single:
        return f"{root}{single[parts[0]]}.{parts[1]}"
    if parts[0] == "mid_block":
        number = {("resnets", "0"): 0, ("attentions", "0"): 1, ("resnets", "1"): 2}[parts[1], parts[2]]
        rest = ".".join(parts[3:])
        return f"{root}middle_block.{number}." + (replaced(rest, RESIDUAL) if parts[1] == "resnets" else rest)
    level, kind, index, rest = int(parts[1]), parts[2], int(parts[3]), ".".join(parts[4:])
    if parts[0] == "down_blocks":
        if kind == "downsamplers":
            return f"{root}input_blocks.{block * (level + 1)}.0.op.{parts[-1]}"
        head = f"{root}input_blocks.{block * level + index + 1}."
    else:
        if kind == "upsamplers":
            place = 2 if "CrossAttn" in config.up_block_types[level] else 1
            return f"{root}output_blocks.{block * level + block - 1}.{place}.conv.{parts[-1]}"
        head = f"{root}output_blocks.{block * level + index}."
    return head + ("0." + replaced(rest, RESIDUAL) if kind == "resnets" else "1." + rest)


def vae_name(name, config):
    """diffusers' AutoencoderKL -> first_stage_model.*"""
    parts = name.split(".")
    if len(parts) > 2 and parts[1] == "up_blocks":
        parts[1:3] = ["up", str(len(config.block_out_channels) - 1 - int(parts[2]))]
    elif len(parts) > 2 and parts[1] == "down_blocks":
        parts[1] = "down"
    return "first_stage_model." + replaced(".".join(parts), AUTOENCODER)


def clip_name(name, _config):
    """transformers' CLIPTextModel -> cond_stage_model.transformer.text_model.*"""
    name = name if name.startswith("text_model.") else "text_model." + name
    return "cond_stage_model.transformer." + name


def names(unet, vae, clip):
    """{name in the file: (module, its own name)} of everything that is stored."""
    result = {}
    for module, rename in ((unet, unet_name), (vae, vae_name), (clip, clip_name)):
        for name in module.state_dict():
            if "position_ids" not in name:
                result[rename(name, module.config)] = (module, name)
    return result


def file_shape(name, tensor):
    """The autoencoder's attention is stored as 1x1 convolutions."""
    if "mid.attn_1." in name and name.endswith("weight") and tensor.ndim == 2:
        return (*tensor.shape, 1, 1)
    return tuple(tensor.shape)


def load(tensors, unet, vae, clip):
    """Fills the three modules from a single file's tensors, all of them and nothing else."""
    table = names(unet, vae, clip)
    missing = set(table) - set(tensors)
    assert not missing, sorted(missing)[:5]
    for module in (unet, vae, clip):
        state = module.state_dict()
        for name, (owner, own_name) in table.items():
            if owner is module:
                state[own_name] = tensors[name].float().reshape(state[own_name].shape)
        module.load_state_dict(state)
        module.eval()
