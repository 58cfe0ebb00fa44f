use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::EngineError;

/// A way from noise to picture, with its schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sampler {
    /// Euler steps on the model's own schedule (Karras et al. 2022, algorithm 2 without churn).
    Euler,
    /// Euler steps that add fresh noise each time.
    EulerA,
    /// DPM-Solver++ (2M) (Lu et al. 2022) on Karras' schedule.
    DpmPp2mKarras,
    /// DDIM (Song et al. 2020) without added noise.
    Ddim,
}

impl Sampler {
    /// All samplers, in the order in which a list should show them.
    pub const ALL: [Self; 4] = [Self::Euler, Self::EulerA, Self::DpmPp2mKarras, Self::Ddim];

    fn name(self) -> &'static str {
        match self {
            Self::Euler => "Euler",
            Self::EulerA => "Euler a",
            Self::DpmPp2mKarras => "DPM++ 2M Karras",
            Self::Ddim => "DDIM",
        }
    }

    /// The names in the picture's text: the sampler's, and its schedule's (`Automatic` is the sampler's own).
    pub(crate) fn infotext_names(self) -> (&'static str, &'static str) {
        match self {
            Self::DpmPp2mKarras => ("DPM++ 2M", "Karras"),
            other => (other.name(), "Automatic"),
        }
    }
}

impl fmt::Display for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Sampler {
    type Err = EngineError;

    /// Reads a name in any case, with spaces, dashes or underscores; k-diffusion's names (`k_euler`, `sample_euler_a`,
    /// `dpmpp_2m_karras`) are understood too.
    fn from_str(name: &str) -> Result<Self, EngineError> {
        let plain: String = name.to_lowercase().replace("++", "pp").chars().filter(|c| c.is_alphanumeric()).collect();
        let plain = plain.strip_prefix("sample").unwrap_or(&plain);
        let plain = plain.strip_prefix("keuler").map_or(plain.to_owned(), |rest| format!("euler{rest}"));
        match plain.strip_prefix("kdpm").map_or(plain.clone(), |rest| format!("dpm{rest}")).as_str() {
            "euler" => Ok(Self::Euler),
            "eulera" | "eulerancestral" => Ok(Self::EulerA),
            "dpmpp2mkarras" | "dpmpp2mka" | "dpmpp2m" => Ok(Self::DpmPp2mKarras),
            "ddim" => Ok(Self::Ddim),
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
            ("dpmpp_2m_karras", Sampler::DpmPp2mKarras),
            ("dpm++ 2m", Sampler::DpmPp2mKarras),
            ("k_dpmpp_2m_ka", Sampler::DpmPp2mKarras),
            ("ddim", Sampler::Ddim),
        ] {
            assert_eq!(alias.parse::<Sampler>().ok(), Some(sampler), "{alias}");
        }
        let error = "heun".parse::<Sampler>().expect_err("unknown");
        assert_eq!(error.to_string(), "no sampler is called `heun`");
        assert_eq!(error.hint().as_deref(), Some("choose one of `Euler`, `Euler a`, `DPM++ 2M Karras`, `DDIM`"));
    }

    #[test]
    fn json_holds_the_name() {
        let json = serde_json::to_string(&Sampler::ALL).expect("json");
        assert_eq!(json, r#"["Euler","Euler a","DPM++ 2M Karras","DDIM"]"#);
        assert_eq!(serde_json::from_str::<[Sampler; 4]>(&json).expect("samplers"), Sampler::ALL);
    }
}
