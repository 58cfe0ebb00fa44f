use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Mask, Region};
use crate::{EngineError, Picture};

/// How many pixels a picture grows at each edge, to be drawn by outpainting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Extension {
    /// Columns at the left.
    pub left: u32,
    /// Columns at the right.
    pub right: u32,
    /// Rows at the top.
    pub top: u32,
    /// Rows at the bottom.
    pub bottom: u32,
}

impl Extension {
    /// Pixels of the old picture at a grown edge that are drawn anew with it, so that no seam is left.
    const SEAM: u32 = 8;

    /// Largest width or height of the result.
    pub const SIDE: u32 = 8192;

    /// Whether nothing grows.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Width and height of a picture that has grown.
    pub fn size(&self, picture: &Picture) -> (u32, u32) {
        let grown = |side: u32, before: u32, after: u32| side.saturating_add(before).saturating_add(after);
        (grown(picture.width, self.left, self.right), grown(picture.height, self.top, self.bottom))
    }

    /// The larger picture, its new part in the colours of the old edge, and the mask of what is to be drawn: the new
    /// part and a narrow seam of the old. Pixels that `mask` names in the old picture are drawn too.
    ///
    /// # Errors
    /// [`EngineError::Setting`] if the result is larger than [`Extension::SIDE`].
    pub fn apply(&self, picture: &Picture, mask: Option<&Mask>) -> Result<(Picture, Mask), EngineError> {
        let side = |old: u32, before: u32, after: u32| {
            let total = u64::from(old) + u64::from(before) + u64::from(after);
            u32::try_from(total).ok().filter(|&total| total <= Self::SIDE).ok_or_else(|| EngineError::Setting {
                setting: "extended size",
                found: format!("{total} pixels"),
                expected: format!("at most {} pixels a side", Self::SIDE),
            })
        };
        let width = side(picture.width, self.left, self.right)?;
        let height = side(picture.height, self.top, self.bottom)?;
        let kept = Region { x: self.left, y: self.top, width: picture.width, height: picture.height };
        let sources: Vec<(u32, u32)> = (0..height)
            .flat_map(|y| (0..width).map(move |x| (x, y)))
            .map(|(x, y)| (x.clamp(kept.x, kept.right() - 1) - kept.x, y.clamp(kept.y, kept.bottom() - 1) - kept.y))
            .collect();
        let pixels = picture.rgb.as_chunks::<3>().0;
        let rgb = sources.iter().flat_map(|&(x, y)| pixels[y as usize * picture.width as usize + x as usize]).collect();
        let inset = |grown: u32| if grown > 0 { Self::SEAM } else { 0 };
        let whole = |x: u32, y: u32| {
            x >= kept.x + inset(self.left)
                && x + inset(self.right) < kept.right()
                && y >= kept.y + inset(self.top)
                && y + inset(self.bottom) < kept.bottom()
        };
        let value = |(at, &(x, y)): (usize, &(u32, u32))| match mask {
            _ if !whole(at as u32 % width, at as u32 / width) => 255,
            Some(mask) => mask.values.get(y as usize * mask.width as usize + x as usize).copied().unwrap_or(0),
            None => 0,
        };
        let values = sources.iter().enumerate().map(value).collect();
        Ok((Picture { width, height, rgb }, Mask { width, height, values }))
    }
}

impl FromStr for Extension {
    type Err = EngineError;

    /// Reads `left=64,top=32`; `all=64` means every edge.
    fn from_str(text: &str) -> Result<Self, EngineError> {
        let mut extension = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let refused = || EngineError::Setting {
                setting: "extension",
                found: part.to_owned(),
                expected: "`left`, `right`, `top`, `bottom` or `all` with pixels, for example `left=64`".to_owned(),
            };
            let (edge, pixels) = part.split_once('=').ok_or_else(refused)?;
            let pixels = pixels.trim().parse().ok().filter(|&pixels| pixels <= Self::SIDE).ok_or_else(refused)?;
            match edge.trim() {
                "left" => extension.left = pixels,
                "right" => extension.right = pixels,
                "top" => extension.top = pixels,
                "bottom" => extension.bottom = pixels,
                "all" => extension = Self { left: pixels, right: pixels, top: pixels, bottom: pixels },
                _ => return Err(refused()),
            }
        }
        Ok(extension)
    }
}
