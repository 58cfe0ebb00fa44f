//! 3x3 convolution over channels-last pictures.

use super::product::{Bias, product};
use super::weight::Weight;
use super::winograd::{self, Pictures};

/// Channels from which on transforming tiles and weights costs less than it saves.
const WINOGRAD: usize = 16;

/// What a 3x3 convolution does besides multiplying.
#[derive(Clone, Copy)]
pub(crate) struct ConvolutionShape {
    pub(crate) batch: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    /// Distance between the pixels that windows start at: 1, or 2 to halve the picture.
    pub(crate) stride: usize,
    /// Rows of zeros above and columns of zeros left of the picture: 1, or 0 where windows start at the first pixel.
    /// There is always one below and right of it.
    pub(crate) margin: usize,
    /// The picture is doubled (nearest neighbour) before the convolution and cut to this height and width: twice the
    /// picture's, or one less where an odd size was halved before.
    pub(crate) doubled: Option<(usize, usize)>,
}

impl ConvolutionShape {
    /// Height and width of the result.
    pub(crate) fn result_size(&self) -> (usize, usize) {
        // windows that fit into the picture with its margins
        let windows = |side: usize| (side + self.margin + 1).saturating_sub(3) / self.stride + 1;
        self.doubled.unwrap_or((windows(self.height), windows(self.width)))
    }
}

/// The convolution.
///
/// # Shapes
/// - x: `[batch, height, width, inputs]`; weight: nine taps
/// - bias: `[outputs]`, or `[batch, outputs]` for one per picture
/// - result: `[batch, result height, result width, outputs]`
pub(crate) fn convolution(x: &[f32], weight: &Weight<'_>, bias: &[f32], shape: ConvolutionShape) -> Vec<f32> {
    let ConvolutionShape { batch, inputs, outputs, .. } = shape;
    let (height, width) = shape.result_size();
    let pixels = height * width;
    let mut out = vec![0.0; batch * pixels * outputs];
    let bias = if bias.len() == outputs { Bias::Outputs(bias) } else { Bias::Runs(bias, pixels) };
    if shape.stride == 1 && shape.margin == 1 && inputs.min(outputs) >= WINOGRAD {
        let source = (shape.height, shape.width);
        let pictures = Pictures { batch, height, width, source, doubled: shape.doubled.is_some() };
        winograd::convolution(x, pictures, weight, bias, &mut out);
    } else {
        let zeros = vec![0.0; inputs];
        product(|pixel, tap| window(x, &zeros, pixel, tap, shape, (height, width)), weight, bias, &mut out);
    }
    out
}

/// The input pixel that a tap of a result pixel's window falls on, or zeros where that is outside of the picture.
fn window<'a>(
    x: &'a [f32],
    zeros: &'a [f32],
    pixel: usize,
    tap: usize,
    shape: ConvolutionShape,
    (height, width): (usize, usize),
) -> &'a [f32] {
    let (picture, row, column) = (pixel / (height * width), pixel / width % height, pixel % width);
    let (source_height, source_width, shift) = match shape.doubled {
        Some((height, width)) => (height, width, 1),
        None => (shape.height, shape.width, 0),
    };
    let y = (row * shape.stride + tap / 3).wrapping_sub(shape.margin);
    let x_at = (column * shape.stride + tap % 3).wrapping_sub(shape.margin);
    if y >= source_height || x_at >= source_width {
        return zeros;
    }
    let start = (picture * shape.height + (y >> shift)) * shape.width + (x_at >> shift);
    &x[start * shape.inputs..][..shape.inputs]
}

#[cfg(test)]
mod tests {
    use super::super::weight::Elements;
    use super::*;

    fn numbers(count: usize, seed: f32) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * 0.73 + seed).sin()).collect()
    }

    fn naive(x: &[f32], weight: &[f32], bias: &[f32], s: ConvolutionShape) -> Vec<f64> {
        let (height, width) = s.result_size();
        let mut out = Vec::new();
        for b in 0..s.batch {
            for row in 0..height {
                for column in 0..width {
                    for o in 0..s.outputs {
                        let mut sum = f64::from(bias[if bias.len() == s.outputs { o } else { b * s.outputs + o }]);
                        for ky in 0..3 {
                            for kx in 0..3 {
                                let (mut y, mut x_at) =
                                    ((row * s.stride + ky) as isize, (column * s.stride + kx) as isize);
                                (y, x_at) = (y - s.margin as isize, x_at - s.margin as isize);
                                let (factor, limit) = s.doubled.map_or((1, (s.height, s.width)), |size| (2, size));
                                if y < 0 || x_at < 0 || y >= limit.0 as isize || x_at >= limit.1 as isize {
                                    continue;
                                }
                                y /= factor;
                                x_at /= factor;
                                for c in 0..s.inputs {
                                    let pixel = (b * s.height + y as usize) * s.width + x_at as usize;
                                    sum += f64::from(x[pixel * s.inputs + c])
                                        * f64::from(weight[(o * s.inputs + c) * 9 + ky * 3 + kx]);
                                }
                            }
                        }
                        out.push(sum);
                    }
                }
            }
        }
        out
    }

    #[test]
    fn both_ways_equal_the_definition() {
        for (inputs, outputs) in [(7, 3), (20, 36), (33, 17)] {
            for (stride, margin, doubled, per_picture) in [
                (1, 1, None, false),
                (2, 1, None, false),
                (2, 0, None, false),
                (1, 1, Some((12, 10)), true),
                (1, 1, Some((11, 9)), false),
            ] {
                let shape =
                    ConvolutionShape { batch: 2, height: 6, width: 5, inputs, outputs, stride, margin, doubled };
                let x = numbers(2 * 6 * 5 * inputs, 0.0);
                let weight = numbers(9 * inputs * outputs, 1.0);
                let bias = numbers(if per_picture { 2 * outputs } else { outputs }, 2.0);
                let elements = Weight::new(Elements::F32(&weight), outputs, inputs, 9);
                let found = convolution(&x, &elements, &bias, shape);
                let expected = naive(&x, &weight, &bias, shape);
                assert_eq!(found.len(), expected.len());
                for (found, expected) in found.iter().zip(expected) {
                    assert!((f64::from(*found) - expected).abs() < 2e-4, "{found} is not {expected}");
                }
            }
        }
    }

    #[test]
    fn the_number_of_threads_does_not_change_a_bit() {
        let (inputs, outputs, side) = (40, 100, 30);
        let (x, w) = (numbers(side * side * inputs, 0.0), numbers(9 * inputs * outputs, 1.0));
        let bias = vec![0.5; outputs];
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            let weight = Weight::new(Elements::F32(&w), outputs, inputs, 9);
            let shape = ConvolutionShape {
                batch: 1,
                height: side,
                width: side,
                inputs,
                outputs,
                stride: 1,
                margin: 1,
                doubled: None,
            };
            pool.install(|| convolution(&x, &weight, &bias, shape))
        };
        let one = run(1);
        for threads in [2, 5] {
            assert_eq!(one, run(threads), "{threads} threads");
        }
    }
}
