//! The nodes that are understood: what goes in, what comes out.

/// A kind of node.
#[derive(Debug)]
pub(crate) struct NodeKind {
    pub(crate) class: &'static str,
    pub(crate) title: &'static str,
    pub(crate) category: &'static str,
    pub(crate) inputs: &'static [InputKind],
    /// Type and name of each output.
    pub(crate) outputs: &'static [(&'static str, &'static str)],
    /// Whether something is kept when it runs.
    pub(crate) is_output: bool,
}

/// One input of a kind of node.
#[derive(Debug)]
pub(crate) struct InputKind {
    pub(crate) name: &'static str,
    pub(crate) required: bool,
    pub(crate) value: ValueKind,
}

/// What an input takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ValueKind {
    /// A link to an output of this type.
    Link(&'static str),
    /// A text.
    Text { multiline: bool, default: &'static str },
    /// A whole number: default, least, most, step.
    Int(i64, i64, u64, i64),
    /// A number: default, least, most, step.
    Float(f64, f64, f64, f64),
    /// A name out of a list.
    Choice(Choices),
}

/// Where the names of a list come from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Choices {
    Checkpoints,
    Loras,
    Vaes,
    Controlnets,
    Upscalers,
    Samplers,
    Schedulers,
    /// Pictures that were uploaded.
    Pictures,
    Fixed(&'static [&'static str]),
}

impl NodeKind {
    /// The kind of this name.
    pub(crate) fn of(class: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.class == class)
    }
}

