//! The settings of one picture, complete and within bounds.

use serde::{Deserialize, Serialize};

use crate::{ControlRequest, Hires, Init, Inpaint, PictureRef, Pictures, Previews, Refiner, Variation};

/// Smallest side of a picture in pixels.
pub(crate) const MIN_SIDE: u32 = 64;
/// Largest side of a picture in pixels.
pub(crate) const MAX_SIDE: u32 = 2048;
/// Sides are multiples of this many pixels: the VAE's factor.
pub(crate) const SIDE_MULTIPLE: u32 = 8;
/// Most steps of one picture.
pub(crate) const MAX_STEPS: u32 = 150;
/// Smallest guidance scale: none at all.
pub(crate) const MIN_CFG_SCALE: f32 = 1.0;
/// Largest guidance scale.
pub(crate) const MAX_CFG_SCALE: f32 = 30.0;
/// Largest seed: JavaScript's largest exact integer, so that the page never rounds one.
pub(crate) const MAX_SEED: u64 = (1 << 53) - 1;
/// Most ControlNets of one picture.
pub(crate) const MAX_CONTROLS: usize = 8;
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
    /// Guidance scale, 1 (none) to 30.
    pub cfg_scale: f32,
    /// Seed of the noise, already chosen where the request left it open; at most 2^53 - 1.
    pub seed: u64,
    /// The name of a known sampler.
    pub sampler: String,
    /// The name of a known scheduler; absent: the sampler's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<String>,
    /// How many of the text encoder's last layers are left out, plus one: 1 to 12; absent: as the model wants it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_skip: Option<u32>,
    /// Where the noise comes from: `CPU` (ComfyUI and diffusers) or `NV` (A1111 on a graphics card); absent: the engine's
    /// own choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<String>,
    /// The noise multiplier of ancestral samplers; absent: the sampler's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta: Option<f32>,
    /// A second seed to turn towards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variation: Option<Variation>,
    /// A picture to start from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<Init>,
    /// Draws only a part of that picture, or around it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inpaint: Option<Inpaint>,
    /// Draws a second time at a larger size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hires: Option<Hires>,
    /// Another model draws the last steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refiner: Option<Refiner>,
    /// ControlNets, at most eight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub controls: Vec<ControlRequest>,
    /// The name of an upscaler that enlarges the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upscale: Option<String>,
    /// Draws nothing: [`GenerateRequest::upscale`] enlarges this picture as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enlarge: Option<PictureRef>,
    /// Asked by the engine before it makes a preview.
    #[serde(skip)]
    pub previews: Previews,
    /// Gives the engine the pictures that the request names.
    #[serde(skip)]
    pub pictures: Pictures,
}

/// A small square with an empty prompt; for building a request field by field.
impl Default for GenerateRequest {
    fn default() -> Self {
        Self {
            model: String::new(),
            prompt: String::new(),
            negative_prompt: String::new(),
            width: 512,
            height: 512,
            steps: 20,
            cfg_scale: 7.0,
            seed: 0,
            sampler: String::new(),
            scheduler: None,
            clip_skip: None,
            noise: None,
            eta: None,
            variation: None,
            init: None,
            inpaint: None,
            hires: None,
            refiner: None,
            controls: Vec::new(),
            upscale: None,
            enlarge: None,
            previews: Previews::default(),
            pictures: Pictures::default(),
        }
    }
}

impl GenerateRequest {
    /// The pictures that this request names, each once.
    pub fn picture_refs(&self) -> Vec<&PictureRef> {
        let init = self.init.iter().map(|init| &init.picture);
        let mask = self.inpaint.iter().filter_map(|inpaint| inpaint.mask.as_ref());
        let controls = self.controls.iter().map(|control| &control.picture);
        let mut all: Vec<&PictureRef> = Vec::new();
        for picture in init.chain(mask).chain(controls).chain(&self.enlarge) {
            if !all.contains(&picture) {
                all.push(picture);
            }
        }
        all
    }

    /// The settings as one line of JSON, for the `fieldforge` text chunk.
    pub fn to_json(&self) -> String {
        // Strings and finite numbers always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }
}
