//! The activation functions of Stable Diffusion 1.x.

use rayon::prelude::*;

use super::dispatch;
use super::math::{erf, exp};

/// Elements that one task handles.
const PIECE: usize = 16_384;

/// Applies `f` to all of `values`, vectorized and in parallel.
#[inline(always)]
fn apply(values: &mut [f32], f: impl Fn(f32) -> f32 + Sync) {
    values.par_chunks_mut(PIECE).for_each(|piece| {
        dispatch(|| {
            for value in piece.iter_mut() {
                *value = f(*value);
            }
        });
    });
}

/// `x * sigmoid(x)`.
#[inline(always)]
pub(crate) fn silu_of(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// SiLU in place: `x * sigmoid(x)`.
pub(crate) fn silu(values: &mut [f32]) {
    apply(values, silu_of);
}

/// Values below zero times `slope`, in place: ReLU for a slope of 0.
pub(crate) fn leaky_relu(values: &mut [f32], slope: f32) {
    apply(
        values,
        #[inline(always)]
        |x| if x > 0.0 { x } else { x * slope },
    );
}

/// Values below zero times the slope of their channel (PReLU), in place.
///
/// # Shapes
/// - values: `[pixels, channels]`; slopes: `[channels]`
pub(crate) fn parametric_relu(values: &mut [f32], slopes: &[f32]) {
    let pixels = (PIECE / slopes.len().max(1)).max(1);
    values.par_chunks_mut(pixels * slopes.len().max(1)).for_each(|piece| {
        dispatch(|| {
            for pixel in piece.chunks_exact_mut(slopes.len()) {
                for (value, &slope) in pixel.iter_mut().zip(slopes) {
                    *value = if *value > 0.0 { *value } else { *value * slope };
                }
            }
        });
    });
}

/// CLIP's "quick GELU" in place: `x * sigmoid(1.702 x)`.
pub(crate) fn quick_gelu(values: &mut [f32]) {
    apply(
        values,
        #[inline(always)]
        |x| x / (1.0 + exp(-1.702 * x)),
    );
}

/// The exact GELU: `0.5 x (1 + erf(x / sqrt 2))`.
#[inline(always)]
fn gelu_of(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// GELU in place.
pub(crate) fn gelu(values: &mut [f32]) {
    apply(values, gelu_of);
}

/// GEGLU (Shazeer 2020): the first half of each row times the exact GELU of the second half.
///
/// # Shapes
/// - x: `[rows, 2 * width]`, result: `[rows, width]`
pub(crate) fn geglu(x: &[f32], width: usize) -> Vec<f32> {
    let mut out = vec![0.0; x.len() / 2];
    let rows = (PIECE / width.max(1)).max(1);
    out.par_chunks_mut(rows * width).zip(x.par_chunks(2 * rows * width)).for_each(|(out, x)| {
        dispatch(|| {
            for (out, x) in out.chunks_exact_mut(width).zip(x.chunks_exact(2 * width)) {
                let (value, gate) = x.split_at(width);
                for ((out, &value), &gate) in out.iter_mut().zip(value).zip(gate) {
                    *out = value * gelu_of(gate);
                }
            }
        });
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of `torch.nn.functional.silu`, `x * sigmoid(1.702 * x)` and `a * torch.nn.functional.gelu(b)`.
    #[test]
    fn values_equal_torch() {
        let mut values = [-3.0_f32, -0.5, 0.0, 1.0, 4.0];
        silu(&mut values);
        close(&values, &[-0.142_277_62, -0.188_770_33, 0.0, 0.731_058_6, 3.928_055]);
        let mut values = [-3.0_f32, -0.5, 0.0, 1.0, 4.0];
        quick_gelu(&mut values);
        close(&values, &[-0.018_071_31, -0.149_611_56, 0.0, 0.845_795_8, 3.995_585_2]);
        let mut values = [2.0_f32, -1.0, 0.0];
        gelu(&mut values);
        close(&values, &[1.954_499_7, -0.158_655_26, 0.0]);
        let mut values = [-3.0_f32, -0.5, 0.0, 1.0];
        leaky_relu(&mut values, 0.2);
        close(&values, &[-0.6, -0.1, 0.0, 1.0]);
        let mut values = [-3.0_f32, -0.5, -1.0, 1.0];
        parametric_relu(&mut values, &[0.5, 2.0]);
        close(&values, &[-1.5, -1.0, -0.5, 1.0]);
        close(&geglu(&[2.0, 3.0, -1.0, 0.7], 2), &[-0.317_310_5, 1.591_876_3]);
    }

    fn close(found: &[f32], expected: &[f32]) {
        for (f, e) in found.iter().zip(expected) {
            assert!((f - e).abs() < 2e-6, "{found:?} is not {expected:?}");
        }
    }
}
