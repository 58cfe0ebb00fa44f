use std::fmt;

use serde::{Deserialize, Serialize};

/// A part of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The first walk from noise to picture; without a second pass the only one.
    Draw,
    /// A model enlarges the picture, tile by tile.
    Upscale,
    /// The second pass, at the larger size.
    Refine,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Draw => "drawing",
            Self::Upscale => "enlarging",
            Self::Refine => "second pass",
        })
    }
}
