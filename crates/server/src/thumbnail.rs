//! Making a picture small: the mean of each area, row by row, so that a huge picture needs little memory.

use std::io::{BufRead, Seek};

use jpeg_encoder::{ColorType, Encoder};

/// Longest side in pixels.
pub(crate) const SIDE: u32 = 320;
/// Quality of the JPEG, 1 to 100.
const QUALITY: u8 = 85;
/// Most bytes of an interlaced picture, which must be held whole.
const MAX_WHOLE: usize = 256 << 20;

/// A small JPEG of a PNG file of any depth and colour type; transparency becomes white.
///
/// # Errors
/// A sentence for a person: damaged, or too large to be held.
pub(crate) fn make(file: impl BufRead + Seek) -> Result<Vec<u8>, String> {
    let damaged = |error: png::DecodingError| format!("the picture is damaged: {error}");
    let mut decoder = png::Decoder::new_with_limits(file, png::Limits { bytes: 512 << 20 });
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(damaged)?;
    let (width, height) = (reader.info().width, reader.info().height);
    let samples = reader.output_color_type().0.samples();
    let mut shrink = Shrink::new(width, height);
    if reader.info().interlaced {
        let size = reader.output_buffer_size().filter(|size| *size <= MAX_WHOLE);
        let mut pixels = vec![0; size.ok_or_else(|| format!("{width} x {height} pixels, interlaced, are too many"))?];
        let frame = reader.next_frame(&mut pixels).map_err(damaged)?;
        for row in pixels.chunks(frame.line_size.max(1)).take(height as usize) {
            shrink.row(row, samples);
        }
    } else {
        while let Some(row) = reader.next_row().map_err(damaged)? {
            shrink.row(row.data(), samples);
        }
    }
    let Shrink { to_width, to_height, done, .. } = shrink;
    let mut jpeg = Vec::new();
    let side = |side: u32| u16::try_from(side).unwrap_or(u16::MAX);
    Encoder::new(&mut jpeg, QUALITY)
        .encode(&done, side(to_width), side(to_height), ColorType::Rgb)
        .map_err(|error| format!("the small picture cannot be written: {error}"))?;
    Ok(jpeg)
}

/// Width and height of the small picture; small ones are not enlarged.
fn fit(width: u32, height: u32) -> (u32, u32) {
    let longest = u64::from(width.max(height));
    let side = |side: u32| {
        let small = (u64::from(side) * u64::from(SIDE) + longest / 2) / longest.max(1);
        u32::try_from(small).unwrap_or(SIDE).clamp(1, SIDE)
    };
    if longest <= u64::from(SIDE) { (width, height) } else { (side(width), side(height)) }
}

/// Takes rows and gives the means of areas.
struct Shrink {
    width: u32,
    height: u32,
    to_width: u32,
    to_height: u32,
    /// Rows taken.
    row: u32,
    /// Sums of the row of the small picture under way, red, green and blue.
    sums: Vec<f32>,
    /// How much of it is summed up.
    weight: f32,
    done: Vec<u8>,
}

impl Shrink {
    fn new(width: u32, height: u32) -> Self {
        let (to_width, to_height) = fit(width, height);
        Self {
            width,
            height,
            to_width,
            to_height,
            row: 0,
            sums: vec![0.0; to_width as usize * 3],
            weight: 0.0,
            done: Vec::new(),
        }
    }

    /// Takes the next row: 1 (grey), 2 (grey, alpha), 3 or 4 samples a pixel.
    fn row(&mut self, row: &[u8], samples: usize) {
        let line = self.line(row, samples);
        // Heights in units of 1/to_height of a row: every boundary is a whole number.
        let (height, to_height) = (u64::from(self.height), u64::from(self.to_height));
        let (mut start, end) = (u64::from(self.row) * to_height, u64::from(self.row + 1) * to_height);
        while start < end {
            let boundary = (start / height + 1) * height;
            let part = boundary.min(end) - start;
            #[expect(clippy::cast_precision_loss, reason = "a share of one row")]
            let weight = part as f32;
            for (sum, value) in self.sums.iter_mut().zip(&line) {
                *sum += value * weight;
            }
            self.weight += weight;
            start += part;
            if start == boundary {
                for sum in &mut self.sums {
                    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a byte")]
                    self.done.push((*sum / self.weight).round().clamp(0.0, 255.0) as u8);
                    *sum = 0.0;
                }
                self.weight = 0.0;
            }
        }
        self.row += 1;
    }

