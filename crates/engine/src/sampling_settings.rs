use serde::{Deserialize, Serialize};

use crate::{EngineError, NoiseSettings, Scheduler, StepNoise};

/// How a [`crate::Sampler`] goes about its work. The default is AUTOMATIC1111's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SamplingSettings {
    /// How the noise levels are spread.
    pub scheduler: Scheduler,
    /// What noise the seed stands for.
    pub noise: NoiseSettings,
    /// How much fresh noise ancestral and SDE samplers add: 0 none, 1 all of it. Absent: the sampler's own, which is 0
    /// for `DDIM` and 1 for the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta: Option<f32>,
    /// How much noise `Euler`, `Heun` and `DPM2` stir in before their steps (Karras et al. 2022, algorithm 2).
    pub s_churn: f32,
    /// The smallest noise level at which they do.
    pub s_tmin: f32,
    /// The largest noise level at which they do; absent: no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s_tmax: Option<f32>,
    /// The strength of all fresh noise.
    pub s_noise: f32,
    /// The schedule's smallest noise level; absent: the model's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sigma_min: Option<f32>,
    /// The schedule's largest noise level; absent: the model's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sigma_max: Option<f32>,
    /// The exponent of `Karras` (7 when absent) and `Polyexponential` (1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rho: Option<f32>,
    /// Leaves the last noise level before 0 out for every sampler, not only for those that need it.
    pub discard_penultimate: bool,
    /// Rounds timesteps to the model's own, as ComfyUI does.
    pub quantize: bool,
    /// Brings the spread of the guided prediction back to that of the unguided one, by this share (Lin et al. 2024).
    pub cfg_rescale: f32,
    /// Scales the first noise by `sqrt(1 + sigma²)` instead of `sigma`, as ComfyUI does when it starts from noise alone.
    pub sgm_noise: bool,
}

impl Default for SamplingSettings {
    fn default() -> Self {
        Self {
            scheduler: Scheduler::Automatic,
            noise: NoiseSettings::default(),
            eta: None,
            s_churn: 0.0,
            s_tmin: 0.0,
            s_tmax: None,
            s_noise: 1.0,
            sigma_min: None,
            sigma_max: None,
            rho: None,
            discard_penultimate: false,
            quantize: false,
            cfg_rescale: 0.0,
            sgm_noise: false,
        }
    }
}

impl SamplingSettings {
    /// ComfyUI's ways: fresh noise from the next seed, whole timesteps, the first noise scaled to unit variance.
    pub fn comfy_ui() -> Self {
        let noise = NoiseSettings { steps: StepNoise::CpuNextSeed, ..NoiseSettings::default() };
        Self { noise, quantize: true, sgm_noise: true, ..Self::default() }
    }

    /// # Errors
    /// [`EngineError::Setting`] for the first setting out of bounds.
    pub(crate) fn check(&self) -> Result<(), EngineError> {
        let numbers = [
            ("eta", self.eta, 0.0, 10.0),
            ("sigma churn", Some(self.s_churn), 0.0, 1000.0),
            ("sigma tmin", Some(self.s_tmin), 0.0, 10_000.0),
            ("sigma tmax", self.s_tmax, 0.0, 10_000.0),
            ("sigma noise", Some(self.s_noise), 0.0, 10.0),
            ("schedule min sigma", self.sigma_min, 0.001, 1000.0),
            ("schedule max sigma", self.sigma_max, 0.01, 10_000.0),
            ("CFG rescale", Some(self.cfg_rescale), 0.0, 1.0),
            ("schedule rho", self.rho, 0.1, 100.0),
        ];
        for (setting, value, low, high) in numbers {
            if let Some(value) = value.filter(|value| !(low..=high).contains(value)) {
                let expected = format!("{low} to {high}");
                return Err(EngineError::Setting { setting, found: value.to_string(), expected });
            }
        }
        self.noise.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_bounds_are_named() {
        assert!(SamplingSettings::default().check().is_ok());
        let refusal = |settings: SamplingSettings| settings.check().err().map(|error| error.to_string());
        let eta = SamplingSettings { eta: Some(-0.5), ..SamplingSettings::default() };
        assert_eq!(refusal(eta).as_deref(), Some("eta is -0.5, expected 0 to 10"));
        let rho = SamplingSettings { rho: Some(f32::NAN), ..SamplingSettings::default() };
        assert_eq!(refusal(rho).as_deref(), Some("schedule rho is NaN, expected 0.1 to 100"));
    }

    #[test]
    fn absent_fields_have_defaults() {
        assert_eq!(serde_json::from_str::<SamplingSettings>("{}").ok(), Some(SamplingSettings::default()));
        let json = serde_json::to_string(&SamplingSettings::default()).expect("json");
        assert_eq!(serde_json::from_str::<SamplingSettings>(&json).ok(), Some(SamplingSettings::default()));
    }
}
