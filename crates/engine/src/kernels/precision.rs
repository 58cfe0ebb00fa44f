//! In which precision products are taken.

use std::cell::Cell;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::EngineError;

/// The precision of the numbers that large products multiply. Everything else is f32: sums, norms, activations, 3x3
/// convolutions, shortcuts, what the text says (encoders, keys and values), and products that are too small to matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 24 significant bits: the same picture on every machine of a [`crate::machine_class`], and the reference for others.
    #[default]
    F32,
    /// 8 significant bits, summed in f32: up to twice as fast where the processor has AVX512-BF16. Pictures differ from
    /// those of f32 by less than the eye sees (those of the built-in model by more than 45 dB PSNR).
    Bf16,
}

impl Precision {
    /// The faster of those that are fast on this machine.
    pub fn best() -> Self {
        if super::instruction_set::has_bf16() { Self::Bf16 } else { Self::F32 }
    }

    /// Its name: `f32` or `bf16`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }

    /// Runs `work`, all of whose products on this thread are taken in this precision.
    pub(crate) fn during<T>(self, work: impl FnOnce() -> T) -> T {
        /// Puts back what was before, also when `work` panics.
        struct Before(Precision);
        impl Drop for Before {
            fn drop(&mut self) {
                CURRENT.set(self.0);
            }
        }
        let _before = Before(CURRENT.replace(self));
        work()
    }

    /// That of the products of this thread.
    pub(super) fn current() -> Self {
        CURRENT.get()
    }
}

thread_local! {
    static CURRENT: Cell<Precision> = const { Cell::new(Precision::F32) };
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Precision {
    type Err = EngineError;

    fn from_str(name: &str) -> Result<Self, EngineError> {
        match name {
            "auto" => Ok(Self::best()),
            "f32" => Ok(Self::F32),
            "bf16" => Ok(Self::Bf16),
            _ => Err(EngineError::Setting {
                setting: "precision",
                found: name.to_owned(),
                expected: "auto, f32 or bf16".to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_precision_lasts_as_long_as_the_work() {
        assert_eq!(Precision::current(), Precision::F32);
        Precision::Bf16.during(|| {
            assert_eq!(Precision::current(), Precision::Bf16);
            Precision::F32.during(|| assert_eq!(Precision::current(), Precision::F32));
            assert_eq!(Precision::current(), Precision::Bf16);
        });
        assert!(std::panic::catch_unwind(|| Precision::Bf16.during(|| panic!("stop"))).is_err());
        assert_eq!(Precision::current(), Precision::F32);
    }

    #[test]
    fn names_are_read_back() {
        for precision in [Precision::F32, Precision::Bf16] {
            assert_eq!(precision.to_string().parse::<Precision>().expect("a name"), precision);
        }
        assert_eq!("auto".parse::<Precision>().expect("a name"), Precision::best());
        assert!("f16".parse::<Precision>().is_err());
    }
}
