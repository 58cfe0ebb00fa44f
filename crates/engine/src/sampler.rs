use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{EngineError, Scheduler};

/// A way from noise to picture. The noise levels it goes through are its [`Scheduler`]'s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sampler {
    /// Euler steps (Karras et al. 2022, algorithm 2).
    Euler,
    /// Euler steps that add fresh noise each time.
    EulerA,
    /// Heun's method (Karras et al. 2022, algorithm 2): two looks a step.
    Heun,
    /// DPM-Solver-2 (Lu et al. 2022): two looks a step.
    Dpm2,
    /// DPM-Solver-2 with fresh noise each time.
    Dpm2A,
    /// DPM-Solver++ (2S) (Lu et al. 2022) with fresh noise each time: two looks a step.
    DpmPp2sA,
    /// DPM-Solver++ (2M) (Lu et al. 2022).
    DpmPp2m,
    /// DPM-Solver++ as a stochastic equation: two looks a step.
    DpmPpSde,
    /// DPM-Solver++ (2M) as a stochastic equation.
    DpmPp2mSde,
    /// The same with Heun's correction.
    DpmPp2mSdeHeun,
    /// DPM-Solver++ (3M) as a stochastic equation.
    DpmPp3mSde,
    /// Linear multistep of order four.
    Lms,
    /// DDIM (Song et al. 2020).
    Ddim,
    /// DDPM (Ho et al. 2020): in exact arithmetic the same as `Euler a` on the same levels.
    Ddpm,
    /// UniPC (Zhao et al. 2023), B1.
    UniPc,
    /// UniPC, B2.
    UniPcBh2,
    /// Restart sampling (Xu et al. 2023): two looks a step.
    Restart,
    /// For latent consistency models (Luo et al. 2023).
    Lcm,
}

impl Sampler {
    /// All samplers, in the order in which a list should show them.
    pub const ALL: [Self; 18] = [
        Self::Euler,
        Self::EulerA,
        Self::DpmPp2m,
        Self::DpmPpSde,
        Self::DpmPp2mSde,
        Self::DpmPp2mSdeHeun,
        Self::DpmPp2sA,
        Self::DpmPp3mSde,
        Self::Heun,
        Self::Dpm2,
        Self::Dpm2A,
        Self::Lms,
        Self::Restart,
        Self::Ddim,
        Self::UniPc,
        Self::UniPcBh2,
        Self::Lcm,
        Self::Ddpm,
    ];

    /// How often the model is asked in a step; prompts' schedules count these calls.
    pub(crate) fn calls_per_step(self) -> usize {
        match self {
            Self::Heun | Self::Dpm2 | Self::Dpm2A | Self::DpmPp2sA | Self::DpmPpSde | Self::Restart => 2,
            Self::Euler | Self::EulerA | Self::DpmPp2m | Self::DpmPp2mSde | Self::DpmPp2mSdeHeun => 1,
            Self::DpmPp3mSde | Self::Lms | Self::Ddim | Self::UniPc | Self::UniPcBh2 | Self::Ddpm | Self::Lcm => 1,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Euler => "Euler",
            Self::EulerA => "Euler a",
            Self::Heun => "Heun",
            Self::Dpm2 => "DPM2",
            Self::Dpm2A => "DPM2 a",
            Self::DpmPp2sA => "DPM++ 2S a",
            Self::DpmPp2m => "DPM++ 2M",
            Self::DpmPpSde => "DPM++ SDE",
            Self::DpmPp2mSde => "DPM++ 2M SDE",
            Self::DpmPp2mSdeHeun => "DPM++ 2M SDE Heun",
            Self::DpmPp3mSde => "DPM++ 3M SDE",
            Self::UniPc => "UniPC",
            Self::UniPcBh2 => "UniPC BH2",
            Self::Restart => "Restart",
            Self::Lms => "LMS",
            Self::Ddim => "DDIM",
            Self::Ddpm => "DDPM",
            Self::Lcm => "LCM",
        }
    }

