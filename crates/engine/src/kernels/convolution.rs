//! 3x3 convolution over channels-last pictures: patches copied row by row into a matrix, then one matrix product.

use rayon::prelude::*;

use super::matrix::{Destination, MatrixView, ProductShape, Workers, multiply};

/// Patch elements that are in memory at once (32 MiB).
const PATCH_ELEMENTS: usize = 8 * 1024 * 1024;

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
/// - x: `[batch, height, width, inputs]`
/// - weight: `[3 * 3 * inputs, outputs]`, rows ordered by kernel row, kernel column, input channel
/// - bias: `[outputs]`, or `[batch, outputs]` for one per picture
/// - result: `[batch, result height, result width, outputs]`
pub(crate) fn convolution(x: &[f32], weight: &[f32], bias: &[f32], shape: ConvolutionShape) -> Vec<f32> {
    let ConvolutionShape { batch, inputs, outputs, .. } = shape;
    let (height, width) = shape.result_size();
    let pixels = height * width;
    let depth = 9 * inputs;
    let mut out = vec![0.0; batch * pixels * outputs];
    let bias_of = |picture: usize| {
        let start = if bias.len() == outputs { 0 } else { picture * outputs };
        &bias[start..start + outputs]
    };
    out.par_chunks_mut(outputs * 64).enumerate().for_each(|(piece, rows)| {
        for (i, row) in rows.chunks_exact_mut(outputs).enumerate() {
            row.copy_from_slice(bias_of((piece * 64 + i) / pixels));
        }
    });
    let block = (PATCH_ELEMENTS / depth).max(64).min(batch * pixels);
    let mut patches = vec![0.0; block * depth];
    for (number, out) in out.chunks_mut(block * outputs).enumerate() {
        let rows = out.len() / outputs;
        let patches = &mut patches[..rows * depth];
        patches.par_chunks_mut(depth * 16).enumerate().for_each(|(piece, patches)| {
            for (i, patch) in patches.chunks_exact_mut(depth).enumerate() {
                copy_patch(x, patch, number * block + piece * 16 + i, shape, (height, width));
            }
        });
        multiply(
            ProductShape { rows, columns: outputs, depth },
            1.0,
            MatrixView { data: patches, row_stride: depth, column_stride: 1 },
            MatrixView { data: weight, row_stride: outputs, column_stride: 1 },
            out,
            outputs,
            Destination::Add,
            Workers::All,
        );
    }
    out
}

/// Copies the 3x3 neighbourhood of one result pixel, zeros where it leaves the picture.
fn copy_patch(x: &[f32], patch: &mut [f32], pixel: usize, shape: ConvolutionShape, result: (usize, usize)) {
    let (height, width) = result;
    let (picture, row, column) = (pixel / (height * width), pixel / width % height, pixel % width);
    let inputs = shape.inputs;
    let (source_height, source_width, shift) = match shape.doubled {
        Some((height, width)) => (height, width, 1),
        None => (shape.height, shape.width, 0),
    };
    for (ky, line) in patch.chunks_exact_mut(3 * inputs).enumerate() {
        let y = (row * shape.stride + ky).wrapping_sub(shape.margin);
        if y >= source_height {
            line.fill(0.0);
            continue;
        }
        for (kx, target) in line.chunks_exact_mut(inputs).enumerate() {
            let x_at = (column * shape.stride + kx).wrapping_sub(shape.margin);
            if x_at >= source_width {
                target.fill(0.0);
                continue;
            }
            let start = ((picture * shape.height + (y >> shift)) * shape.width + (x_at >> shift)) * inputs;
            target.copy_from_slice(&x[start..start + inputs]);
        }
    }
}

#[cfg(test)]
mod tests {
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
                                        * f64::from(weight[((ky * 3 + kx) * s.inputs + c) * s.outputs + o]);
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
    fn patches_times_weights_equal_the_definition() {
        let cases = [
            (1, 1, None, false),
            (2, 1, None, false),
            (2, 0, None, false),
            (1, 1, Some((12, 10)), true),
            (1, 1, Some((11, 9)), false),
        ];
        for (stride, margin, doubled, per_picture) in cases {
            let shape =
                ConvolutionShape { batch: 2, height: 6, width: 5, inputs: 7, outputs: 3, stride, margin, doubled };
            let x = numbers(2 * 6 * 5 * 7, 0.0);
            let weight = numbers(9 * 7 * 3, 1.0);
            let bias = numbers(if per_picture { 6 } else { 3 }, 2.0);
            let found = convolution(&x, &weight, &bias, shape);
            let expected = naive(&x, &weight, &bias, shape);
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                assert!((f64::from(*found) - expected).abs() < 1e-5, "{found} is not {expected}");
            }
        }
    }
}
