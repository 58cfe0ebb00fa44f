//! Pictures as PNG files with text chunks.

use std::io::Cursor;

use png::{BitDepth, ColorType, Decoder, Encoder, Limits, Transformations};

use crate::{EngineError, Picture};

/// Memory that reading a PNG may take: enough for the largest picture the engine makes, 16 bits and alpha included.
const MEMORY: usize = 128 * 1024 * 1024;

fn refused(reason: impl ToString) -> EngineError {
    EngineError::Png(reason.to_string())
}

impl Picture {
    /// The picture as a PNG file with `text` (keyword and value) in front: `tEXt` chunks, or `iTXt` where a value is
    /// not Latin-1. The same picture and text always give the same bytes.
    ///
    /// # Errors
    /// [`EngineError::Png`] if `rgb` does not have the size that width and height say, or a keyword is not one
    /// (1 to 79 Latin-1 characters).
    pub fn to_png(&self, text: &[(&str, &str)]) -> Result<Vec<u8>, EngineError> {
        let expected = u64::from(self.width) * u64::from(self.height) * 3;
        if self.rgb.len() as u64 != expected {
            return Err(refused(format!("{} bytes of colour where {expected} belong", self.rgb.len())));
        }
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, self.width, self.height);
        encoder.set_color(ColorType::Rgb);
        encoder.set_depth(BitDepth::Eight);
        for (keyword, value) in text {
            let latin1 = value.chars().all(|c| c != '\0' && u32::from(c) < 256);
            let added = if latin1 {
                encoder.add_text_chunk((*keyword).to_owned(), (*value).to_owned())
            } else {
                encoder.add_itxt_chunk((*keyword).to_owned(), (*value).to_owned())
            };
            added.map_err(refused)?;
        }
        let mut writer = encoder.write_header().map_err(refused)?;
        writer.write_image_data(&self.rgb).map_err(refused)?;
        writer.finish().map_err(refused)?;
        Ok(file)
    }

    /// Reads a PNG file of any colour type as RGB (alpha is dropped), with the texts that stand in it.
    ///
    /// # Errors
    /// [`EngineError::Png`] for anything that is not a whole PNG of reasonable size.
    pub fn from_png(file: &[u8]) -> Result<(Self, Vec<(String, String)>), EngineError> {
        let mut decoder = Decoder::new_with_limits(Cursor::new(file), Limits { bytes: MEMORY });
        decoder.set_transformations(Transformations::normalize_to_color8());
        let mut reader = decoder.read_info().map_err(refused)?;
        let size = reader.output_buffer_size().filter(|&size| size <= MEMORY);
        let mut pixels = vec![0; size.ok_or_else(|| refused("it is too large"))?];
        let frame = reader.next_frame(&mut pixels).map_err(refused)?;
        // text may also stand behind the picture
        reader.finish().map_err(refused)?;
        pixels.truncate(frame.buffer_size());
        let rgb = match frame.color_type {
            ColorType::Rgb => pixels,
            ColorType::Rgba => pixels.as_chunks::<4>().0.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect(),
            ColorType::Grayscale => pixels.iter().flat_map(|&grey| [grey; 3]).collect(),
            ColorType::GrayscaleAlpha => pixels.as_chunks::<2>().0.iter().flat_map(|&[grey, _]| [grey; 3]).collect(),
            ColorType::Indexed => return Err(refused("its palette could not be expanded")),
        };
        let info = reader.info();
        let mut text: Vec<(String, String)> =
            info.uncompressed_latin1_text.iter().map(|chunk| (chunk.keyword.clone(), chunk.text.clone())).collect();
        for chunk in &info.compressed_latin1_text {
            text.push((chunk.keyword.clone(), chunk.get_text().map_err(refused)?));
        }
        for chunk in &info.utf8_text {
            text.push((chunk.keyword.clone(), chunk.get_text().map_err(refused)?));
        }
        Ok((Self { width: frame.width, height: frame.height, rgb }, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Picture {
        Picture { width: 3, height: 2, rgb: (0..18).map(|i| i * 14).collect() }
    }

    #[test]
    fn picture_and_text_come_back() {
        let texts = [("parameters", "a café\nSteps: 20"), ("note", "№ 42 🍌")];
        let file = picture().to_png(&texts).expect("a file");
        let find = |kind: &[u8]| file.windows(4).any(|window| window == kind);
        assert!(find(b"tEXt") && find(b"iTXt"));
        let (back, text) = Picture::from_png(&file).expect("a picture");
        assert_eq!(back.rgb, picture().rgb);
        let text: Vec<(&str, &str)> = text.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(text, texts);
    }

    #[test]
    fn broken_files_are_refused() {
        let file = picture().to_png(&[]).expect("a file");
        for broken in [&file[..file.len() - 20], &file[..10], b"", b"<html>"] {
            assert!(matches!(Picture::from_png(broken), Err(EngineError::Png(_))));
        }
        let short = Picture { rgb: vec![0; 3], ..picture() };
        assert!(short.to_png(&[]).is_err());
        assert!(picture().to_png(&[("", "x")]).is_err());
    }
}
