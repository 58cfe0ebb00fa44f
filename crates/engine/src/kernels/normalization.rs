//! Group normalization and layer normalization, sums in a fixed order.

use rayon::prelude::*;

use super::activation::silu_of;
use super::dispatch;

/// Pixels whose channel sums are taken in one piece; the pieces are then added up in order, in f64.
const PIXELS: usize = 256;

/// Group normalization over a channels-last picture, with an optional SiLU behind it, in place.
///
/// # Shapes
/// - values: `[batch, pixels, channels]`; weight, bias: `[channels]`; `channels` divisible by `groups`
pub(crate) struct GroupNormalization<'a> {
    pub(crate) weight: &'a [f32],
    pub(crate) bias: &'a [f32],
    pub(crate) groups: usize,
    pub(crate) epsilon: f32,
    pub(crate) silu: bool,
}

impl GroupNormalization<'_> {
    /// Normalizes `values`, each of the `batch` pictures by itself.
    pub(crate) fn apply(&self, values: &mut [f32], batch: usize) {
        let per_picture = values.len() / batch.max(1);
        for picture in values.chunks_exact_mut(per_picture.max(1)) {
            let (scale, shift) = self.scale_and_shift(picture);
            affine(picture, &scale, &shift, self.silu);
        }
    }

    /// The affine map per channel that normalization of one picture comes down to: `value * scale + shift`.
    ///
    /// # Shapes
    /// - picture: `[pixels, channels]`; result: twice `[channels]`
    pub(crate) fn scale_and_shift(&self, picture: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let channels = self.weight.len();
        let per_group = channels / self.groups;
        let count = (picture.len() / channels * per_group) as f64;
        let of_groups = |sums: Vec<f64>| -> Vec<f64> {
            sums.chunks_exact(per_group).map(|group| group.iter().sum::<f64>() / count).collect()
        };
        let means = of_groups(channel_sums(picture, channels, |value, _| value, &vec![0.0; channels]));
        let centre: Vec<f32> = (0..channels).map(|c| means[c / per_group] as f32).collect();
        // squares around the f32 mean, then corrected for what the rounding of the mean left over
        let squares =
            of_groups(channel_sums(picture, channels, |value, mean| (value - mean) * (value - mean), &centre));
        let mut scale = Vec::with_capacity(channels);
        let mut shift = Vec::with_capacity(channels);
        for (c, &centre) in centre.iter().enumerate() {
            let group = c / per_group;
            let rest = means[group] - f64::from(centre);
            let deviation = (squares[group] - rest * rest + f64::from(self.epsilon)).sqrt();
            let factor = f64::from(self.weight[c]) / deviation;
            scale.push(factor as f32);
            shift.push((f64::from(self.bias[c]) - means[group] * factor) as f32);
        }
        (scale, shift)
    }
}

/// `value * scale + shift`, with an optional SiLU behind it, in place.
///
/// # Shapes
/// - picture: `[pixels, channels]`; scale, shift: `[channels]`
pub(crate) fn affine(picture: &mut [f32], scale: &[f32], shift: &[f32], silu: bool) {
    let channels = scale.len().max(1);
    picture.par_chunks_mut(PIXELS * channels).for_each(|piece| {
        dispatch(|| {
            for pixel in piece.chunks_exact_mut(channels) {
                for ((value, &scale), &shift) in pixel.iter_mut().zip(scale).zip(shift) {
                    let normal = *value * scale + shift;
                    *value = if silu { silu_of(normal) } else { normal };
                }
            }
        });
    });
}

/// Sums of `f(value, centre)` per channel.
#[inline(always)]
fn channel_sums(picture: &[f32], channels: usize, f: impl Fn(f32, f32) -> f32 + Sync, centre: &[f32]) -> Vec<f64> {
    let pieces: Vec<Vec<f32>> = picture
        .par_chunks(PIXELS * channels)
        .map(|piece| {
            let mut sums = vec![0.0_f32; channels];
            dispatch(|| {
                for pixel in piece.chunks_exact(channels) {
                    for ((sum, &value), &centre) in sums.iter_mut().zip(pixel).zip(centre) {
                        *sum += f(value, centre);
                    }
                }
            });
            sums
        })
        .collect();
    let mut total = vec![0.0_f64; channels];
    for piece in pieces {
        for (total, sum) in total.iter_mut().zip(piece) {
            *total += f64::from(sum);
        }
    }
    total
}

