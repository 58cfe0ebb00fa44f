use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::image_settings::within;
use crate::EngineError;
use crate::image_ops::Extension;

/// Drawing only a part of a picture anew, or around it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InpaintSettings {
    /// What is in the masked part before it is drawn.
    pub fill: InpaintFill,
    /// Draws the masked part alone, at the full size, with this many pixels around it to see; the result has the size
    /// of the whole picture. Absent: the whole picture is drawn, and kept where it is not masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only_masked: Option<u32>,
    /// Pixels by which the mask is blurred along its rows.
    pub mask_blur_x: f32,
    /// Pixels by which the mask is blurred along its columns.
    pub mask_blur_y: f32,
    /// Draws what is not masked.
    pub invert: bool,
    /// Pixels that the picture grows at its edges; they are masked.
    #[serde(skip_serializing_if = "Extension::is_none")]
    pub extend: Extension,
}

impl InpaintSettings {
    /// Allowed mask blurs.
    pub const MASK_BLURS: RangeInclusive<f32> = 0.0..=64.0;
    /// Most pixels around the masked part.
    pub const LARGEST_PADDING: u32 = 256;

    /// # Errors
    /// [`EngineError::Setting`] for the first setting out of bounds.
    pub(crate) fn check(&self) -> Result<(), EngineError> {
        within("mask blur", self.mask_blur_x, Self::MASK_BLURS)?;
        within("mask blur", self.mask_blur_y, Self::MASK_BLURS)?;
        match self.only_masked.filter(|padding| *padding > Self::LARGEST_PADDING) {
            None => Ok(()),
            Some(padding) => Err(EngineError::Setting {
                setting: "padding around the mask",
                found: padding.to_string(),
                expected: format!("0 to {}", Self::LARGEST_PADDING),
            }),
        }
    }
}

impl Default for InpaintSettings {
    fn default() -> Self {
        Self {
            fill: InpaintFill::Original,
            only_masked: None,
            mask_blur_x: 4.0,
            mask_blur_y: 4.0,
            invert: false,
            extend: Extension::default(),
        }
    }
}

/// What is in the masked part before it is drawn, in the order of AUTOMATIC1111's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InpaintFill {
    /// The blurred colours around it (0).
    Fill,
    /// What was there (1).
    #[default]
    Original,
    /// Noise (2).
    Noise,
    /// A latent of zeros, a middling grey (3).
    Nothing,
}

impl InpaintFill {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Fill, Self::Original, Self::Noise, Self::Nothing];

    fn name(self) -> &'static str {
        match self {
            Self::Fill => "fill",
            Self::Original => "original",
            Self::Noise => "noise",
            Self::Nothing => "nothing",
        }
    }
}

impl fmt::Display for InpaintFill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for InpaintFill {
    type Err = EngineError;

    fn from_str(name: &str) -> Result<Self, EngineError> {
        let found = Self::ALL.into_iter().find(|fill| fill.name() == name);
        found.ok_or_else(|| EngineError::Setting {
            setting: "inpaint fill",
            found: name.to_owned(),
            expected: "`fill`, `original`, `noise` or `nothing`".to_owned(),
        })
    }
}
