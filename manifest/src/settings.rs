//! Generation settings that a model's authors or users recommend.

use serde::{Deserialize, Serialize};

/// What to generate with when nothing else was said. All optional: a field that nobody knows stays absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecommendedSettings {
    /// Width in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Height in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Sampling steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
    /// Classifier-free guidance scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cfg: Option<f32>,
    /// Sampler in k-diffusion spelling ("euler_a", "dpmpp_2m").
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampler: Option<String>,
    /// Noise schedule ("karras", "normal", "trailing").
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<String>,
    /// What the UNet predicts ("epsilon", "v_prediction").
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prediction: Option<String>,
    /// The VAE to use in place of the checkpoint's own, by its component's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vae: Option<String>,
    /// LoRA weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f32>,
}
