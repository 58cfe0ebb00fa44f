//! What a request may ask for beyond a prompt: a picture to start from, a mask, a larger second pass, …
//!
//! Names and defaults are the engine's; the JSON is what the page sends and what stands in the PNG file.

use serde::{Deserialize, Serialize};

use crate::PictureRef;

/// Starts from a picture instead of noise alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Init {
    /// The picture.
    pub picture: PictureRef,
    /// Denoising strength: 0 keeps the picture, 1 keeps nothing of it.
    #[serde(default = "three_quarters")]
    pub strength: f32,
    /// How a picture of another shape is fitted: `stretch`, `crop`, `fill` or `latent`.
    #[serde(default = "stretch")]
    pub resize_mode: String,
}

/// Draws only a part of the picture that [`Init`] names, or around it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inpaint {
    /// Where to draw: white; a picture with transparency is drawn where it is transparent. Absent: only `extend` counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<PictureRef>,
    /// Draws where the mask is black instead.
    #[serde(default)]
    pub invert: bool,
    /// Softens the mask's edge, in pixels, 0 to 64.
    #[serde(default = "four")]
    pub mask_blur: f32,
    /// What lies under the mask at first: `fill`, `original`, `noise` or `nothing`.
    #[serde(default = "original")]
    pub fill: String,
    /// Draws the masked part alone, at full size, with this many pixels around it; absent: the whole picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_masked: Option<u32>,
    /// Makes the picture larger by so many pixels, and draws there.
    #[serde(default, skip_serializing_if = "Extend::is_none")]
    pub extend: Extend,
}

/// Pixels to draw beyond each edge of a picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Extend {
    /// Beyond the left edge.
    pub left: u32,
    /// Beyond the right edge.
    pub right: u32,
    /// Above.
    pub top: u32,
    /// Below.
    pub bottom: u32,
}

impl Extend {
    /// Whether nothing is added.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// A second pass at a larger size: A1111's "hires. fix".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hires {
    /// How much larger, unless `size` says it.
    #[serde(default = "two")]
    pub scale: f32,
    /// Width and height of the result; 0 for one of them: as the proportions give it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<(u32, u32)>,
    /// How the first pass's result is enlarged: "Latent", "Lanczos", or an upscaler's name.
    #[serde(default = "latent")]
    pub upscaler: String,
    /// Denoising strength of the second pass.
    #[serde(default = "seven_tenths")]
    pub strength: f32,
    /// Steps of the second pass; absent: as many as the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
    /// Its own guidance scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cfg_scale: Option<f32>,
    /// Its own sampler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampler: Option<String>,
    /// Its own scheduler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<String>,
    /// Its own prompt; empty: the first one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prompt: String,
    /// Its own negative prompt; empty: the first one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub negative_prompt: String,
}

/// Another model draws the last steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refiner {
    /// The id of a known model.
    pub model: String,
    /// The share of the steps after which it takes over, 0 to 1.
    #[serde(default = "four_fifths")]
    pub switch_at: f32,
}

/// A ControlNet, and the picture that it follows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlRequest {
    /// The ControlNet's name.
    pub net: String,
    /// The picture.
    pub picture: PictureRef,
    /// What is made of the picture first: `none`, or `canny` for its edges.
    #[serde(default = "none")]
    pub preprocess: String,
    /// How strongly it counts.
    #[serde(default = "one")]
    pub weight: f32,
    /// The share of the steps from which it counts.
    #[serde(default)]
    pub start: f32,
    /// The share of the steps until which it counts.
    #[serde(default = "one")]
    pub end: f32,
}

/// A second seed that the first one's noise is turned towards.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variation {
    /// The second seed.
    pub seed: u64,
    /// 0 is the first seed's noise, 1 the second's.
    pub strength: f32,
}

fn three_quarters() -> f32 {
    0.75
}
fn four() -> f32 {
    4.0
}
fn two() -> f32 {
    2.0
}
fn one() -> f32 {
    1.0
}
fn seven_tenths() -> f32 {
    0.7
}
fn four_fifths() -> f32 {
    0.8
}
fn stretch() -> String {
    "stretch".to_owned()
}
fn original() -> String {
    "original".to_owned()
}
fn latent() -> String {
    "Latent".to_owned()
}
fn none() -> String {
    "none".to_owned()
}
