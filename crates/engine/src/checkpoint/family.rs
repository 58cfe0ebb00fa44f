use std::fmt;

use super::Header;

/// What kind of model a safetensors file holds, judged by the names of its tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Stable Diffusion 1.x.
    Sd1,
    /// Stable Diffusion 2.x.
    Sd2,
    /// Stable Diffusion XL base.
    Sdxl,
    /// Stable Diffusion XL refiner.
    SdxlRefiner,
    /// Stable Diffusion XL trained on other noise levels (Karras et al. 2022): Playground 2.5, CosXL.
    SdxlEdm,
    /// Stable Diffusion 2.x conditioned on pictures.
    Sd2Unclip,
    /// Stable Video Diffusion.
    Video,
    /// Stable Diffusion 3.x.
    Sd3,
    /// Flux.
    Flux,
    /// A LoRA or one of its relatives.
    Lora,
    /// A ControlNet.
    ControlNet,
    /// A textual inversion.
    Embedding,
    /// An upscaler.
    Upscaler,
    /// A VAE alone.
    Vae,
    /// One part (UNet, VAE or text encoder) of a diffusers folder.
    DiffusersPart,
    /// Something else.
    Unknown,
}

impl Family {
    /// Judges by tensor names and, where a file has a UNet alone, by shapes.
    pub fn of(header: &Header) -> Self {
        let any = |prefix: &str| header.tensors().any(|(name, _)| name.starts_with(prefix));
        let unet = "model.diffusion_model.";
        let methods = [".lora_", "_lora.", ".lora.", ".hada_", ".lokr_"];
        let of_lora = |name: &str| methods.iter().any(|method| name.contains(method));
        if ["lora_unet_", "lora_te", "lycoris_"].into_iter().any(any) || header.tensors().any(|(name, _)| of_lora(name))
        {
            return Self::Lora;
        }
        if any(&format!("{unet}joint_blocks.")) {
            return Self::Sd3;
        }
        if any(&format!("{unet}double_blocks.")) || any("double_blocks.") {
            return Self::Flux;
        }
        if any("control_model.") || any("controlnet_") {
            return Self::ControlNet;
        }
        if any(&format!("{unet}input_blocks.")) {
            return Self::of_unet(header);
        }
        if ["emb_params", "string_to_param", "clip_g"].iter().any(|name| header.get(name).is_some()) {
            return Self::Embedding;
        }
        if any("model.1.sub.0.") || any("body.0.rdb1.") || any("RRDB_trunk.0.") {
            return Self::Upscaler;
        }
        if any("first_stage_model.decoder.") || any("decoder.up.") {
            return Self::Vae;
        }
        if any("down_blocks.") || any("text_model.") || any("decoder.up_blocks.") {
            return Self::DiffusersPart;
        }
        Self::Unknown
    }

    /// The family of a single file with a UNet.
    fn of_unet(header: &Header) -> Self {
        let any = |prefix: &str| header.tensors().any(|(name, _)| name.starts_with(prefix));
        let unet = header
            .tensors()
            .filter_map(|(name, entry)| name.strip_prefix("model.diffusion_model.").map(|name| (name, entry.shape())));
        let mut context = None;
        let mut linear = false;
        let mut label = None;
        for (name, shape) in unet {
            if name.contains(".time_stack.") {
                return Self::Video;
            }
            match shape {
                [_, width] if name.ends_with("attn2.to_k.weight") => context = Some(*width),
                [_, _] if name.ends_with(".proj_in.weight") => linear = true,
                [_, width] if name == "label_emb.0.0.weight" => label = Some(*width),
                _ => {}
            }
        }
        let edm = ["edm_mean", "edm_vpred.sigma_max"].iter().any(|name| header.get(name).is_some());
        if any("conditioner.embedders.1.") {
            return if edm { Self::SdxlEdm } else { Self::Sdxl };
        }
        if any("conditioner.embedders.0.model.") {
            return Self::SdxlRefiner;
        }
        match (label, context) {
            (Some(_), _) if edm => Self::SdxlEdm,
            (Some(_), _) if any("cond_stage_model.") || any("embedder.") => Self::Sd2Unclip,
            // the summary is as wide as the context where there is one text encoder; five numbers of 256 features follow
            (Some(label), Some(context)) if label == context + 5 * 256 => Self::SdxlRefiner,
            (Some(_), _) => Self::Sdxl,
            (None, Some(768)) => Self::Sd1,
            (None, Some(1024)) => Self::Sd2,
            _ if linear || any("cond_stage_model.model.") => Self::Sd2,
            _ => Self::Sd1,
        }
    }

    /// Whether [`crate::Model::open`] can load it.
    pub fn is_supported(self) -> bool {
        matches!(self, Self::Sd1 | Self::Sd2 | Self::Sdxl | Self::SdxlRefiner)
    }

    /// Whether it is Stable Diffusion XL, base or refiner.
    pub fn is_xl(self) -> bool {
        matches!(self, Self::Sdxl | Self::SdxlRefiner)
    }

    /// What latents are multiplied by between the VAE and the UNet: a constant of the family that no tensor tells.
    pub(crate) fn latent_scale(self) -> f64 {
        if self.is_xl() { 0.13025 } else { 0.18215 }
    }

