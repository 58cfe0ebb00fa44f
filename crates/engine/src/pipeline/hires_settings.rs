use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::image_settings::within;
use crate::image_ops::{Filter, LatentUpscale};
use crate::{EngineError, GenerateSettings, Sampler, SamplingSettings};

/// A second pass at a larger size: AUTOMATIC1111's "hires. fix".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HiresSettings {
    /// How much larger, unless [`HiresSettings::size`] says it.
    pub scale: f32,
    /// Width and height of the result; 0 for one of them: as the first pass's proportions give it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<(u32, u32)>,
    /// How the first pass's result is enlarged.
    pub upscaler: UpscalerName,
    /// How much the second pass may change.
    pub strength: f32,
    /// Steps of the second pass; absent: as many as the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
    /// CFG scale of the second pass; absent: the first's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cfg_scale: Option<f32>,
    /// Sampler of the second pass; absent: the first's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampler: Option<Sampler>,
    /// How that sampler goes about its work; absent: as in the first pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampling: Option<SamplingSettings>,
    /// Prompt of the second pass; empty: the first's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub prompt: String,
    /// Negative prompt of the second pass; empty: the first's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub negative_prompt: String,
}

impl HiresSettings {
    /// Allowed scales.
    pub const SCALES: RangeInclusive<f32> = 1.0..=4.0;

    /// What the first pass's result (of this width and height) is enlarged to: AUTOMATIC1111 keeps its proportions,
    /// covers the size asked for, and cuts what hangs over.
    pub(crate) fn target(&self, (width, height): (u32, u32)) -> Target {
        let scaled = |side: u32, by: u32, of: u32| (u64::from(side) * u64::from(by) / u64::from(of.max(1))) as u32;
        let larger = |side: u32| (f64::from(side) * decimal(self.scale)) as u32;
        let (wide, high) = self.size.unwrap_or((0, 0));
        let wider = u64::from(width) * u64::from(high) < u64::from(wide) * u64::from(height);
        let (to_width, to_height) = match (wide, high) {
            (0, 0) => (larger(width), larger(height)),
            (0, high) => (scaled(high, width, height), high),
            (wide, high) if high == 0 || wider => (wide, scaled(wide, height, width)),
            (_, high) => (scaled(high, width, height), high),
        };
        let over = |side: u32, asked: u32| if wide == 0 || high == 0 { 0 } else { side.saturating_sub(asked) / 8 };
        let cut = (over(to_width, wide), over(to_height, high));
        Target { width: to_width / 8 * 8, height: to_height / 8 * 8, cut }
    }

    /// The settings of the second pass: those of the first with what differs, at the size of its result.
    pub(crate) fn second_pass(&self, first: &GenerateSettings) -> GenerateSettings {
        let target = self.target((first.width, first.height));
        let or = |own: &String, other: &String| if own.is_empty() { other.clone() } else { own.clone() };
        GenerateSettings {
            prompt: or(&self.prompt, &first.prompt),
            negative_prompt: or(&self.negative_prompt, &first.negative_prompt),
            width: target.width - 8 * target.cut.0,
            height: target.height - 8 * target.cut.1,
            steps: self.steps.filter(|steps| *steps > 0).unwrap_or(first.steps),
            cfg_scale: self.cfg_scale.unwrap_or(first.cfg_scale),
            sampler: self.sampler.unwrap_or(first.sampler),
            sampling: self.sampling.clone().unwrap_or_else(|| first.sampling.clone()),
            hires: None,
            ..first.clone()
        }
    }

    /// # Errors
    /// [`EngineError::Setting`] for the first setting out of bounds.
    pub(crate) fn check(&self, first: &GenerateSettings) -> Result<(), EngineError> {
        within("hires scale", self.scale, Self::SCALES)?;
        within("hires strength", self.strength, 0.0..=1.0)?;
        let target = self.target((first.width, first.height));
        let largest = *GenerateSettings::SIDES.end();
        if target.width.max(target.height) > largest || target.width.min(target.height) < 64 {
            return Err(EngineError::Setting {
                setting: "hires size",
                found: format!("{}x{}", target.width, target.height),
                expected: format!("64 to {largest} pixels a side"),
            });
        }
        self.second_pass(first).check()
    }
}

