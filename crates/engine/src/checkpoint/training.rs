use super::{Family, UNetInputs, Weights};
use crate::{EngineError, Prediction};

/// How a model was trained, as far as sampling must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Training {
    /// What the UNet predicts.
    pub(crate) prediction: Prediction,
    /// Whether nothing of the signal was left at the last timestep (Lin et al. 2024).
    pub(crate) zero_snr: bool,
}

impl Training {
    /// Reads the marks that files carry: the keys `v_pred` and `ztsnr` of single files, the metadata
    /// `modelspec.prediction_type`, and a diffusers folder's scheduler (which is handed on as such metadata).
    ///
    /// Stable Diffusion 2.x files carry none. What tells the 768-pixel models, which predict the velocity, from the
    /// others is the spread of one bias, as in ComfyUI; inpainting models never predict it.
    pub(crate) fn of(weights: &Weights, family: Family, inputs: UNetInputs) -> Result<Self, EngineError> {
        let header = weights.header();
        let metadata = |key: &str| header.metadata().get(key).map(String::as_str);
        let zero_snr = header.get("ztsnr").is_some() || metadata("rescale_betas_zero_snr") == Some("true");
        let prediction = match metadata("modelspec.prediction_type").or(metadata("prediction_type")) {
            Some("v" | "v_prediction") => Prediction::Velocity,
            Some("epsilon") => Prediction::Epsilon,
            _ if header.get("v_pred").is_some() => Prediction::Velocity,
            _ if family == Family::Sd2 && inputs == UNetInputs::Latent && Self::spreads(weights)? => {
                Prediction::Velocity
            }
            _ => Prediction::Epsilon,
        };
        Ok(Self { prediction, zero_snr })
    }

    /// Whether the bias of the last transformer's first norm has a standard deviation above 0.09.
    fn spreads(weights: &Weights) -> Result<bool, EngineError> {
        let scope = weights.scope("model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1");
        if !scope.contains("bias") {
            return Ok(false);
        }
        let bias = scope.vector("bias", None)?.get()?.to_vec1::<f32>()?;
        let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / bias.len() as f64;
        let centre = mean(&mut bias.iter().map(|&value| f64::from(value)));
        let variance = mean(&mut bias.iter().map(|&value| (f64::from(value) - centre).powi(2)));
        Ok(variance.sqrt() > 0.09)
    }
}