    /// A noun phrase for messages.
    pub fn description(self) -> &'static str {
        match self {
            Self::Sd1 => "a Stable Diffusion 1.x checkpoint",
            Self::Sd2 => "a Stable Diffusion 2.x checkpoint",
            Self::Sdxl => "a Stable Diffusion XL checkpoint",
            Self::SdxlRefiner => "a Stable Diffusion XL refiner",
            Self::SdxlEdm => "a Stable Diffusion XL checkpoint with noise levels of its own (EDM)",
            Self::Sd2Unclip => "a Stable Diffusion 2.x checkpoint that is conditioned on pictures",
            Self::Video => "a Stable Video Diffusion checkpoint",
            Self::ControlNet => "a ControlNet, not a whole model",
            Self::Embedding => "a textual inversion, not a whole model",
            Self::Upscaler => "an upscaler, not a whole model",
            Self::Sd3 => "a Stable Diffusion 3 checkpoint",
            Self::Flux => "a Flux checkpoint",
            Self::Lora => "a LoRA, not a whole model",
            Self::Vae => "a VAE, not a whole model",
            Self::DiffusersPart => "one part of a diffusers folder",
            Self::Unknown => "a model of an unknown kind",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sd1 => "sd1",
            Self::Sd2 => "sd2",
            Self::Sdxl => "sdxl",
            Self::SdxlRefiner => "sdxl-refiner",
            Self::SdxlEdm => "sdxl-edm",
            Self::Sd2Unclip => "sd2-unclip",
            Self::Video => "video",
            Self::ControlNet => "controlnet",
            Self::Embedding => "embedding",
            Self::Upscaler => "upscaler",
            Self::Sd3 => "sd3",
            Self::Flux => "flux",
            Self::Lora => "lora",
            Self::Vae => "vae",
            Self::DiffusersPart => "diffusers-part",
            Self::Unknown => "unknown",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family_of(tensors: &[(&str, &[u64])]) -> String {
        let mut at = 0;
        let entries: Vec<String> = tensors
            .iter()
            .map(|(name, shape)| {
                let (start, bytes) = (at, shape.iter().product::<u64>() * 2);
                at += bytes;
                format!(r#""{name}":{{"dtype":"F16","shape":{shape:?},"data_offsets":[{start},{at}]}}"#)
            })
            .collect();
        let json = format!("{{{}}}", entries.join(","));
        let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
        bytes.extend(json.as_bytes());
        let length = bytes.len() as u64 + at;
        Family::of(&Header::parse("test", &bytes, length).expect("a sound header")).to_string()
    }

    #[test]
    fn families_are_told_apart_by_their_tensors() {
        let first = "model.diffusion_model.input_blocks.0.0.weight";
        assert_eq!(family_of(&[(first, &[8, 4, 3, 3]), ("cond_stage_model.transformer.x", &[1])]), "sd1");
        assert_eq!(family_of(&[(first, &[8, 9, 3, 3])]), "sd1");
        assert_eq!(family_of(&[(first, &[8, 4, 3, 3]), ("cond_stage_model.model.x", &[1])]), "sd2");
        assert_eq!(family_of(&[(first, &[8, 4, 3, 3]), ("conditioner.embedders.1.model.x", &[1])]), "sdxl");
        assert_eq!(family_of(&[(first, &[8, 4, 3, 3]), ("conditioner.embedders.0.model.x", &[1])]), "sdxl-refiner");
        let attention = |width| [(first, &[8_u64, 4, 3, 3][..]), ("model.diffusion_model.x.attn2.to_k.weight", width)];
        assert_eq!(family_of(&attention(&[8, 768])), "sd1");
        assert_eq!(family_of(&attention(&[8, 1024])), "sd2");
        let label = "model.diffusion_model.label_emb.0.0.weight";
        let labelled = |context, width| {
            let [a, b] = attention(context);
            family_of(&[a, b, (label, width)])
        };
        assert_eq!(labelled(&[8, 2048], &[8, 2816]), "sdxl");
        assert_eq!(labelled(&[8, 1280], &[8, 2560]), "sdxl-refiner");
        assert_eq!(family_of(&[("control_model.input_blocks.0.0.weight", &[1])]), "controlnet");
        assert_eq!(family_of(&[("emb_params", &[1])]), "embedding");
        assert_eq!(family_of(&[("model.1.sub.0.RDB1.conv1.0.weight", &[1])]), "upscaler");
        assert_eq!(family_of(&[("model.diffusion_model.joint_blocks.0.x", &[1])]), "sd3");
        assert_eq!(family_of(&[("double_blocks.0.x", &[1])]), "flux");
        for name in
            ["lora_unet_x.lora_down.weight", "lycoris_x.diff", "unet.x.processor.to_q_lora.up.weight", "x.lokr_w1"]
        {
            assert_eq!(family_of(&[(name, &[1])]), "lora", "{name}");
        }
        assert_eq!(family_of(&[("decoder.up.0.x", &[1])]), "vae");
        assert_eq!(family_of(&[("down_blocks.0.x", &[1])]), "diffusers-part");
        assert_eq!(family_of(&[("x", &[1])]), "unknown");
    }
}
