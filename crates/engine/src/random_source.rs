use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{EngineError, PhiloxGenerator, TorchGenerator};

/// Whose random numbers a seed stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RandomSource {
    /// PyTorch's on the CPU: ComfyUI's, and AUTOMATIC1111's with "RNG: CPU".
    #[default]
    #[serde(rename = "CPU")]
    Cpu,
    /// PyTorch's on an NVIDIA card: AUTOMATIC1111's by default.
    #[serde(rename = "NV")]
    Nv,
}

impl RandomSource {
    pub(crate) fn generator(self, seed: u64) -> Generator {
        match self {
            Self::Cpu => Generator::Torch(Box::new(TorchGenerator::new(seed))),
            Self::Nv => Generator::Philox(PhiloxGenerator::new(seed)),
        }
    }
}

impl fmt::Display for RandomSource {
    /// As in AUTOMATIC1111's texts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Cpu => "CPU",
            Self::Nv => "NV",
        })
    }
}

impl FromStr for RandomSource {
    type Err = EngineError;

    /// `CPU`, `NV` or `GPU`, in any case.
    fn from_str(name: &str) -> Result<Self, EngineError> {
        match name.to_uppercase().as_str() {
            "CPU" => Ok(Self::Cpu),
            "NV" | "GPU" => Ok(Self::Nv),
            _ => Err(EngineError::Setting {
                setting: "source of random numbers",
                found: format!("`{name}`"),
                expected: "`CPU` or `NV`".to_owned(),
            }),
        }
    }
}

/// A generator of either kind.
pub(crate) enum Generator {
    Torch(Box<TorchGenerator>),
    Philox(PhiloxGenerator),
}

impl Generator {
    /// `torch.randn(count)` in float32.
    pub(crate) fn normal(&mut self, count: usize) -> Vec<f32> {
        match self {
            Self::Torch(generator) => generator.normal(count),
            Self::Philox(generator) => generator.normal(count),
        }
    }
}