    /// One row made narrow.
    fn line(&self, row: &[u8], samples: usize) -> Vec<f32> {
        let (width, to_width) = (u64::from(self.width), u64::from(self.to_width));
        let mut line = vec![0.0; self.to_width as usize * 3];
        for (x, pixel) in (0..width).zip(row.chunks_exact(samples.max(1))) {
            let colour = colour(pixel);
            let (mut start, end) = (x * to_width, (x + 1) * to_width);
            while start < end {
                let column = start / width;
                let part = ((column + 1) * width).min(end) - start;
                #[expect(clippy::cast_precision_loss, reason = "a share of one column")]
                let share = part as f32 / width as f32;
                let index = usize::try_from(column).unwrap_or(usize::MAX).saturating_mul(3);
                for (to, value) in line.iter_mut().skip(index).zip(colour) {
                    *to += value * share;
                }
                start += part;
            }
        }
        line
    }
}

/// Red, green and blue on white.
fn colour(pixel: &[u8]) -> [f32; 3] {
    let (rgb, alpha) = match *pixel {
        [grey] => ([grey; 3], 255),
        [grey, alpha] => ([grey; 3], alpha),
        [red, green, blue] => ([red, green, blue], 255),
        [red, green, blue, alpha] => ([red, green, blue], alpha),
        _ => ([0; 3], 255),
    };
    let alpha = f32::from(alpha) / 255.0;
    rgb.map(|value| f32::from(value) * alpha + 255.0 * (1.0 - alpha))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn png(width: u32, height: u32, color: png::ColorType, depth: png::BitDepth, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if color == png::ColorType::Indexed {
            encoder.set_palette(vec![255, 0, 0, 0, 0, 255]);
        }
        let mut writer = encoder.write_header().expect("a header");
        writer.write_image_data(data).expect("pixels");
        writer.finish().expect("an end");
        bytes
    }

    /// Width and height in a JPEG's frame header.
    fn size(jpeg: &[u8]) -> (u32, u32) {
        let start = jpeg.windows(2).position(|mark| mark == [0xff, 0xc0]).expect("a frame");
        let number = |at: usize| u32::from(jpeg[start + at]) << 8 | u32::from(jpeg[start + at + 1]);
        (number(7), number(5))
    }

    #[test]
    fn every_kind_of_png_becomes_small() {
        use png::{BitDepth, ColorType};
        for (color, depth, bytes) in [
            (ColorType::Grayscale, BitDepth::Eight, 640 * 400),
            (ColorType::Grayscale, BitDepth::One, 80 * 400),
            (ColorType::Grayscale, BitDepth::Sixteen, 2 * 640 * 400),
            (ColorType::GrayscaleAlpha, BitDepth::Eight, 2 * 640 * 400),
            (ColorType::Indexed, BitDepth::One, 80 * 400),
            (ColorType::Rgb, BitDepth::Sixteen, 6 * 640 * 400),
            (ColorType::Rgba, BitDepth::Eight, 4 * 640 * 400),
        ] {
            let jpeg = make(Cursor::new(png(640, 400, color, depth, &vec![0; bytes]))).expect("small");
            assert_eq!(size(&jpeg), (320, 200), "{color:?} {depth:?}");
        }
        let tiny = png(7, 3, ColorType::Grayscale, BitDepth::Eight, &[9; 21]);
        assert_eq!(size(&make(Cursor::new(tiny)).expect("small")), (7, 3));
        let thin = png(1, 3000, ColorType::Grayscale, BitDepth::Eight, &[9; 3000]);
        assert_eq!(size(&make(Cursor::new(thin)).expect("small")), (1, 320));
        assert!(make(Cursor::new(b"no picture")).is_err());
    }

    #[test]
    fn areas_become_their_means() {
        let mut shrink = Shrink::new(640, 2);
        let row: Vec<u8> = (0..640).map(|x| if x % 2 == 0 { 10 } else { 30 }).collect();
        shrink.row(&row, 1);
        shrink.row(&row, 1);
        assert_eq!(shrink.done, vec![20; 320 * 3]);
        let mut uneven = Shrink::new(481, 481);
        for _ in 0..481 {
            uneven.row(&[77; 481 * 2], 2);
        }
        let grey = 77.0f32 * (77.0 / 255.0) + 255.0 * (1.0 - 77.0 / 255.0);
        assert_eq!(uneven.done.len(), 320 * 320 * 3);
        assert!(uneven.done.iter().all(|value| (f32::from(*value) - grey).abs() <= 1.0));
    }
}