impl Default for HiresSettings {
    fn default() -> Self {
        Self {
            scale: 2.0,
            size: None,
            upscaler: UpscalerName::default(),
            strength: 0.7,
            steps: None,
            cfg_scale: None,
            sampler: None,
            sampling: None,
            prompt: String::new(),
            negative_prompt: String::new(),
        }
    }
}

/// What the first pass's result is enlarged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Columns and rows of the enlarged latent that are cut off, half of them on each side.
    pub(crate) cut: (u32, u32),
}

/// The decimal number that was written.
fn decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or_else(|_| f64::from(value))
}

/// How a picture is enlarged, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpscalerName {
    /// As a latent, before it is decoded.
    Latent(LatentUpscale),
    /// By plain resizing: `Lanczos` or `Nearest`, and `None`, which is Lanczos too.
    Plain(Filter),
    /// By a model of this name.
    Model(String),
}

impl Default for UpscalerName {
    fn default() -> Self {
        Self::Latent(LatentUpscale::Bilinear)
    }
}

impl fmt::Display for UpscalerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latent(how) => how.fmt(f),
            Self::Plain(Filter::Nearest) => f.pad("Nearest"),
            Self::Plain(_) => f.pad("Lanczos"),
            Self::Model(name) => f.pad(name),
        }
    }
}

impl From<&str> for UpscalerName {
    /// AUTOMATIC1111's names in any letter case; any other name is a model's.
    fn from(name: &str) -> Self {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if let Some(how) = LatentUpscale::ALL.into_iter().find(|how| is(how.name())) {
            return Self::Latent(how);
        }
        match () {
            () if is("Lanczos") || is("None") || name.is_empty() => Self::Plain(Filter::Lanczos),
            () if is("Nearest") => Self::Plain(Filter::Nearest),
            () => Self::Model(name.to_owned()),
        }
    }
}

impl FromStr for UpscalerName {
    type Err = std::convert::Infallible;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Ok(Self::from(name))
    }
}

impl Serialize for UpscalerName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UpscalerName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from(String::deserialize(deserializer)?.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(hires: HiresSettings) -> Target {
        hires.target((512, 768))
    }

    #[test]
    fn sizes_are_those_of_automatic1111() {
        let sized = |wide, high| HiresSettings { size: Some((wide, high)), ..HiresSettings::default() };
        assert_eq!(target(HiresSettings::default()), Target { width: 1024, height: 1536, cut: (0, 0) });
        let scale = HiresSettings { scale: 1.7, ..HiresSettings::default() };
        assert_eq!(target(scale), Target { width: 864, height: 1304, cut: (0, 0) });
        assert_eq!(target(sized(1000, 0)), Target { width: 1000, height: 1496, cut: (0, 0) });
        assert_eq!(target(sized(0, 1000)), Target { width: 664, height: 1000, cut: (0, 0) });
        assert_eq!(target(sized(1024, 1024)), Target { width: 1024, height: 1536, cut: (0, 64) });
        assert_eq!(target(sized(640, 1536)), Target { width: 1024, height: 1536, cut: (48, 0) });
    }

    #[test]
    fn names_are_read_and_written() {
        for how in LatentUpscale::ALL {
            assert_eq!(UpscalerName::from(how.name()), UpscalerName::Latent(how));
        }
        for (name, written) in
            [("lanczos", "Lanczos"), ("NEAREST", "Nearest"), ("None", "Lanczos"), ("4x-foo", "4x-foo")]
        {
            assert_eq!(UpscalerName::from(name).to_string(), written);
        }
    }
}