const fn link(name: &'static str, kind: &'static str) -> InputKind {
    InputKind { name, required: true, value: ValueKind::Link(kind) }
}
const fn choice(name: &'static str, choices: Choices) -> InputKind {
    InputKind { name, required: true, value: ValueKind::Choice(choices) }
}
const fn fixed(name: &'static str, names: &'static [&'static str]) -> InputKind {
    choice(name, Choices::Fixed(names))
}
const fn int(name: &'static str, default: i64, least: i64, most: u64) -> InputKind {
    InputKind { name, required: true, value: ValueKind::Int(default, least, most, 1) }
}
const fn side(name: &'static str, default: i64) -> InputKind {
    InputKind { name, required: true, value: ValueKind::Int(default, 0, 16_384, 8) }
}
const fn float(name: &'static str, default: f64, least: f64, most: f64) -> InputKind {
    InputKind { name, required: true, value: ValueKind::Float(default, least, most, 0.01) }
}
const fn text(name: &'static str) -> InputKind {
    InputKind { name, required: true, value: ValueKind::Text { multiline: true, default: "" } }
}
const fn optional(input: InputKind) -> InputKind {
    InputKind { required: false, ..input }
}

const SEED: u64 = u64::MAX;
const ENLARGE_LATENT: &[&str] = &["nearest-exact", "bilinear", "bicubic"];
const SHAPE: &[&str] = &["disabled", "center"];
const SWITCH: &[&str] = &["enable", "disable"];
const CONDITIONING: &[(&str, &str)] = &[("CONDITIONING", "CONDITIONING")];
const LATENT: &[(&str, &str)] = &[("LATENT", "LATENT")];
const IMAGE: &[(&str, &str)] = &[("IMAGE", "IMAGE")];
const PREFIX: InputKind = InputKind {
    name: "filename_prefix",
    required: true,
    value: ValueKind::Text { multiline: false, default: "ComfyUI" },
};

/// All of them.
pub(crate) const KINDS: &[NodeKind] = &[
    NodeKind {
        class: "CheckpointLoaderSimple",
        title: "Load Checkpoint",
        category: "loaders",
        inputs: &[choice("ckpt_name", Choices::Checkpoints)],
        outputs: &[("MODEL", "MODEL"), ("CLIP", "CLIP"), ("VAE", "VAE")],
        is_output: false,
    },
    NodeKind {
        class: "VAELoader",
        title: "Load VAE",
        category: "loaders",
        inputs: &[choice("vae_name", Choices::Vaes)],
        outputs: &[("VAE", "VAE")],
        is_output: false,
    },
    NodeKind {
        class: "LoraLoader",
        title: "Load LoRA",
        category: "loaders",
        inputs: &[
            link("model", "MODEL"),
            link("clip", "CLIP"),
            choice("lora_name", Choices::Loras),
            float("strength_model", 1.0, -100.0, 100.0),
            float("strength_clip", 1.0, -100.0, 100.0),
        ],
        outputs: &[("MODEL", "MODEL"), ("CLIP", "CLIP")],
        is_output: false,
    },
    NodeKind {
        class: "LoraLoaderModelOnly",
        title: "LoraLoaderModelOnly",
        category: "loaders",
        inputs: &[
            link("model", "MODEL"),
            choice("lora_name", Choices::Loras),
            float("strength_model", 1.0, -100.0, 100.0),
        ],
        outputs: &[("MODEL", "MODEL")],
        is_output: false,
    },
    NodeKind {
        class: "CLIPSetLastLayer",
        title: "CLIP Set Last Layer",
        category: "conditioning",
        inputs: &[link("clip", "CLIP"), int("stop_at_clip_layer", -1, -24, 0)],
        outputs: &[("CLIP", "CLIP")],
        is_output: false,
    },
    NodeKind {
        class: "CLIPTextEncode",
        title: "CLIP Text Encode (Prompt)",
        category: "conditioning",
        inputs: &[text("text"), link("clip", "CLIP")],
        outputs: CONDITIONING,
        is_output: false,
    },
    NodeKind {
        class: "CLIPTextEncodeSDXL",
        title: "CLIPTextEncodeSDXL",
        category: "advanced/conditioning",
        inputs: &[
            link("clip", "CLIP"),
            int("width", 1024, 0, 16_384),
            int("height", 1024, 0, 16_384),
            int("crop_w", 0, 0, 16_384),
            int("crop_h", 0, 0, 16_384),
            int("target_width", 1024, 0, 16_384),
            int("target_height", 1024, 0, 16_384),
            text("text_g"),
            text("text_l"),
        ],
        outputs: CONDITIONING,
        is_output: false,
    },
    NodeKind {
        class: "ConditioningCombine",
        title: "Conditioning (Combine)",
        category: "conditioning",
        inputs: &[link("conditioning_1", "CONDITIONING"), link("conditioning_2", "CONDITIONING")],
        outputs: CONDITIONING,
        is_output: false,
    },
    NodeKind {
        class: "ConditioningConcat",
        title: "Conditioning (Concat)",
        category: "conditioning",
        inputs: &[link("conditioning_to", "CONDITIONING"), link("conditioning_from", "CONDITIONING")],
        outputs: CONDITIONING,
        is_output: false,
    },
    NodeKind {
        class: "ControlNetLoader",
        title: "Load ControlNet Model",
        category: "loaders",
        inputs: &[choice("control_net_name", Choices::Controlnets)],
        outputs: &[("CONTROL_NET", "CONTROL_NET")],
        is_output: false,
    },
    NodeKind {
        class: "ControlNetApply",
        title: "Apply ControlNet (OLD)",
        category: "conditioning/controlnet",
        inputs: &[
            link("conditioning", "CONDITIONING"),
            link("control_net", "CONTROL_NET"),
            link("image", "IMAGE"),
            float("strength", 1.0, 0.0, 10.0),
        ],
        outputs: CONDITIONING,
        is_output: false,
    },
    NodeKind {
        class: "ControlNetApplyAdvanced",
        title: "Apply ControlNet",
        category: "conditioning/controlnet",
        inputs: &[
            link("positive", "CONDITIONING"),
            link("negative", "CONDITIONING"),
            link("control_net", "CONTROL_NET"),
            link("image", "IMAGE"),
            float("strength", 1.0, 0.0, 10.0),
            float("start_percent", 0.0, 0.0, 1.0),
            float("end_percent", 1.0, 0.0, 1.0),
            optional(link("vae", "VAE")),
        ],
        outputs: &[("CONDITIONING", "positive"), ("CONDITIONING", "negative")],
        is_output: false,
    },
    NodeKind {
        class: "EmptyLatentImage",
        title: "Empty Latent Image",
        category: "latent",
        inputs: &[side("width", 512), side("height", 512), int("batch_size", 1, 1, 100)],
        outputs: LATENT,
        is_output: false,
    },
    NodeKind {
        class: "KSampler",
        title: "KSampler",
        category: "sampling",
        inputs: &[
            link("model", "MODEL"),
            int("seed", 0, 0, SEED),
            int("steps", 20, 1, 10_000),
            float("cfg", 8.0, 0.0, 100.0),
            choice("sampler_name", Choices::Samplers),
            choice("scheduler", Choices::Schedulers),
            link("positive", "CONDITIONING"),
            link("negative", "CONDITIONING"),
            link("latent_image", "LATENT"),
            float("denoise", 1.0, 0.0, 1.0),
        ],
        outputs: LATENT,
        is_output: false,
    },
    NodeKind {
        class: "KSamplerAdvanced",
        title: "KSampler (Advanced)",
        category: "sampling",
        inputs: &[
            link("model", "MODEL"),
            fixed("add_noise", SWITCH),
            int("noise_seed", 0, 0, SEED),
            int("steps", 20, 1, 10_000),
            float("cfg", 8.0, 0.0, 100.0),
            choice("sampler_name", Choices::Samplers),
            choice("scheduler", Choices::Schedulers),
            link("positive", "CONDITIONING"),
            link("negative", "CONDITIONING"),
            link("latent_image", "LATENT"),
            int("start_at_step", 0, 0, 10_000),
            int("end_at_step", 10_000, 0, 10_000),
            fixed("return_with_leftover_noise", &["disable", "enable"]),
        ],
        outputs: LATENT,
        is_output: false,
    },
    NodeKind {
        class: "VAEDecode",
        title: "VAE Decode",
        category: "latent",
        inputs: &[link("samples", "LATENT"), link("vae", "VAE")],
        outputs: IMAGE,
        is_output: false,
    },
    NodeKind {
        class: "VAEDecodeTiled",
        title: "VAE Decode (Tiled)",
        category: "_for_testing",
        inputs: &[
            link("samples", "LATENT"),
            link("vae", "VAE"),
            optional(int("tile_size", 512, 64, 4096)),
            optional(int("overlap", 64, 0, 4096)),
            optional(int("temporal_size", 64, 8, 4096)),
            optional(int("temporal_overlap", 8, 4, 4096)),
        ],
        outputs: IMAGE,
        is_output: false,
    },
    NodeKind {
        class: "VAEEncode",
        title: "VAE Encode",
        category: "latent",
        inputs: &[link("pixels", "IMAGE"), link("vae", "VAE")],
        outputs: LATENT,
        is_output: false,
    },
    NodeKind {
        class: "VAEEncodeForInpaint",
        title: "VAE Encode (for Inpainting)",
        category: "latent/inpaint",
        inputs: &[link("pixels", "IMAGE"), link("vae", "VAE"), link("mask", "MASK"), int("grow_mask_by", 6, 0, 64)],
        outputs: LATENT,
        is_output: false,
    },
    NodeKind {
        class: "SetLatentNoiseMask",
        title: "Set Latent Noise Mask",
        category: "latent/inpaint",
        inputs: &[link("samples", "LATENT"), link("mask", "MASK")],
        outputs: LATENT,
        is_output: false,
    },
    NodeKind {
        class: "LatentUpscale",
        title: "Upscale Latent",
        category: "latent",
        inputs: &[
            link("samples", "LATENT"),
            fixed("upscale_method", ENLARGE_LATENT),
            side("width", 1024),
            side("height", 1024),
            fixed("crop", SHAPE),
        ],
        outputs: LATENT,
        is_output: false,
    },
    NodeKind {
        class: "LatentUpscaleBy",
        title: "Upscale Latent By",
        category: "latent",
        inputs: &[
            link("samples", "LATENT"),
            fixed("upscale_method", ENLARGE_LATENT),
            float("scale_by", 1.5, 0.01, 8.0),
        ],
        outputs: LATENT,
        is_output: false,
    },
    NodeKind {
        class: "LoadImage",
        title: "Load Image",
        category: "image",
        inputs: &[choice("image", Choices::Pictures)],
        outputs: &[("IMAGE", "IMAGE"), ("MASK", "MASK")],
        is_output: false,
    },
    NodeKind {
        class: "LoadImageMask",
        title: "Load Image (as Mask)",
        category: "mask",
        inputs: &[choice("image", Choices::Pictures), fixed("channel", &["alpha", "red", "green", "blue"])],
        outputs: &[("MASK", "MASK")],
        is_output: false,
    },
    NodeKind {
        class: "ImageScale",
        title: "Upscale Image",
        category: "image/upscaling",
        inputs: &[
            link("image", "IMAGE"),
            fixed("upscale_method", &["lanczos"]),
            side("width", 512),
            side("height", 512),
            fixed("crop", SHAPE),
        ],
        outputs: IMAGE,
        is_output: false,
    },
    NodeKind {
        class: "ImageScaleBy",
        title: "Upscale Image By",
        category: "image/upscaling",
        inputs: &[link("image", "IMAGE"), fixed("upscale_method", &["lanczos"]), float("scale_by", 1.0, 0.01, 8.0)],
        outputs: IMAGE,
        is_output: false,
    },
    NodeKind {
        class: "UpscaleModelLoader",
        title: "Load Upscale Model",
        category: "loaders",
        inputs: &[choice("model_name", Choices::Upscalers)],
        outputs: &[("UPSCALE_MODEL", "UPSCALE_MODEL")],
        is_output: false,
    },
    NodeKind {
        class: "ImageUpscaleWithModel",
        title: "Upscale Image (using Model)",
        category: "image/upscaling",
        inputs: &[link("upscale_model", "UPSCALE_MODEL"), link("image", "IMAGE")],
        outputs: IMAGE,
        is_output: false,
    },
    NodeKind {
        class: "SaveImage",
        title: "Save Image",
        category: "image",
        inputs: &[link("images", "IMAGE"), PREFIX],
        outputs: &[],
        is_output: true,
    },
    NodeKind {
        class: "PreviewImage",
        title: "Preview Image",
        category: "image",
        inputs: &[link("images", "IMAGE")],
        outputs: &[],
        is_output: true,
    },
];
