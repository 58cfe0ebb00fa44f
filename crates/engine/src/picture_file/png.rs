use std::io::Cursor;

use png::{BitDepth, ColorType, Decoder, Encoder, Limits, Transformations};

use super::exif::Exif;
use super::text::{as_meant, fits_latin1};
use super::{PictureFile, Pixels, check_size};
use crate::{EngineError, Picture};

/// Memory that the decoder itself may take, besides the picture's: rows, palette and texts.
const MEMORY: usize = 128 << 20;

fn refused(reason: impl ToString) -> EngineError {
    super::refused("PNG", reason)
}

impl Picture {
    /// The picture as a PNG file with `text` (keyword and value) in front: `tEXt` chunks, or `iTXt` where a value is
    /// not Latin-1. The same picture and text always give the same bytes.
    ///
    /// # Errors
    /// [`EngineError::PictureFile`] if `rgb` does not have the size that width and height say, or a keyword is not one
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
            let added = if fits_latin1(value) {
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
    /// [`EngineError::PictureFile`] for anything that is not a whole PNG of reasonable size.
    pub fn from_png(file: &[u8]) -> Result<(Self, Vec<(String, String)>), EngineError> {
        read(file).map(|file| (file.picture, file.texts))
    }
}

/// Reads a PNG of any colour type and depth, with its texts (also those behind the picture) and its EXIF block.
pub(super) fn read(file: &[u8]) -> Result<PictureFile, EngineError> {
    let mut decoder = Decoder::new_with_limits(Cursor::new(file), Limits { bytes: MEMORY });
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(refused)?;
    let (width, height) = (reader.info().width, reader.info().height);
    check_size("PNG", u64::from(width), u64::from(height))?;
    let size = reader.output_buffer_size().ok_or_else(|| refused("it is too large"))?;
    let mut bytes = vec![0; size];
    let frame = reader.next_frame(&mut bytes).map_err(refused)?;
    reader.finish().map_err(refused)?;
    bytes.truncate(frame.buffer_size());
    let channels = match frame.color_type {
        ColorType::Grayscale => 1,
        ColorType::GrayscaleAlpha => 2,
        ColorType::Rgb => 3,
        ColorType::Rgba => 4,
        ColorType::Indexed => return Err(refused("its palette could not be expanded")),
    };
    let info = reader.info();
    let texts = texts(info)?;
    let exif = info.exif_metadata.as_deref().map(Exif::parse);
    let pixels = Pixels { kind: "PNG", width: frame.width, height: frame.height, channels, bytes };
    PictureFile::of(pixels, texts, exif)
}

fn texts(info: &png::Info<'_>) -> Result<Vec<(String, String)>, EngineError> {
    let mut texts = Vec::new();
    let mut length = 0;
    let mut add = |keyword: &str, text: String| {
        length += keyword.len() + text.len();
        texts.push((keyword.to_owned(), text));
        match length {
            0..=PictureFile::LARGEST_TEXT => Ok(PictureFile::LARGEST_TEXT - length),
            _ => Err(refused("its texts are too long")),
        }
    };
    let mut left = PictureFile::LARGEST_TEXT;
    for chunk in &info.uncompressed_latin1_text {
        left = add(&chunk.keyword, as_meant(&chunk.text))?;
    }
    for chunk in &info.compressed_latin1_text {
        let mut chunk = chunk.clone();
        chunk.decompress_text_with_limit(left).map_err(refused)?;
        left = add(&chunk.keyword, as_meant(&chunk.get_text().map_err(refused)?))?;
    }
    for chunk in &info.utf8_text {
        let mut chunk = chunk.clone();
        chunk.decompress_text_with_limit(left).map_err(refused)?;
        left = add(&chunk.keyword, chunk.get_text().map_err(refused)?)?;
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Picture {
        Picture { width: 3, height: 2, rgb: (0..18).map(|i| i * 14).collect() }
    }

    /// A PNG of one kind with these bytes as its picture.
    fn encoded(color: ColorType, depth: BitDepth, change: fn(&mut Encoder<'_, &mut Vec<u8>>), bytes: &[u8]) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, 2, 1);
        encoder.set_color(color);
        encoder.set_depth(depth);
        change(&mut encoder);
        let mut writer = encoder.write_header().expect("a header");
        writer.write_image_data(bytes).expect("a picture");
        writer.finish().expect("an end");
        file
    }

    #[test]
    fn picture_and_text_come_back() {
        let texts = [("parameters", "a café\nSteps: 20"), ("note", "№ 42 🍌"), ("odd", "cafÃ©")];
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
            assert!(matches!(Picture::from_png(broken), Err(EngineError::PictureFile { .. })));
        }
        let short = Picture { rgb: vec![0; 3], ..picture() };
        assert!(short.to_png(&[]).is_err());
        assert!(picture().to_png(&[("", "x")]).is_err());
    }

    #[test]
    fn every_colour_type_and_depth_is_read() {
        let plain: fn(&mut Encoder<'_, &mut Vec<u8>>) = |_| {};
        let palette: fn(&mut Encoder<'_, &mut Vec<u8>>) = |encoder| {
            encoder.set_palette(vec![1, 2, 3, 4, 5, 6]);
            encoder.set_trns(vec![255, 9]);
        };
        for (color, depth, change, bytes, rgb, alpha) in [
            (ColorType::Grayscale, BitDepth::One, plain, &[0b0100_0000][..], [0, 0, 0, 255, 255, 255], None),
            (ColorType::Grayscale, BitDepth::Sixteen, plain, &[7, 0, 9, 0], [7, 7, 7, 9, 9, 9], None),
            (ColorType::GrayscaleAlpha, BitDepth::Eight, plain, &[7, 0, 9, 255], [7, 7, 7, 9, 9, 9], Some([0, 255])),
            (ColorType::Indexed, BitDepth::Two, palette, &[0b0100_0000], [4, 5, 6, 1, 2, 3], Some([9, 255])),
            (ColorType::Rgba, BitDepth::Eight, plain, &[1, 2, 3, 255, 4, 5, 6, 255], [1, 2, 3, 4, 5, 6], None),
            (
                ColorType::Rgba,
                BitDepth::Sixteen,
                plain,
                &[1, 0, 2, 0, 3, 0, 128, 0, 4, 0, 5, 0, 6, 0, 255, 255],
                [1, 2, 3, 4, 5, 6],
                Some([128, 255]),
            ),
        ] {
            let read = PictureFile::read(&encoded(color, depth, change, bytes)).expect("a picture");
            assert_eq!(read.picture.rgb, rgb, "{color:?} {depth:?}");
            assert_eq!(read.alpha, alpha.map(|alpha| alpha.to_vec()), "{color:?} {depth:?}");
        }
    }

    #[test]
    fn compressed_and_trailing_texts_and_first_frames_are_read() {
        let workflow = "{\"nodes\": [1]}".repeat(300_000);
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, 1, 1);
        encoder.set_animated(2, 0).expect("an animation");
        encoder.add_ztxt_chunk("parameters".to_owned(), "naïve".to_owned()).expect("a text");
        let mut chunk = png::text_metadata::ITXtChunk::new("workflow", workflow.clone());
        chunk.compressed = true;
        let mut writer = encoder.write_header().expect("a header");
        writer.write_text_chunk(&chunk).expect("a text");
        writer.write_image_data(&[10]).expect("a frame");
        writer.write_image_data(&[20]).expect("a frame");
        writer.write_text_chunk(&png::text_metadata::TEXtChunk::new("prompt", "{}")).expect("a text");
        writer.finish().expect("an end");
        let read = PictureFile::read(&file).expect("a picture");
        assert_eq!(read.picture.rgb, [10; 3]);
        assert_eq!(read.infotext(), Some("naïve"));
        assert_eq!(read.text("prompt"), Some("{}"));
        assert!(read.text("workflow") == Some(workflow.as_str()));
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_unpacked() {
        let mut file = picture().to_png(&[]).expect("a file");
        // width and height, and the checksum over them
        file[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
        let mut crc = flate2::Crc::new();
        crc.update(&file[12..29]);
        file[29..33].copy_from_slice(&crc.sum().to_be_bytes());
        let said = Picture::from_png(&file).expect_err("too large").to_string();
        assert_eq!(said, "not a usable PNG: it states a size of 65536x65536");
    }
}
