use serde::{Deserialize, Serialize};

use crate::{EngineError, GenerateSettings, RandomSource};

/// What noise a seed stands for. The default is AUTOMATIC1111's with "RNG: CPU".
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NoiseSettings {
    /// Whose random numbers.
    pub source: RandomSource,
    /// Where the fresh noise of ancestral samplers comes from.
    pub steps: StepNoise,
    /// Added to the seed for the fresh noise of ancestral samplers ("ENSD": eta noise seed delta; 31337 is common).
    pub seed_delta: u64,
    /// The seed of another picture's noise to go towards.
    pub variation_seed: u64,
    /// How far to go: 0 not at all, 1 all the way.
    pub variation_strength: f32,
    /// The size in pixels of the picture whose noise stands in the middle of this one's ("seed resize").
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resized_from: Option<(u32, u32)>,
}

/// Where the fresh noise of ancestral samplers comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepNoise {
    /// The generator of the first noise goes on: AUTOMATIC1111.
    #[default]
    Continued,
    /// PyTorch's CPU generator with the next seed: ComfyUI on a CPU.
    CpuNextSeed,
    /// An NVIDIA card's generator with the same seed: ComfyUI on such a card.
    NvSameSeed,
}

impl NoiseSettings {
    /// # Errors
    /// [`EngineError::Setting`] for the first setting out of bounds.
    pub(crate) fn check(&self) -> Result<(), EngineError> {
        if !(0.0..=1.0).contains(&self.variation_strength) {
            return Err(EngineError::Setting {
                setting: "variation strength",
                found: self.variation_strength.to_string(),
                expected: "0 to 1".to_owned(),
            });
        }
        let (low, high) = (GenerateSettings::SIDES.start(), GenerateSettings::SIDES.end());
        match self.resized_from {
            Some((width, height)) if !(low..=high).contains(&&width) || !(low..=high).contains(&&height) => {
                Err(EngineError::Setting {
                    setting: "size of the seed's picture",
                    found: format!("{width}x{height}"),
                    expected: format!("sides from {low} to {high}"),
                })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_bounds_are_named() {
        let refusal = |settings: NoiseSettings| settings.check().err().map(|error| error.to_string());
        assert_eq!(refusal(NoiseSettings::default()), None);
        let strength = NoiseSettings { variation_strength: f32::NAN, ..NoiseSettings::default() };
        assert_eq!(refusal(strength).as_deref(), Some("variation strength is NaN, expected 0 to 1"));
        let size = NoiseSettings { resized_from: Some((512, 0)), ..NoiseSettings::default() };
        assert_eq!(
            refusal(size).as_deref(),
            Some("size of the seed's picture is 512x0, expected sides from 64 to 2048")
        );
    }

    #[test]
    fn settings_survive_json() {
        let settings = NoiseSettings { resized_from: Some((512, 768)), source: RandomSource::Nv, ..Default::default() };
        let json = serde_json::to_string(&settings).expect("json");
        assert!(json.contains(r#""source":"NV","steps":"continued""#), "{json}");
        assert_eq!(serde_json::from_str::<NoiseSettings>(&json).ok(), Some(settings));
    }
}
