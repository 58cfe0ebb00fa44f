use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::{
    EngineError, HiresSettings, ImageSettings, InpaintSettings, ModelInfo, RefinerSettings, Sampler, SamplingSettings,
    Scheduler, TextSettings,
};

/// Everything that decides a picture besides the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GenerateSettings {
    /// What to draw.
    pub prompt: String,
    /// What to keep away from.
    #[serde(default)]
    pub negative_prompt: String,
    /// Width in pixels, a multiple of 8.
    pub width: u32,
    /// Height in pixels, a multiple of 8.
    pub height: u32,
    /// Sampling steps.
    pub steps: u32,
    /// How strongly the prompt pulls; 1 ignores the negative prompt and halves the time.
    pub cfg_scale: f32,
    /// Which noise to start from. Only the lower 32 bits count, as in PyTorch.
    pub seed: u64,
    /// The sampler.
    pub sampler: Sampler,
    /// How it goes about its work.
    #[serde(default)]
    pub sampling: SamplingSettings,
    /// How the prompts become what the model is conditioned on.
    #[serde(default)]
    pub text: TextSettings,
    /// Starts from a picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageSettings>,
    /// Draws only a part of that picture, or around it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inpaint: Option<InpaintSettings>,
    /// Draws a second time at a larger size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hires: Option<HiresSettings>,
    /// Another model draws the last steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refiner: Option<RefinerSettings>,
}

impl GenerateSettings {
    /// Allowed widths and heights, multiples of [`GenerateSettings::SIDE_MULTIPLE`] only.
    pub const SIDES: RangeInclusive<u32> = 64..=2048;
    /// What widths and heights must be a multiple of.
    pub const SIDE_MULTIPLE: u32 = 8;
    /// Allowed numbers of steps.
    pub const STEPS: RangeInclusive<u32> = 1..=150;
    /// Allowed CFG scales.
    pub const CFG_SCALES: RangeInclusive<f32> = 1.0..=30.0;
    /// Longest prompt in bytes; text encoders see 75 tokens of it at a time.
    pub const PROMPT_BYTES: usize = 10_000;

    /// The model's recommended settings with an empty prompt and seed 0.
    pub fn recommended(info: &ModelInfo) -> Self {
        Self {
            width: info.width,
            height: info.height,
            steps: info.steps,
            cfg_scale: info.cfg_scale,
            sampler: info.sampler,
            ..Self::default()
        }
    }

    /// The sampler's name, followed by the scheduler's unless that is automatic; [`Sampler::with_scheduler`] reads it.
    pub fn sampler_name(&self) -> String {
        match self.sampling.scheduler {
            Scheduler::Automatic => self.sampler.to_string(),
            scheduler => format!("{} {scheduler}", self.sampler),
        }
    }

    /// Whether the engine can do this at all.
    ///
    /// # Errors
    /// [`EngineError::Setting`] for the first setting out of bounds.
    pub fn check(&self) -> Result<(), EngineError> {
        let refused = |setting, found: String, expected: String| Err(EngineError::Setting { setting, found, expected });
        for (setting, side) in [("width", self.width), ("height", self.height)] {
            if !Self::SIDES.contains(&side) || !side.is_multiple_of(Self::SIDE_MULTIPLE) {
                let (low, high) = (Self::SIDES.start(), Self::SIDES.end());
                let expected = format!("a multiple of {} from {low} to {high}", Self::SIDE_MULTIPLE);
                return refused(setting, side.to_string(), expected);
            }
        }
        if !Self::STEPS.contains(&self.steps) {
            let expected = format!("{} to {}", Self::STEPS.start(), Self::STEPS.end());
            return refused("steps", self.steps.to_string(), expected);
        }
        if !Self::CFG_SCALES.contains(&self.cfg_scale) {
            let expected = format!("{} to {}", Self::CFG_SCALES.start(), Self::CFG_SCALES.end());
            return refused("CFG scale", self.cfg_scale.to_string(), expected);
        }
        for (setting, prompt) in [("prompt", &self.prompt), ("negative prompt", &self.negative_prompt)] {
            if prompt.len() > Self::PROMPT_BYTES {
                return refused(
                    setting,
                    format!("{} bytes long", prompt.len()),
                    format!("at most {} bytes", Self::PROMPT_BYTES),
                );
            }
        }
        self.sampling.check()?;
        self.text.check()?;
        self.image.as_ref().map_or(Ok(()), ImageSettings::check)?;
        self.inpaint.as_ref().map_or(Ok(()), InpaintSettings::check)?;
        self.refiner.as_ref().map_or(Ok(()), RefinerSettings::check)?;
        if self.hires.is_some() && self.inpaint.is_some() {
            return refused("hires", "set".to_owned(), "nothing while only a part of a picture is drawn".to_owned());
        }
        self.hires.as_ref().map_or(Ok(()), |hires| hires.check(self))
    }

