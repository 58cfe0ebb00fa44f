use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Filter, Mask};
use crate::{EngineError, Picture};

/// How a picture is brought to the size that is drawn. The meaning and the numbers are AUTOMATIC1111's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResizeMode {
    /// Stretched to the size, whatever its proportions (0).
    #[default]
    Stretch,
    /// Enlarged until it covers the size, then cut (1).
    Crop,
    /// Shrunk until it fits in, then its outermost rows or columns drawn out to the edges (2).
    Fill,
    /// Encoded at its own size, then its latent stretched (3).
    Latent,
}

impl ResizeMode {
    /// All modes, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Stretch, Self::Crop, Self::Fill, Self::Latent];

    fn name(self) -> &'static str {
        match self {
            Self::Stretch => "stretch",
            Self::Crop => "crop",
            Self::Fill => "fill",
            Self::Latent => "latent",
        }
    }
}

impl fmt::Display for ResizeMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for ResizeMode {
    type Err = EngineError;

    fn from_str(name: &str) -> Result<Self, EngineError> {
        let found = Self::ALL.into_iter().find(|mode| mode.name() == name);
        found.ok_or_else(|| EngineError::Setting {
            setting: "resize mode",
            found: name.to_owned(),
            expected: "`stretch`, `crop`, `fill` or `latent`".to_owned(),
        })
    }
}

impl Picture {
    /// The picture at `width` x `height`. [`ResizeMode::Latent`] stretches.
    pub fn fit(&self, width: u32, height: u32, mode: ResizeMode) -> Self {
        let (stretched, whole) = (|w, h| self.resized(w, h, Filter::Lanczos), (self.width, self.height));
        let Some((w, h, x, y)) = inner(whole, (width, height), mode) else { return stretched(width, height) };
        let resized = stretched(w, h);
        let mut out = Self { width, height, rgb: vec![0; 3 * width as usize * height as usize] };
        out.paste(&resized, x, y);
        if mode == ResizeMode::Fill {
            let (right, bottom) = (f64::from(w), f64::from(h));
            if y > 0 {
                out.paste(&resized.smeared(width, y as u32, [0.0, 0.0, right, 0.0]), 0, 0);
                out.paste(&resized.smeared(width, y as u32, [0.0, bottom, right, bottom]), 0, y + i64::from(h));
            }
            if x > 0 {
                out.paste(&resized.smeared(x as u32, height, [0.0, 0.0, 0.0, bottom]), 0, 0);
                out.paste(&resized.smeared(x as u32, height, [right, 0.0, right, bottom]), x + i64::from(w), 0);
            }
        }
        out
    }
}

impl Mask {
    /// The mask at `width` x `height`, treated like its picture.
    pub fn fit(&self, width: u32, height: u32, mode: ResizeMode) -> Self {
        let rgb = self.values.iter().flat_map(|&value| [value; 3]).collect();
        let fitted = Picture { width: self.width, height: self.height, rgb }.fit(width, height, mode);
        Self { width, height, values: fitted.rgb.as_chunks::<3>().0.iter().map(|&[value, ..]| value).collect() }
    }
}

/// Size and place (width, height, x, y) of the picture inside the target; `None` if it is simply stretched.
fn inner(from: (u32, u32), to: (u32, u32), mode: ResizeMode) -> Option<(u32, u32, i64, i64)> {
    let ratio = f64::from(to.0) / f64::from(to.1);
    let own = f64::from(from.0) / f64::from(from.1);
    let scaled = |side: u32, by: u32, of: u32| ((u64::from(side) * u64::from(by) / u64::from(of)) as u32).max(1);
    let (wide, high) = ((to.0, scaled(from.1, to.0, from.0)), (scaled(from.0, to.1, from.1), to.1));
    let (w, h) = match mode {
        ResizeMode::Stretch | ResizeMode::Latent => return None,
        ResizeMode::Crop => (if ratio > own { wide.0 } else { high.0 }, if ratio <= own { high.1 } else { wide.1 }),
        ResizeMode::Fill => (if ratio < own { wide.0 } else { high.0 }, if ratio >= own { high.1 } else { wide.1 }),
    };
    let half = |side: u32| i64::from(side / 2);
    Some((w, h, half(to.0) - half(w), half(to.1) - half(h)))
}
