use serde::Serialize;

use crate::checkpoint::{Family, Training, UNetInputs, Weights};
use crate::{Prediction, Sampler};

/// What a model is and how it is best used.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelInfo {
    /// The name in the file's metadata, or the file's own name.
    pub name: String,
    /// `sd1`, `sd2`, `sdxl` or `sdxl-refiner`.
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
    /// What the UNet predicts.
    pub prediction: Prediction,
    /// Whether the model was trained so that nothing of the signal is left at the last timestep.
    pub zero_snr: bool,
    /// What the UNet takes besides the latent.
    pub inputs: UNetInputs,
    /// Size of the vocabulary: 49408 for CLIP's.
    pub vocabulary: usize,
    /// Features per token that the UNet is conditioned on.
    pub context_width: usize,
}

impl ModelInfo {
    pub(crate) fn of(
        weights: &Weights,
        name: String,
        family: Family,
        (vocabulary, context_width): (usize, usize),
        inputs: UNetInputs,
        training: Training,
    ) -> Self {
        let metadata = weights.header().metadata();
        let text = |key: &str| metadata.get(key).map(|value| value.trim()).filter(|value| !value.is_empty());
        let side = text("resolution")
            .and_then(|value| value.parse::<u32>().ok())
            .filter(|side| crate::GenerateSettings::SIDES.contains(side) && side.is_multiple_of(8));
        let prefixes = ["model.diffusion_model.", "first_stage_model.", "cond_stage_model.", "conditioner."];
        // what the family was trained on
        let usual = match (family, training.prediction) {
            (Family::Sdxl | Family::SdxlRefiner, _) => 1024,
            (Family::Sd2, Prediction::Velocity) => 768,
            _ => 512,
        };
        let own =
            |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix)) && !name.ends_with("position_ids");
        let tensors = weights.header().tensors();
        Self {
            name: text("name").map_or(name, str::to_owned),
            family: family.to_string(),
            parameters: tensors.filter(|(name, _)| own(name)).map(|(_, entry)| entry.elements()).sum(),
            width: side.unwrap_or(usual),
            height: side.unwrap_or(usual),
            steps: 20,
            // small models are guided too hard by the customary 7
            cfg_scale: if side.is_some_and(|side| side < 256) { 5.0 } else { 7.0 },
            sampler: Sampler::Euler,
            prediction: training.prediction,
            zero_snr: training.zero_snr,
            inputs,
            vocabulary,
            context_width,
        }
    }
}