    /// The settings of picture `index`, counted from 0, of a batch: each next picture has the next seed.
    #[must_use]
    pub fn of_batch(&self, index: u32) -> Self {
        Self { seed: self.seed.wrapping_add(u64::from(index)), ..self.clone() }
    }
}

/// What suits Stable Diffusion 1.x, with an empty prompt and seed 0.
impl Default for GenerateSettings {
    fn default() -> Self {
        Self {
            prompt: String::new(),
            negative_prompt: String::new(),
            width: 512,
            height: 512,
            steps: 20,
            cfg_scale: 7.0,
            seed: 0,
            sampler: Sampler::Euler,
            sampling: SamplingSettings::default(),
            text: TextSettings::default(),
            image: None,
            inpaint: None,
            hires: None,
            refiner: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> GenerateSettings {
        GenerateSettings {
            prompt: "a banana".to_owned(),
            negative_prompt: String::new(),
            width: 64,
            height: 2048,
            steps: 150,
            cfg_scale: 30.0,
            seed: u64::MAX,
            sampler: Sampler::EulerA,
            ..GenerateSettings::default()
        }
    }

    #[test]
    fn the_first_setting_out_of_bounds_is_named() {
        assert!(settings().check().is_ok());
        let refusal = |change: fn(&mut GenerateSettings)| {
            let mut settings = settings();
            change(&mut settings);
            settings.check().err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert_eq!(refusal(|s| s.width = 65), "width is 65, expected a multiple of 8 from 64 to 2048");
        assert_eq!(refusal(|s| s.height = 2056), "height is 2056, expected a multiple of 8 from 64 to 2048");
        assert_eq!(refusal(|s| s.width = 0), "width is 0, expected a multiple of 8 from 64 to 2048");
        assert_eq!(refusal(|s| s.steps = 0), "steps is 0, expected 1 to 150");
        assert_eq!(refusal(|s| s.cfg_scale = f32::NAN), "CFG scale is NaN, expected 1 to 30");
        assert_eq!(refusal(|s| s.cfg_scale = 0.5), "CFG scale is 0.5, expected 1 to 30");
        assert_eq!(
            refusal(|s| s.prompt = "x".repeat(10_001)),
            "prompt is 10001 bytes long, expected at most 10000 bytes"
        );
    }

    #[test]
    fn settings_survive_json() {
        let json = serde_json::to_string(&settings()).expect("json");
        assert!(json.contains(r#""sampler":"Euler a""#), "{json}");
        assert_eq!(serde_json::from_str::<GenerateSettings>(&json).expect("settings"), settings());
        // as version 0.1 wrote it
        let old = r#"{"prompt":"a banana","width":64,"height":2048,"steps":150,"cfg_scale":30.0,"seed":18446744073709551615,"sampler":"Euler a"}"#;
        assert_eq!(serde_json::from_str::<GenerateSettings>(old).expect("settings"), settings());
    }
}