/// Layer normalization of each row, epsilon 1e-5.
///
/// # Shapes
/// - x: `[rows, width]`; weight, bias: `[width]`
pub(crate) fn layer_normalization(x: &[f32], weight: &[f32], bias: &[f32], epsilon: f32) -> Vec<f32> {
    let width = weight.len();
    let mut out = vec![0.0; x.len()];
    out.par_chunks_mut(width * 16).zip(x.par_chunks(width * 16)).for_each(|(out, x)| {
        dispatch(|| {
            for (out, x) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
                let mean = sum_in_lanes(x, |value| value) / width as f32;
                let variance = sum_in_lanes(x, |value| (value - mean) * (value - mean)) / width as f32;
                let factor = 1.0 / (variance + epsilon).sqrt();
                for (((out, &x), &weight), &bias) in out.iter_mut().zip(x).zip(weight).zip(bias) {
                    *out = (x - mean) * factor * weight + bias;
                }
            }
        });
    });
    out
}

/// The sum of `f` over `values` in 16 lanes, which are then added from first to last.
#[inline(always)]
pub(crate) fn sum_in_lanes(values: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0_f32; 16];
    let mut rows = values.chunks_exact(16);
    for row in &mut rows {
        for (lane, &value) in lanes.iter_mut().zip(row) {
            *lane += f(value);
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(rows.remainder()) {
        *lane += f(value);
    }
    lanes.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * 0.37).sin() * 3.0 + 5.0).collect()
    }

    #[test]
    fn group_normalization_equals_its_definition() {
        let (batch, pixels, channels, groups) = (2, 700, 8, 4);
        let x = numbers(batch * pixels * channels);
        let weight: Vec<f32> = (0..channels).map(|c| 1.0 + c as f32 * 0.1).collect();
        let bias: Vec<f32> = (0..channels).map(|c| c as f32 * 0.05).collect();
        let mut found = x.clone();
        GroupNormalization { weight: &weight, bias: &bias, groups, epsilon: 1e-6, silu: false }
            .apply(&mut found, batch);
        for b in 0..batch {
            for g in 0..groups {
                let members: Vec<usize> = (0..pixels)
                    .flat_map(|p| (g * 2..g * 2 + 2).map(move |c| (b * pixels + p) * channels + c))
                    .collect();
                let mean = members.iter().map(|&i| f64::from(x[i])).sum::<f64>() / members.len() as f64;
                let variance =
                    members.iter().map(|&i| (f64::from(x[i]) - mean).powi(2)).sum::<f64>() / members.len() as f64;
                for &i in &members {
                    let c = i % channels;
                    let expected =
                        (f64::from(x[i]) - mean) / (variance + 1e-6).sqrt() * f64::from(weight[c]) + f64::from(bias[c]);
                    assert!((f64::from(found[i]) - expected).abs() < 1e-5);
                }
            }
        }
    }

    #[test]
    fn layer_normalization_equals_its_definition() {
        let x = numbers(3 * 40);
        let (weight, bias) = (vec![1.5; 40], vec![0.25; 40]);
        let found = layer_normalization(&x, &weight, &bias, 1e-5);
        for (row, x) in found.chunks_exact(40).zip(x.chunks_exact(40)) {
            let mean = x.iter().map(|&v| f64::from(v)).sum::<f64>() / 40.0;
            let variance = x.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / 40.0;
            for (&found, &x) in row.iter().zip(x) {
                let expected = (f64::from(x) - mean) / (variance + 1e-5).sqrt() * 1.5 + 0.25;
                assert!((f64::from(found) - expected).abs() < 1e-5);
            }
        }
    }
}
