use std::fmt;

use super::Header;

/// What kind of model a safetensors file holds, judged by the names of its tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Stable Diffusion 1.x, text to image.
    Sd1,
    /// Stable Diffusion 1.x for inpainting (9 input channels).
    Sd1Inpaint,
    /// Stable Diffusion 1.x that follows instructions (8 input channels).
    Sd1Edit,
    /// Stable Diffusion 2.x.
    Sd2,
    /// Stable Diffusion XL base.
    Sdxl,
    /// Stable Diffusion XL refiner.
    SdxlRefiner,
    /// Stable Diffusion 3.x.
    Sd3,
    /// Flux.
    Flux,
    /// A LoRA or one of its relatives.
    Lora,
    /// A VAE alone.
    Vae,
    /// One part (UNet, VAE or text encoder) of a diffusers folder.
    DiffusersPart,
    /// Something else.
    Unknown,
}

impl Family {
    /// Judges by tensor names and, for Stable Diffusion 1.x, by the channels of the first convolution.
    pub fn of(header: &Header) -> Self {
        let any = |prefix: &str| header.tensors().any(|(name, _)| name.starts_with(prefix));
        let unet = "model.diffusion_model.";
        if any("lora_unet_") || any("lora_te") || header.tensors().any(|(name, _)| name.contains(".lora_")) {
            return Self::Lora;
        }
        if any(&format!("{unet}joint_blocks.")) {
            return Self::Sd3;
        }
        if any(&format!("{unet}double_blocks.")) || any("double_blocks.") {
            return Self::Flux;
        }
        if any(&format!("{unet}input_blocks.")) {
            if any("conditioner.embedders.1.") {
                return Self::Sdxl;
            }
            if any("conditioner.embedders.0.model.") {
                return Self::SdxlRefiner;
            }
            if any("cond_stage_model.model.") {
                return Self::Sd2;
            }
            let first = header.get(&format!("{unet}input_blocks.0.0.weight")).map(|entry| entry.shape());
            return match first.and_then(|shape| shape.get(1)) {
                Some(9) => Self::Sd1Inpaint,
                Some(8) => Self::Sd1Edit,
                _ => Self::Sd1,
            };
        }
        if any("first_stage_model.decoder.") || any("decoder.up.") {
            return Self::Vae;
        }
        if any("down_blocks.") || any("text_model.") || any("decoder.up_blocks.") {
            return Self::DiffusersPart;
        }
        Self::Unknown
    }

    /// Whether [`crate::Model::open`] can load it.
    pub fn is_supported(self) -> bool {
        self == Self::Sd1
    }

    /// A noun phrase for messages.
    pub fn description(self) -> &'static str {
        match self {
            Self::Sd1 => "a Stable Diffusion 1.x checkpoint",
            Self::Sd1Inpaint => "a Stable Diffusion 1.x inpainting checkpoint",
            Self::Sd1Edit => "an instruction-following Stable Diffusion 1.x checkpoint",
            Self::Sd2 => "a Stable Diffusion 2.x checkpoint",
            Self::Sdxl => "a Stable Diffusion XL checkpoint",
            Self::SdxlRefiner => "a Stable Diffusion XL refiner",
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
            Self::Sd1Inpaint => "sd1-inpaint",
            Self::Sd1Edit => "sd1-edit",
            Self::Sd2 => "sd2",
            Self::Sdxl => "sdxl",
            Self::SdxlRefiner => "sdxl-refiner",
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
        assert_eq!(family_of(&[(first, &[8, 9, 3, 3])]), "sd1-inpaint");
        assert_eq!(family_of(&[(first, &[8, 8, 3, 3])]), "sd1-edit");
        assert_eq!(family_of(&[(first, &[8, 4, 3, 3]), ("cond_stage_model.model.x", &[1])]), "sd2");
        assert_eq!(family_of(&[(first, &[8, 4, 3, 3]), ("conditioner.embedders.1.model.x", &[1])]), "sdxl");
        assert_eq!(family_of(&[(first, &[8, 4, 3, 3]), ("conditioner.embedders.0.model.x", &[1])]), "sdxl-refiner");
        assert_eq!(family_of(&[("model.diffusion_model.joint_blocks.0.x", &[1])]), "sd3");
        assert_eq!(family_of(&[("double_blocks.0.x", &[1])]), "flux");
        assert_eq!(family_of(&[("lora_unet_down.lora_down.weight", &[1])]), "lora");
        assert_eq!(family_of(&[("decoder.up.0.x", &[1])]), "vae");
        assert_eq!(family_of(&[("down_blocks.0.x", &[1])]), "diffusers-part");
        assert_eq!(family_of(&[("x", &[1])]), "unknown");
    }
}
