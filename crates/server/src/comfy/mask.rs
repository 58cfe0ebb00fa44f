//! Masks out of pictures: white is drawn.

use std::io::Cursor;

/// Most pixels of a mask.
const MAX_PIXELS: u64 = 1 << 24;

/// A grey picture: 255 is drawn, 0 is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mask {
    width: usize,
    height: usize,
    grey: Vec<u8>,
}

impl Mask {
    /// A channel of a PNG file: `red`, `green`, `blue`, or `alpha`, whose transparent part is drawn.
    ///
    /// # Errors
    /// A sentence that says why there is no mask in it.
    pub(crate) fn read(bytes: &[u8], channel: &str) -> Result<Self, String> {
        let unreadable =
            |error: &dyn std::fmt::Display| format!("a mask must be a PNG file, and this is none: {error}");
        let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), png::Limits { bytes: 256 << 20 });
        decoder.set_transformations(png::Transformations::normalize_to_color8());
        let mut reader = decoder.read_info().map_err(|error| unreadable(&error))?;
        let (width, height) = (reader.info().width, reader.info().height);
        if u64::from(width) * u64::from(height) > MAX_PIXELS {
            return Err(format!("a mask of {width}x{height} is larger than {MAX_PIXELS} pixels"));
        }
        let size = reader.output_buffer_size().ok_or_else(|| "the mask is too large".to_owned())?;
        let mut pixels = vec![0; size];
        let info = reader.next_frame(&mut pixels).map_err(|error| unreadable(&error))?;
        let samples = info.color_type.samples();
        let has_alpha = matches!(info.color_type, png::ColorType::GrayscaleAlpha | png::ColorType::Rgba);
        let index = match (channel, samples) {
            ("alpha", _) if !has_alpha => {
                return Err(
                    "the picture has no transparent part, so there is nothing to draw: mask it first".to_owned()
                );
            }
            ("alpha", samples) => samples - 1,
            ("green", 3 | 4) => 1,
            ("blue", 3 | 4) => 2,
            _ => 0,
        };
        let value = |pixel: &[u8]| {
            let value = pixel.get(index).copied().unwrap_or_default();
            if channel == "alpha" { 255 - value } else { value }
        };
        let grey = pixels.get(..info.buffer_size()).unwrap_or_default().chunks_exact(samples).map(value).collect();
        Ok(Self { width: width as usize, height: height as usize, grey })
    }

    /// Whether nothing is drawn.
    pub(crate) fn is_empty(&self) -> bool {
        self.grey.iter().all(|value| *value < 128)
    }

    /// Black and white, with the white part larger by a square of `by` pixels, as ComfyUI's `VAEEncodeForInpaint` does it.
    pub(crate) fn grow(&self, by: usize) -> Self {
        let after = by / 2;
        let before = by.saturating_sub(1).saturating_sub(after);
        let spread = |source: &[u8], length: usize, step: usize, start: usize, target: &mut [u8]| {
            // How far the last white value reaches.
            let mut until: Option<usize> = None;
            for at in 0..length + before {
                if source.get(start + at * step).is_some_and(|value| at < length && *value >= 128) {
                    until = Some(at + after);
                }
                if let (Some(end), Some(here)) = (until, at.checked_sub(before))
                    && here <= end
                    && let Some(value) = target.get_mut(start + here * step)
                {
                    *value = 255;
                }
            }
        };
        let mut rows = vec![0; self.grey.len()];
        for y in 0..self.height {
            spread(&self.grey, self.width, 1, y * self.width, &mut rows);
        }
        let mut grey = vec![0; rows.len()];
        for x in 0..self.width {
            spread(&rows, self.height, self.width, x, &mut grey);
        }
        Self { grey, ..*self }
    }

    /// # Errors
    /// Never, for a mask that was read.
    pub(crate) fn png(&self) -> Result<Vec<u8>, png::EncodingError> {
        let mut bytes = Vec::new();
        let (width, height) = (self.width as u32, self.height as u32);
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Grayscale);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.grey)?;
        writer.finish()?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(width: usize, height: usize, at: usize) -> Mask {
        let mut grey = vec![0; width * height];
        grey[at] = 255;
        Mask { width, height, grey }
    }

    #[test]
    fn a_dot_grows_to_a_square_and_stays_inside() {
        for by in [0, 1, 2, 3, 6] {
            let white = dot(15, 15, 7 * 15 + 7).grow(by).grey.iter().filter(|value| **value == 255).count();
            assert_eq!(white, by.max(1) * by.max(1), "{by}");
        }
        let corner = dot(5, 4, 0).grow(3);
        assert_eq!(corner.grey.iter().filter(|value| **value == 255).count(), 4);
        assert_eq!(dot(5, 4, 19).grow(3).grey.iter().filter(|value| **value == 255).count(), 4);
    }

    #[test]
    fn masks_are_read_as_they_are_written() {
        let mask = dot(5, 4, 7);
        let png = mask.png().expect("a PNG");
        assert_eq!(Mask::read(&png, "red"), Ok(mask.clone()));
        assert!(Mask::read(&png, "alpha").is_err_and(|why| why.contains("no transparent part")));
        assert!(Mask::read(b"nothing", "red").is_err());
        assert!(!mask.is_empty());
    }

    #[test]
    fn what_is_transparent_is_drawn() {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 2, 1);
        encoder.set_color(png::ColorType::Rgba);
        let mut writer = encoder.write_header().expect("a header");
        writer.write_image_data(&[9, 9, 9, 255, 9, 8, 7, 0]).expect("pixels");
        writer.finish().expect("an end");
        assert_eq!(Mask::read(&bytes, "alpha").map(|mask| mask.grey), Ok(vec![0, 255]));
        assert_eq!(Mask::read(&bytes, "blue").map(|mask| mask.grey), Ok(vec![9, 7]));
    }
}
