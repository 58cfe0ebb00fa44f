//! A1111's masks: white is drawn anew; in a mask with transparency, what is opaque is.

/// A mask file in our meaning (white is drawn). A PNG file with transparency becomes a grey one; any other file stays as
/// it is. `None` when the file is to be used as it came.
pub(crate) fn from_transparency(bytes: &[u8]) -> Option<Vec<u8>> {
    let (width, height, alpha) = alpha_of(bytes)?;
    let grey: Vec<u8> = alpha.iter().map(|alpha| if *alpha > 128 { 255 } else { 0 }).collect();
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, width, height);
    encoder.set_color(png::ColorType::Grayscale);
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(&grey).ok()?;
    writer.finish().ok()?;
    Some(png)
}

/// Width, height and the opacity of each pixel of a PNG file that is transparent somewhere.
pub(crate) fn alpha_of(bytes: &[u8]) -> Option<(u32, u32, Vec<u8>)> {
    let limits = png::Limits { bytes: 256 << 20 };
    let mut decoder = png::Decoder::new_with_limits(std::io::Cursor::new(bytes), limits);
    decoder.set_transformations(png::Transformations::ALPHA | png::Transformations::STRIP_16);
    let mut reader = decoder.read_info().ok()?;
    let mut pixels = vec![0; reader.output_buffer_size().filter(|size| *size <= 256 << 20)?];
    let frame = reader.next_frame(&mut pixels).ok()?;
    let samples = frame.color_type.samples();
    let has_alpha = matches!(frame.color_type, png::ColorType::GrayscaleAlpha | png::ColorType::Rgba);
    if !has_alpha || frame.bit_depth != png::BitDepth::Eight {
        return None;
    }
    let pixels = pixels.get(..frame.buffer_size())?;
    let alpha: Vec<u8> = pixels.chunks_exact(samples).filter_map(|pixel| pixel.last().copied()).collect();
    alpha.iter().any(|alpha| *alpha < 255).then_some((frame.width, frame.height, alpha))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(color: png::ColorType, pixels: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 2, 1);
        encoder.set_color(color);
        let mut writer = encoder.write_header().expect("a header");
        writer.write_image_data(pixels).expect("pixels");
        writer.finish().expect("an end");
        bytes
    }

    #[test]
    fn what_is_opaque_is_drawn() {
        let mask = from_transparency(&png(png::ColorType::Rgba, &[0, 0, 0, 255, 9, 9, 9, 10])).expect("a mask");
        let mut reader = png::Decoder::new(std::io::Cursor::new(mask)).read_info().expect("a PNG");
        let mut pixels = [7; 2];
        reader.next_frame(&mut pixels).expect("pixels");
        assert_eq!(pixels, [255, 0]);
    }

    #[test]
    fn masks_without_transparency_stay() {
        for file in [
            png(png::ColorType::Grayscale, &[0, 255]),
            png(png::ColorType::Rgba, &[0, 0, 0, 255, 9, 9, 9, 255]),
            b"no picture".to_vec(),
            png(png::ColorType::Rgba, &[0; 8])[..40].to_vec(),
        ] {
            assert_eq!(from_transparency(&file), None);
        }
    }
}
