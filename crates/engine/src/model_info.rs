use serde::Serialize;

use crate::Sampler;
use crate::checkpoint::Weights;

/// What a model is and how it is best used.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelInfo {
    /// The name in the file's metadata, or the file's own name.
    pub name: String,
    /// `sd1`.
    pub family: String,
    /// Elements of all tensors of text encoder, UNet and VAE decoder in the file.
    pub parameters: u64,
    /// Recommended width in pixels.
    pub width: u32,
    /// Recommended height in pixels.
    pub height: u32,
    /// Recommended number of steps.
    pub steps: u32,
    /// Recommended CFG scale.
    pub cfg_scale: f32,
    /// Recommended sampler.
    pub sampler: Sampler,
    /// Size of the vocabulary: 49408 for CLIP's.
    pub vocabulary: usize,
    /// Features per token that the UNet is conditioned on.
    pub context_width: usize,
}

impl ModelInfo {
    /// Side of the pictures that Stable Diffusion 1.x was trained on.
    const SIDE: u32 = 512;

    pub(crate) fn of(weights: &Weights, name: String, vocabulary: usize, context_width: usize) -> Self {
        let metadata = weights.header().metadata();
        let text = |key: &str| metadata.get(key).map(|value| value.trim()).filter(|value| !value.is_empty());
        let side = text("resolution")
            .and_then(|value| value.parse::<u32>().ok())
            .filter(|side| crate::GenerateSettings::SIDES.contains(side) && side.is_multiple_of(8));
        let prefixes = ["model.diffusion_model.", "first_stage_model.", "cond_stage_model."];
        let own =
            |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix)) && !name.ends_with("position_ids");
        let tensors = weights.header().tensors();
        Self {
            name: text("name").map_or(name, str::to_owned),
            family: "sd1".to_owned(),
            parameters: tensors.filter(|(name, _)| own(name)).map(|(_, entry)| entry.elements()).sum(),
            width: side.unwrap_or(Self::SIDE),
            height: side.unwrap_or(Self::SIDE),
            steps: 20,
            // small models are guided too hard by the customary 7
            cfg_scale: if side.is_some_and(|side| side < 256) { 5.0 } else { 7.0 },
            sampler: Sampler::Euler,
            vocabulary,
            context_width,
        }
    }
}
