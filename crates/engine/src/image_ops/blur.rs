use rayon::prelude::*;

use super::Mask;

impl Mask {
    /// The mask blurred along its rows by a Gaussian of `x` pixels and along its columns by one of `y`; 0 leaves them
    /// as they are. Equal to OpenCV's `GaussianBlur` with the kernel sizes that AUTOMATIC1111 uses.
    pub fn blurred(self, x: f32, y: f32) -> Self {
        let along_rows = |mask: Self, sigma: f32| {
            if sigma <= 0.0 || mask.values.is_empty() {
                return mask;
            }
            let (kernel, width) = (gaussian(f64::from(sigma)), mask.width as usize);
            let mut values = vec![0; mask.values.len()];
            values.par_chunks_exact_mut(width).zip(mask.values.par_chunks_exact(width)).for_each(|(out, row)| {
                for (at, byte) in out.iter_mut().enumerate() {
                    let taps = kernel.iter().enumerate();
                    let sum: u32 = taps
                        .map(|(i, weight)| weight * u32::from(row[mirrored(at + i, kernel.len() / 2, width)]))
                        .sum();
                    *byte = ((sum + 128) >> 8) as u8;
                }
            });
            Self { values, ..mask }
        };
        along_rows(along_rows(self, x).transposed(), y).transposed()
    }

    fn transposed(self) -> Self {
        Self { width: self.height, height: self.width, values: transposed::<1>(&self.values, self.width as usize) }
    }
}

/// A Gaussian kernel in 256ths, the remainder of each rounding carried on and the rest in the middle, as OpenCV does
/// for bytes.
fn gaussian(sigma: f64) -> Vec<u32> {
    let half = (2.5 * sigma + 0.5) as usize;
    let weights: Vec<f64> = (0..=half).map(|i| (-((half - i) as f64).powi(2) / (2.0 * sigma * sigma)).exp()).collect();
    let sum = 2.0 * weights[..half].iter().sum::<f64>() + weights[half];
    let mut kernel = vec![0; 2 * half + 1];
    let (mut carried, mut spent) = (0.0, 0);
    for (i, weight) in weights[..half].iter().enumerate() {
        let exact = weight / sum * 256.0 + carried;
        let rounded = exact.round_ties_even();
        carried = exact - rounded;
        kernel[i] = rounded as u32;
        kernel[2 * half - i] = rounded as u32;
        spent += 2 * kernel[i];
    }
    kernel[half] = 256_u32.saturating_sub(spent);
    kernel
}

/// Position `shifted - half` in a row that is mirrored at its outermost pixels.
fn mirrored(shifted: usize, half: usize, length: usize) -> usize {
    if length == 1 {
        return 0;
    }
    let period = 2 * (length as i64 - 1);
    let at = (shifted as i64 - half as i64).rem_euclid(period);
    at.min(period - at) as usize
}

/// Pillow's `GaussianBlur`: three box blurs each way, of bytes, the box's edge weighed in.
///
/// # Shapes
/// - bytes: `[height, width, C]`
pub(super) fn box_gaussian<const C: usize>(bytes: Vec<u8>, width: usize, radius: f32) -> Vec<u8> {
    let radius = box_radius(radius);
    if radius == 0.0 || bytes.is_empty() {
        return bytes;
    }
    let height = bytes.len() / C / width;
    let blurred = |mut bytes: Vec<u8>, width: usize| {
        bytes.par_chunks_exact_mut(C * width).for_each(|row| {
            for _ in 0..PASSES {
                box_blur::<C>(row, radius);
            }
        });
        bytes
    };
    let columns = transposed::<C>(&blurred(bytes, width), width);
    transposed::<C>(&blurred(columns, height), height)
}

/// How often the box is applied.
const PASSES: usize = 3;

/// The radius of boxes that together make a Gaussian of `radius` (Gwosdek et al. 2011).
fn box_radius(radius: f32) -> f32 {
    let variance = radius * radius / PASSES as f32;
    let length = (12.0 * f64::from(variance) + 1.0).sqrt() as f32;
    let whole = ((length - 1.0) / 2.0).floor();
    let part = (2.0 * whole + 1.0) * (whole * (whole + 1.0) - 3.0 * variance);
    whole + part / (6.0 * (variance - (whole + 1.0) * (whole + 1.0)))
}

/// One pass over a row, its outermost pixels repeated beyond its ends.
fn box_blur<const C: usize>(row: &mut [u8], radius: f32) {
    let whole = radius as i64;
    let inner = ((1 << 24) as f32 / (radius * 2.0 + 1.0)) as u32;
    let outer = ((1 << 24) - (2 * whole as u32 + 1) * inner) / 2;
    let source = row.to_vec();
    let source = source.as_chunks::<C>().0;
    let last = source.len() as i64 - 1;
    let at = |x: i64, channel: usize| u32::from(source[x.clamp(0, last) as usize][channel]);
    for channel in 0..C {
        let mut sum: u32 = (-whole - 1..whole).map(|x| at(x, channel)).sum();
        for (x, pixel) in row.as_chunks_mut::<C>().0.iter_mut().enumerate() {
            let x = x as i64;
            sum = sum + at(x + whole, channel) - at(x - whole - 1, channel);
            let edges = at(x - whole - 1, channel) + at(x + whole + 1, channel);
            let total = sum.wrapping_mul(inner).wrapping_add(edges.wrapping_mul(outer));
            pixel[channel] = (total.wrapping_add(1 << 23) >> 24) as u8;
        }
    }
}

/// Rows as columns.
fn transposed<const C: usize>(bytes: &[u8], width: usize) -> Vec<u8> {
    let pixels = bytes.as_chunks::<C>().0;
    let height = pixels.len().checked_div(width).unwrap_or_default();
    let mut out = vec![[0; C]; pixels.len()];
    for (y, row) in pixels.chunks_exact(width.max(1)).enumerate() {
        for (x, pixel) in row.iter().enumerate() {
            out[x * height + y] = *pixel;
        }
    }
    out.into_flattened()
}