    /// What [`Scheduler::Automatic`] stands for, as in AUTOMATIC1111; itself for samplers with levels of their own
    /// (`DDIM`, `UniPC`, `LCM`).
    pub fn automatic(self) -> Scheduler {
        match self {
            Self::Dpm2 | Self::Dpm2A | Self::DpmPp2sA | Self::DpmPp2m | Self::DpmPpSde | Self::Restart => {
                Scheduler::Karras
            }
            Self::DpmPp2mSde | Self::DpmPp2mSdeHeun | Self::DpmPp3mSde => Scheduler::Exponential,
            Self::Ddim | Self::UniPc | Self::UniPcBh2 | Self::Lcm => Scheduler::Automatic,
            Self::Euler | Self::EulerA | Self::Heun | Self::Lms | Self::Ddpm => Scheduler::Normal,
        }
    }

    /// Reads a sampler's name that may end in a scheduler's, such as `DPM++ 2M Karras`; without one the scheduler is
    /// [`Scheduler::Automatic`].
    ///
    /// # Errors
    /// [`EngineError::UnknownSampler`].
    pub fn with_scheduler(name: &str) -> Result<(Self, Scheduler), EngineError> {
        let plain = plain(name);
        if let Some(sampler) = Self::from_plain(&plain) {
            return Ok((sampler, Scheduler::Automatic));
        }
        // from the longest sampler's name on, so that `eulera` is not `euler` and a schedule `a`
        let split = plain.char_indices().rev().find_map(|(at, _)| {
            let (sampler, scheduler) = plain.split_at(at);
            Some((Self::from_plain(sampler)?, Scheduler::from_plain(scheduler)?))
        });
        split.ok_or_else(|| EngineError::UnknownSampler { name: name.to_owned() })
    }

    fn from_plain(plain: &str) -> Option<Self> {
        Some(match plain {
            "euler" => Self::Euler,
            "eulera" | "eulerancestral" => Self::EulerA,
            "heun" => Self::Heun,
            "dpm2" => Self::Dpm2,
            "dpm2a" | "dpm2ancestral" => Self::Dpm2A,
            "dpmpp2sa" | "dpmpp2sancestral" => Self::DpmPp2sA,
            "dpmpp2m" => Self::DpmPp2m,
            "dpmppsde" | "dpmppsdegpu" => Self::DpmPpSde,
            "dpmpp2msde" | "dpmpp2msdegpu" => Self::DpmPp2mSde,
            "dpmpp2msdeheun" | "dpmpp2msdeheungpu" => Self::DpmPp2mSdeHeun,
            "dpmpp3msde" | "dpmpp3msdegpu" => Self::DpmPp3mSde,
            "unipc" => Self::UniPc,
            "unipcbh2" => Self::UniPcBh2,
            "restart" => Self::Restart,
            "lms" => Self::Lms,
            "ddim" => Self::Ddim,
            "ddpm" => Self::Ddpm,
            "lcm" => Self::Lcm,
            _ => return None,
        })
    }
}

/// A name in small letters, without spaces, signs and the prefixes of k-diffusion's names.
fn plain(name: &str) -> String {
    let plain: String = name.to_lowercase().replace("++", "pp").chars().filter(|c| c.is_alphanumeric()).collect();
    let plain = plain.strip_prefix("sample").unwrap_or(&plain);
    let known = ["euler", "heun", "dpm", "lms", "lcm"];
    match plain.strip_prefix('k') {
        Some(rest) if known.iter().any(|start| rest.starts_with(start)) => rest.to_owned(),
        _ => plain.to_owned(),
    }
}

impl fmt::Display for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Sampler {
    type Err = EngineError;

