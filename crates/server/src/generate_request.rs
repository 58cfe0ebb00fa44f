//! The settings of one picture, complete and within bounds.

use serde::{Deserialize, Serialize};

use crate::Previews;

/// Smallest side of a picture in pixels.
pub(crate) const MIN_SIDE: u32 = 64;
/// Largest side of a picture in pixels.
pub(crate) const MAX_SIDE: u32 = 2048;
/// Sides are multiples of this many pixels: the VAE's factor.
pub(crate) const SIDE_MULTIPLE: u32 = 8;
/// Most steps of one picture.
pub(crate) const MAX_STEPS: u32 = 150;
/// Largest guidance scale.
pub(crate) const MAX_CFG_SCALE: f32 = 30.0;
/// Largest seed: JavaScript's largest exact integer, so that the page never rounds one.
pub(crate) const MAX_SEED: u64 = (1 << 53) - 1;
/// Most characters of a prompt.
pub(crate) const MAX_PROMPT_CHARS: usize = 10_000;

/// One picture to draw. Made from a checked request body; trusted after.
///
/// Its JSON (without `previews`) is what the page calls `Settings` and what stands in the
/// `fieldforge` text chunk of a PNG.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GenerateRequest {
    /// The id of a known model.
    pub model: String,
    /// What the picture shows.
    pub prompt: String,
    /// What it must not show.
    #[serde(default)]
    pub negative_prompt: String,
    /// Width in pixels, 64 to 2048, a multiple of 8.
    pub width: u32,
    /// Height in pixels, 64 to 2048, a multiple of 8.
    pub height: u32,
    /// Number of steps, 1 to 150.
    pub steps: u32,
    /// Guidance scale, 0 to 30.
    pub cfg_scale: f32,
    /// Seed of the noise, already chosen where the request left it open; at most 2^53 - 1.
    pub seed: u64,
    /// The name of a known sampler.
    pub sampler: String,
    /// The name of a known scheduler; absent: the sampler's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<String>,
    /// Asked by the engine before it makes a preview.
    #[serde(skip)]
    pub previews: Previews,
}

impl GenerateRequest {
    /// The settings as one line of JSON, for the `fieldforge` text chunk.
    pub fn to_json(&self) -> String {
        // Strings and finite numbers always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }
}
