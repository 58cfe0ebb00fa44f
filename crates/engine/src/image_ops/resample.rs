use rayon::prelude::*;

use super::filter::{Filter, Taps};
use super::{Mask, Region};
use crate::Picture;

/// Bits behind the point of a weight.
const PRECISION: u32 = 32 - 8 - 2;

impl Picture {
    /// The picture at another size, byte for byte as Pillow's `resize`.
    pub fn resized(&self, width: u32, height: u32, filter: Filter) -> Self {
        let size = (self.width as usize, self.height as usize);
        let whole = [0.0, 0.0, f64::from(self.width), f64::from(self.height)];
        let rgb = resample::<3>(&self.rgb, size, (width as usize, height as usize), whole, filter);
        Self { width, height, rgb }
    }

    /// One edge of the picture drawn out over `width` x `height` pixels: Pillow's `resize` of an empty box.
    pub(super) fn smeared(&self, width: u32, height: u32, edge: [f64; 4]) -> Self {
        let size = (self.width as usize, self.height as usize);
        let rgb = resample::<3>(&self.rgb, size, (width as usize, height as usize), edge, Filter::Bicubic);
        Self { width, height, rgb }
    }

    /// The part inside `region`; what lies outside the picture is black.
    pub fn cropped(&self, region: &Region) -> Self {
        let rgb = crop::<3>(&self.rgb, self.width, self.height, region);
        Self { width: region.width, height: region.height, rgb }
    }

    /// Lays `other` onto this picture with its upper left corner at `(x, y)`; what hangs over is cut off.
    pub(crate) fn paste(&mut self, other: &Self, x: i64, y: i64) {
        for row in 0..i64::from(other.height) {
            let to = row + y;
            let (first, end) = ((-x).max(0), i64::from(other.width).min(i64::from(self.width) - x));
            if !(0..i64::from(self.height)).contains(&to) || first >= end {
                continue;
            }
            let at = |row: i64, width: u32, column: i64| 3 * (row as usize * width as usize + column as usize);
            let from = at(row, other.width, first)..at(row, other.width, end);
            let start = at(to, self.width, first + x);
            self.rgb[start..start + from.len()].copy_from_slice(&other.rgb[from]);
        }
    }
}

impl Mask {
    /// The mask at another size.
    pub fn resized(&self, width: u32, height: u32, filter: Filter) -> Self {
        let size = (self.width as usize, self.height as usize);
        let whole = [0.0, 0.0, f64::from(self.width), f64::from(self.height)];
        let values = resample::<1>(&self.values, size, (width as usize, height as usize), whole, filter);
        Self { width, height, values }
    }

    /// The part inside `region`; nothing is masked outside the mask.
    pub fn cropped(&self, region: &Region) -> Self {
        let values = crop::<1>(&self.values, self.width, self.height, region);
        Self { width: region.width, height: region.height, values }
    }
}

fn crop<const C: usize>(bytes: &[u8], width: u32, height: u32, region: &Region) -> Vec<u8> {
    let mut out = Vec::with_capacity(C * region.width as usize * region.height as usize);
    let inside = region.x < width;
    let end = region.right().min(width);
    for y in region.y..region.bottom() {
        let filled = out.len() + C * region.width as usize;
        if inside && y < height {
            let row = C * y as usize * width as usize;
            out.extend_from_slice(&bytes[row + C * region.x as usize..row + C * end as usize]);
        }
        out.resize(filled, 0);
    }
    out
}

/// Stretches the part `[left, top, right, bottom]` of a raster of `C` bytes a pixel over a size (width, height):
/// along the rows first, then along the columns, with whole numbers and a rounding to bytes in between. (Pillow 13 goes
/// down the columns first where only they shrink, which differs by a rounding; the versions before it do not.)
fn resample<const C: usize>(
    bytes: &[u8],
    (width, height): (usize, usize),
    (to_width, to_height): (usize, usize),
    [left, top, right, bottom]: [f64; 4],
    filter: Filter,
) -> Vec<u8> {
    if width * height == 0 {
        return vec![0; C * to_width * to_height];
    }
    let untouched =
        |length: usize, to: usize, from: f64, until: f64| length == to && from == 0.0 && until == length as f64;
    let mut rows = std::borrow::Cow::Borrowed(bytes);
    if !untouched(width, to_width, left, right) {
        let taps = fixed(&filter.taps(width, to_width, left, right));
        let mut out = vec![0; C * to_width * height];
        out.par_chunks_exact_mut((C * to_width).max(1)).zip(bytes.par_chunks_exact(C * width)).for_each(
            |(out, row)| {
                for (pixel, (first, weights)) in out.as_chunks_mut::<C>().0.iter_mut().zip(&taps) {
                    let mut sums = [1_i32 << (PRECISION - 1); C];
                    for (source, weight) in row[C * first..].as_chunks::<C>().0.iter().zip(weights) {
                        for (sum, &byte) in sums.iter_mut().zip(source) {
                            *sum += i32::from(byte) * weight;
                        }
                    }
                    *pixel = sums.map(to_byte);
                }
            },
        );
        rows = out.into();
    }
    if untouched(height, to_height, top, bottom) {
        return rows.into_owned();
    }
    let stride = C * to_width;
    let taps = fixed(&filter.taps(height, to_height, top, bottom));
    let mut out = vec![0; stride * to_height];
    out.par_chunks_exact_mut(stride.max(1)).zip(&taps).for_each(|(out, (first, weights))| {
        let mut sums = vec![1_i32 << (PRECISION - 1); stride];
        for (row, weight) in rows[first * stride..].chunks_exact(stride).zip(weights) {
            for (sum, &byte) in sums.iter_mut().zip(row) {
                *sum += i32::from(byte) * weight;
            }
        }
        for (byte, sum) in out.iter_mut().zip(sums) {
            *byte = to_byte(sum);
        }
    });
    out
}

/// Weights as whole numbers.
fn fixed(taps: &[Taps]) -> Vec<(usize, Vec<i32>)> {
    let whole = |weight: &f64| (weight * f64::from(1 << PRECISION)).round() as i32;
    taps.iter().map(|taps| (taps.first, taps.weights.iter().map(whole).collect())).collect()
}

fn to_byte(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}
