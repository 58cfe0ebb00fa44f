use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::EngineError;

/// How the noise levels of a sampler's steps are spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scheduler {
    /// The sampler's own: see [`crate::Sampler::automatic`].
    #[default]
    Automatic,
    /// Timesteps evenly spread from the model's last to its first ("Uniform" and "discrete" elsewhere).
    Normal,
    /// Karras et al. 2022, equation 5.
    Karras,
    /// Evenly spread in the level's logarithm.
    Exponential,
    /// Evenly spread in a power of the level's logarithm: [`Scheduler::Exponential`] unless `rho` is set.
    Polyexponential,
    /// Timesteps evenly spread from the model's last, the first one left out ("trailing" elsewhere).
    SgmUniform,
    /// Every n-th of the model's 1000 levels, from the last.
    Simple,
    /// Every n-th of the model's 1000 levels, from the second.
    DdimUniform,
    /// Lee et al. 2024 as AUTOMATIC1111 has it: levels spread by a beta distribution.
    Beta,
    /// Lee et al. 2024 as ComfyUI has it: timesteps spread by a beta distribution.
    BetaTimesteps,
    /// Sabour et al. 2024: levels tuned for ten steps, interpolated for other numbers.
    AlignYourSteps,
    /// Evenly spread in the level's arcus tangent (Sabour et al. 2024, theorem 3.1); ends at the model's smallest level.
    KlOptimal,
}

impl Scheduler {
    /// All schedulers, in the order in which a list should show them.
    pub const ALL: [Self; 12] = [
        Self::Automatic,
        Self::Normal,
        Self::Karras,
        Self::Exponential,
        Self::Polyexponential,
        Self::SgmUniform,
        Self::Simple,
        Self::DdimUniform,
        Self::Beta,
        Self::BetaTimesteps,
        Self::AlignYourSteps,
        Self::KlOptimal,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Automatic => "Automatic",
            Self::Normal => "Normal",
            Self::Karras => "Karras",
            Self::Exponential => "Exponential",
            Self::Polyexponential => "Polyexponential",
            Self::SgmUniform => "SGM Uniform",
            Self::Simple => "Simple",
            Self::DdimUniform => "DDIM",
            Self::Beta => "Beta",
            Self::BetaTimesteps => "Beta timesteps",
            Self::AlignYourSteps => "Align Your Steps",
            Self::KlOptimal => "KL Optimal",
        }
    }

    /// The scheduler of a name without case, spaces and signs.
    pub(crate) fn from_plain(plain: &str) -> Option<Self> {
        Some(match plain {
            "automatic" | "auto" => Self::Automatic,
            "normal" | "uniform" | "discrete" => Self::Normal,
            "karras" | "ka" => Self::Karras,
            "exponential" | "exp" => Self::Exponential,
            "polyexponential" => Self::Polyexponential,
            "sgmuniform" | "sgm" | "trailing" => Self::SgmUniform,
            "simple" => Self::Simple,
            "ddim" | "ddimuniform" => Self::DdimUniform,
            "beta" => Self::Beta,
            "betatimesteps" => Self::BetaTimesteps,
            "alignyoursteps" | "ays" => Self::AlignYourSteps,
            "kloptimal" => Self::KlOptimal,
            _ => return None,
        })
    }
}

impl fmt::Display for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Scheduler {
    type Err = EngineError;

    /// Reads a name of AUTOMATIC1111, ComfyUI or diffusers in any case, with spaces, dashes or underscores.
    fn from_str(name: &str) -> Result<Self, EngineError> {
        let plain: String = name.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
        Self::from_plain(&plain).ok_or_else(|| EngineError::UnknownScheduler { name: name.to_owned() })
    }
}

impl Serialize for Scheduler {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Scheduler {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_aliases_are_understood() {
        for scheduler in Scheduler::ALL {
            assert_eq!(scheduler.to_string().to_uppercase().parse::<Scheduler>().ok(), Some(scheduler));
        }
        for (alias, scheduler) in [
            ("sgm_uniform", Scheduler::SgmUniform),
            ("SGMUniform", Scheduler::SgmUniform),
            ("ddim_uniform", Scheduler::DdimUniform),
            ("Uniform", Scheduler::Normal),
            ("kl_optimal", Scheduler::KlOptimal),
            ("align_your_steps", Scheduler::AlignYourSteps),
            ("trailing", Scheduler::SgmUniform),
        ] {
            assert_eq!(alias.parse::<Scheduler>().ok(), Some(scheduler), "{alias}");
        }
        let error = "magic".parse::<Scheduler>().expect_err("unknown");
        assert_eq!(error.to_string(), "no scheduler is called `magic`");
        assert!(error.hint().is_some_and(|hint| hint.contains("`SGM Uniform`")));
    }

    #[test]
    fn json_holds_the_name() {
        let json = serde_json::to_string(&Scheduler::ALL).expect("json");
        assert!(json.contains(r#""Align Your Steps""#), "{json}");
        assert_eq!(serde_json::from_str::<[Scheduler; 12]>(&json).expect("schedulers"), Scheduler::ALL);
    }
}
