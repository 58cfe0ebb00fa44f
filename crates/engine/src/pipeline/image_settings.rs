use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::image_ops::ResizeMode;
use crate::{EngineError, StrengthRule};

/// Drawing from a picture instead of from noise alone. The numbers mean what they mean to AUTOMATIC1111.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImageSettings {
    /// How much may change: 0 next to nothing, 1 everything.
    pub strength: f32,
    /// What that means for the number of steps.
    pub strength_rule: StrengthRule,
    /// How the picture is brought to the size that is drawn.
    pub resize_mode: ResizeMode,
    /// Scales the noise that is laid over the picture.
    pub noise_multiplier: f32,
    /// How strictly models that edit by instruction (InstructPix2Pix) keep to the picture.
    pub image_cfg_scale: f32,
}

impl ImageSettings {
    /// Allowed strengths.
    pub const STRENGTHS: RangeInclusive<f32> = 0.0..=1.0;
    /// Allowed noise multipliers.
    pub const NOISE_MULTIPLIERS: RangeInclusive<f32> = 0.0..=2.0;
    /// Allowed image CFG scales.
    pub const IMAGE_CFG_SCALES: RangeInclusive<f32> = 0.0..=30.0;

    /// # Errors
    /// [`EngineError::Setting`] for the first setting out of bounds.
    pub(crate) fn check(&self) -> Result<(), EngineError> {
        within("strength", self.strength, Self::STRENGTHS)?;
        within("noise multiplier", self.noise_multiplier, Self::NOISE_MULTIPLIERS)?;
        within("image CFG scale", self.image_cfg_scale, Self::IMAGE_CFG_SCALES)
    }
}

impl Default for ImageSettings {
    fn default() -> Self {
        Self {
            strength: 0.75,
            strength_rule: StrengthRule::Share,
            resize_mode: ResizeMode::Stretch,
            noise_multiplier: 1.0,
            image_cfg_scale: 1.5,
        }
    }
}

/// An error unless `value` lies in `bounds`.
pub(super) fn within(setting: &'static str, value: f32, bounds: RangeInclusive<f32>) -> Result<(), EngineError> {
    if bounds.contains(&value) {
        return Ok(());
    }
    let expected = format!("{} to {}", bounds.start(), bounds.end());
    Err(EngineError::Setting { setting, found: value.to_string(), expected })
}
