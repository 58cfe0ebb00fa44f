use super::Region;
use crate::{EngineError, Picture, PictureFile};

/// Which pixels of a picture are to be drawn anew: 255 entirely, 0 not at all.
#[derive(Clone, PartialEq, Eq)]
pub struct Mask {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// One byte a pixel, row by row from the top: `width * height` bytes.
    pub values: Vec<u8>,
}

impl Mask {
    /// A mask of one value everywhere.
    pub fn uniform(width: u32, height: u32, value: u8) -> Self {
        Self { width, height, values: vec![value; width as usize * height as usize] }
    }

    /// A file as a mask: where it is opaque if it has transparent parts, else its brightness, as AUTOMATIC1111 has it.
    pub fn of(file: &PictureFile) -> Self {
        let (width, height) = (file.picture.width, file.picture.height);
        match &file.alpha {
            Some(alpha) => {
                let values = alpha.iter().map(|alpha| if *alpha > 128 { 255 } else { 0 }).collect();
                Self { width, height, values }
            }
            None => Self::of_brightness(&file.picture),
        }
    }

    /// The transparent parts of a file as a mask, as ComfyUI and OpenAI's clients mean it; `None` if there are none.
    pub fn of_transparency(file: &PictureFile) -> Option<Self> {
        let values = file.alpha.as_ref()?.iter().map(|alpha| 255 - alpha).collect();
        Some(Self { width: file.picture.width, height: file.picture.height, values })
    }

    /// The brightness of a picture as a mask: white is drawn anew.
    pub fn of_brightness(picture: &Picture) -> Self {
        let grey = |&[r, g, b]: &[u8; 3]| {
            let sum = 19_595 * u32::from(r) + 38_470 * u32::from(g) + 7_471 * u32::from(b);
            ((sum + 0x8000) >> 16) as u8
        };
        let values = picture.rgb.as_chunks::<3>().0.iter().map(grey).collect();
        Self { width: picture.width, height: picture.height, values }
    }

    /// A mask of the same size that says the opposite.
    #[must_use]
    pub fn inverted(mut self) -> Self {
        self.values.iter_mut().for_each(|value| *value = 255 - *value);
        self
    }

    /// A mask that keeps less of the picture: half masked counts as masked.
    pub(crate) fn doubled(&self) -> Self {
        Self { values: self.values.iter().map(|value| value.saturating_mul(2)).collect(), ..*self }
    }

    /// The smallest region that holds all that is masked; `None` if nothing is.
    pub fn bounds(&self) -> Option<Region> {
        let width = self.width as usize;
        let rows = || self.values.chunks_exact(width.max(1)).enumerate();
        let marked = |row: &[u8]| row.iter().any(|&value| value != 0);
        let top = rows().find(|(_, row)| marked(row))?.0;
        let bottom = rows().rfind(|(_, row)| marked(row))?.0;
        let left = rows().filter_map(|(_, row)| row.iter().position(|&value| value != 0)).min()?;
        let right = rows().filter_map(|(_, row)| row.iter().rposition(|&value| value != 0)).max()?;
        let (x, y) = (left as u32, top as u32);
        Some(Region { x, y, width: right as u32 + 1 - x, height: bottom as u32 + 1 - y })
    }

    /// An error unless the bytes are as many as width and height say.
    pub(crate) fn check(&self) -> Result<(), EngineError> {
        let expected = u64::from(self.width) * u64::from(self.height);
        if self.values.len() as u64 == expected && expected > 0 {
            return Ok(());
        }
        let found = format!("{}x{} with {} bytes", self.width, self.height, self.values.len());
        Err(EngineError::Setting { setting: "mask", found, expected: "a byte for each pixel".to_owned() })
    }
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mask({}x{})", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_all_that_is_masked() {
        let mut mask = Mask::uniform(7, 5, 0);
        assert_eq!(mask.bounds(), None);
        mask.values[2 * 7 + 3] = 1;
        assert_eq!(mask.bounds(), Some(Region { x: 3, y: 2, width: 1, height: 1 }));
        mask.values[4 * 7 + 6] = 255;
        assert_eq!(mask.bounds(), Some(Region { x: 3, y: 2, width: 4, height: 3 }));
        assert_eq!(Mask::uniform(7, 5, 9).bounds(), Some(Region { x: 0, y: 0, width: 7, height: 5 }));
    }

    #[test]
    fn transparency_says_where() {
        let picture = Picture { width: 3, height: 1, rgb: vec![255; 9] };
        let file = |alpha| PictureFile { picture: picture.clone(), alpha, texts: Vec::new() };
        let half = file(Some(vec![0, 128, 129]));
        assert_eq!(Mask::of(&half).values, [0, 0, 255]);
        assert_eq!(Mask::of_transparency(&half).map(|mask| mask.values), Some(vec![255, 127, 126]));
        assert_eq!(Mask::of(&file(None)).values, [255; 3]);
        assert_eq!(Mask::of_transparency(&file(None)), None);
    }

    #[test]
    fn brightness_is_that_of_television() {
        let picture = Picture { width: 4, height: 1, rgb: vec![255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255] };
        assert_eq!(Mask::of_brightness(&picture).values, [76, 150, 29, 255]);
        assert_eq!(Mask::of_brightness(&picture).inverted().values, [179, 105, 226, 0]);
    }
}
