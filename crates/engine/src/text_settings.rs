use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::EngineError;

/// How a prompt becomes what the UNet is conditioned on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TextSettings {
    /// Which layer of the text encoder counts, from the end: 1 is the last, 2 the one before. Stable Diffusion 2 and XL
    /// were trained with 2: less means the same there.
    pub clip_skip: u32,
    /// Whose grammar and formula weights words.
    pub emphasis: Emphasis,
    /// A prompt and a negative prompt of different lengths get as many chunks: the shorter one is filled up with empty
    /// ones ("Pad conds" in AUTOMATIC1111). Otherwise each keeps its length.
    pub pad_conds: bool,
}

impl TextSettings {
    /// Allowed CLIP skips.
    pub const CLIP_SKIPS: RangeInclusive<u32> = 1..=12;

    /// Whether the engine can do this at all.
    ///
    /// # Errors
    /// [`EngineError::Setting`].
    pub fn check(&self) -> Result<(), EngineError> {
        if Self::CLIP_SKIPS.contains(&self.clip_skip) {
            return Ok(());
        }
        let expected = format!("{} to {}", Self::CLIP_SKIPS.start(), Self::CLIP_SKIPS.end());
        Err(EngineError::Setting { setting: "CLIP skip", found: self.clip_skip.to_string(), expected })
    }
}

impl Default for TextSettings {
    fn default() -> Self {
        Self { clip_skip: 1, emphasis: Emphasis::Original, pad_conds: false }
    }
}

/// What weights in a prompt do. The names are those of AUTOMATIC1111's option, but for the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Emphasis {
    /// AUTOMATIC1111's grammar; encoded words are multiplied by their weights, then all by one number that restores
    /// their mean.
    #[default]
    Original,
    /// The same without restoring the mean.
    #[serde(rename = "No norm")]
    NoNorm,
    /// AUTOMATIC1111's grammar, with all weights 1.
    Ignore,
    /// Brackets and `BREAK` are words. Tags, `AND` and schedules are still read.
    None,
    /// ComfyUI's grammar, which knows neither tags nor `AND`, schedules or `BREAK`; encoded words are moved away from
    /// those of an empty prompt by their weights, and words stay together at the end of a chunk.
    #[serde(rename = "ComfyUI")]
    ComfyUi,
}

impl Emphasis {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Original, Self::NoNorm, Self::Ignore, Self::None, Self::ComfyUi];
}

impl fmt::Display for Emphasis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Original => "Original",
            Self::NoNorm => "No norm",
            Self::Ignore => "Ignore",
            Self::None => "None",
            Self::ComfyUi => "ComfyUI",
        })
    }
}

impl FromStr for Emphasis {
    type Err = EngineError;

    fn from_str(name: &str) -> Result<Self, EngineError> {
        let found = Self::ALL.into_iter().find(|emphasis| emphasis.to_string() == name);
        let expected = || Self::ALL.map(|emphasis| format!("`{emphasis}`")).join(", ");
        let refused = || EngineError::Setting { setting: "emphasis", found: name.to_owned(), expected: expected() };
        found.ok_or_else(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_json_are_those_that_people_see() {
        for emphasis in Emphasis::ALL {
            assert_eq!(serde_json::to_string(&emphasis).expect("json"), format!("\"{emphasis}\""));
            assert_eq!(emphasis.to_string().parse::<Emphasis>().expect("a name"), emphasis);
        }
        assert_eq!(serde_json::from_str::<TextSettings>("{}").expect("defaults"), TextSettings::default());
    }

    #[test]
    fn clip_skip_has_bounds() {
        let refusal = TextSettings { clip_skip: 0, ..TextSettings::default() }.check().expect_err("too small");
        assert_eq!(refusal.to_string(), "CLIP skip is 0, expected 1 to 12");
    }
}