    /// Reads a name in any case, with spaces, dashes or underscores; k-diffusion's names (`k_euler`, `sample_euler_a`)
    /// are understood too, and a name with the scheduler that is the sampler's own anyway (`dpmpp_2m_karras`). For other
    /// schedulers there is [`Sampler::with_scheduler`].
    fn from_str(name: &str) -> Result<Self, EngineError> {
        match Self::with_scheduler(name)? {
            (sampler, scheduler) if scheduler == Scheduler::Automatic || scheduler == sampler.automatic() => {
                Ok(sampler)
            }
            _ => Err(EngineError::UnknownSampler { name: name.to_owned() }),
        }
    }
}

impl Serialize for Sampler {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Sampler {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_aliases_are_understood() {
        for sampler in Sampler::ALL {
            assert_eq!(sampler.to_string().to_uppercase().parse::<Sampler>().ok(), Some(sampler));
        }
        for (alias, sampler) in [
            ("k_euler", Sampler::Euler),
            ("euler_ancestral", Sampler::EulerA),
            ("sample_euler_ancestral", Sampler::EulerA),
            ("k_euler_a", Sampler::EulerA),
            ("dpmpp_2m_karras", Sampler::DpmPp2m),
            ("dpm++ 2m", Sampler::DpmPp2m),
            ("DPM++ 2M Karras", Sampler::DpmPp2m),
            ("k_dpmpp_2m_ka", Sampler::DpmPp2m),
            ("k_dpm_2_a", Sampler::Dpm2A),
            ("dpm_2_ancestral", Sampler::Dpm2A),
            ("uni_pc_bh2", Sampler::UniPcBh2),
            ("dpmpp_2m_sde_gpu", Sampler::DpmPp2mSde),
            ("ddim", Sampler::Ddim),
        ] {
            assert_eq!(alias.parse::<Sampler>().ok(), Some(sampler), "{alias}");
        }
        let error = "magic".parse::<Sampler>().expect_err("unknown");
        assert_eq!(error.to_string(), "no sampler is called `magic`");
        assert!(error.hint().is_some_and(|hint| hint.starts_with("choose one of `Euler`, `Euler a`, `DPM++ 2M`")));
        assert!("euler_karras".parse::<Sampler>().is_err(), "a schedule is not swallowed");
    }

    #[test]
    fn names_may_end_in_a_schedule() {
        for (name, sampler, scheduler) in [
            ("DPM++ 2M Karras", Sampler::DpmPp2m, Scheduler::Karras),
            ("DPM++ 2M SGM Uniform", Sampler::DpmPp2m, Scheduler::SgmUniform),
            ("Euler a Karras", Sampler::EulerA, Scheduler::Karras),
            ("euler_karras", Sampler::Euler, Scheduler::Karras),
            ("Euler Automatic", Sampler::Euler, Scheduler::Automatic),
            ("Euler", Sampler::Euler, Scheduler::Automatic),
            ("DPM++ 2S a Karras", Sampler::DpmPp2sA, Scheduler::Karras),
            ("k_dpmpp_2m_sde_ka", Sampler::DpmPp2mSde, Scheduler::Karras),
            ("DPM++ 2M SDE Heun Exponential", Sampler::DpmPp2mSdeHeun, Scheduler::Exponential),
            ("k_lms_ka", Sampler::Lms, Scheduler::Karras),
            ("ddim ddim_uniform", Sampler::Ddim, Scheduler::DdimUniform),
        ] {
            assert_eq!(Sampler::with_scheduler(name).ok(), Some((sampler, scheduler)), "{name}");
        }
        for name in ["", "karras", "euler magic", "ä", "k"] {
            assert!(Sampler::with_scheduler(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn json_holds_the_name() {
        let json = serde_json::to_string(&Sampler::ALL).expect("json");
        assert!(json.starts_with(r#"["Euler","Euler a","DPM++ 2M""#), "{json}");
        assert_eq!(serde_json::from_str::<Vec<Sampler>>(&json).expect("samplers"), Sampler::ALL);
        // as version 0.1 wrote it
        assert_eq!(serde_json::from_str::<Sampler>(r#""DPM++ 2M Karras""#).ok(), Some(Sampler::DpmPp2m));
    }
}
