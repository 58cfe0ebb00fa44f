//! Products of rows with the weights of a layer: dense layers, and convolutions whose windows are read in place.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::bf16;
use super::precision::Precision;
use super::scratch::Scratch;
use super::shared::Shared;
use super::tile;
use super::weight::Weight;
use super::{dispatch, has_bf16};

/// Bytes of the weights that one task holds widened: about what a core's second-level cache takes.
const PANELS: usize = 384 * 1024;

/// What is added to a product.
#[derive(Clone, Copy)]
pub(crate) enum Bias<'a> {
    None,
    /// One per output.
    Outputs(&'a [f32]),
    /// One per output for each run of so many rows (a picture).
    Runs(&'a [f32], usize),
}

impl<'a> Bias<'a> {
    /// The summands of a row, if there are any.
    #[inline(always)]
    pub(super) fn of(self, row: usize, outputs: usize) -> Option<&'a [f32]> {
        match self {
            Self::None => None,
            Self::Outputs(bias) => Some(bias),
            Self::Runs(bias, rows) => Some(&bias[row / rows * outputs..][..outputs]),
        }
    }
}

/// `out[r] = bias + Σ over taps: row(r, tap) x weight[tap]`.
///
/// # Shapes
/// - row: `[inputs]` for each of the rows and taps; out: `[rows, outputs]`
pub(crate) fn product<'x>(
    row: impl Fn(usize, usize) -> &'x [f32] + Sync,
    weight: &Weight<'_>,
    bias: Bias<'_>,
    out: &mut [f32],
) {
    let outputs = weight.outputs();
    let rows = out.len() / outputs;
    let depth = weight.inputs() * weight.taps();
    let rounded = Precision::current() == Precision::Bf16 && bf16::pays(rows, weight.inputs(), outputs);
    let paired = rounded && has_bf16();
    let (width, element) =
        if paired { (bf16::COLUMNS, size_of::<u16>()) } else { (dispatch(&Width), size_of::<f32>()) };
    let panels = (PANELS / (depth * width * element)).clamp(1, outputs.div_ceil(width).max(1));
    let groups = outputs.div_ceil(panels * width);
    // few groups of columns: rows are divided, too, so that no thread waits; the sums do not change by it
    let wanted = (4 * rayon::current_num_threads()).div_ceil(groups.max(1));
    let piece = rows.div_ceil(wanted).next_multiple_of(tile::MOST_ROWS).max(4 * tile::MOST_ROWS);
    let pieces = rows.div_ceil(piece);
    let out = Shared::new(out);
    (0..groups * pieces).into_par_iter().for_each(|task| {
        let (group, first) = (task / pieces, task % pieces * piece);
        let task = Task {
            row: &row,
            weight,
            bias,
            rounded,
            out: &out,
            first_column: group * panels * width,
            panels,
            first_row: first,
            rows: piece.min(rows - first),
        };
        #[cfg(target_arch = "x86_64")]
        if paired {
            // SAFETY: `has_bf16` found the instructions that this was compiled for.
            #[expect(unsafe_code, reason = "compiled for instructions that not every processor has")]
            return unsafe { task.run_bf16() };
        }
        dispatch(&task);
    });
}

/// Asks for the width of a panel.
pub(super) struct Width;

impl WithSimd for &Width {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        tile::columns::<S>()
    }
}

/// Some rows times some panels.
pub(super) struct Task<'a, F> {
    pub(super) row: &'a F,
    pub(super) weight: &'a Weight<'a>,
    bias: Bias<'a>,
    /// Both factors are rounded to bf16.
    rounded: bool,
    out: &'a Shared<'a>,
    pub(super) first_column: usize,
    pub(super) panels: usize,
    pub(super) first_row: usize,
    pub(super) rows: usize,
}

impl<F> Task<'_, F> {
    /// Writes the sums of a row from `column` on, with their bias.
    #[inline(always)]
    pub(super) fn leave(&self, row: usize, column: usize, sums: &[f32]) {
        let outputs = self.weight.outputs();
        // SAFETY: a task writes its own rows of its own columns only, and holds one part at a time.
        #[expect(unsafe_code, reason = "tasks write different columns of the same rows")]
        let out = unsafe { self.out.part(row * outputs + column, sums.len()) };
        match self.bias.of(row, outputs) {
            None => out.copy_from_slice(sums),
            Some(bias) => {
                for ((out, &sum), &bias) in out.iter_mut().zip(sums).zip(&bias[column..]) {
                    *out = sum + bias;
                }
            }
        }
    }
}

impl<'x, F: Fn(usize, usize) -> &'x [f32]> WithSimd for &Task<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (inputs, taps, outputs) = (self.weight.inputs(), self.weight.taps(), self.weight.outputs());
        let (width, height) = (tile::columns::<S>(), tile::rows::<S>());
        let panels = self.panels.min((outputs - self.first_column).div_ceil(width));
        let mut packed = Scratch::take(panels * taps * inputs * width);
        for (number, panel) in packed.chunks_exact_mut(taps * inputs * width).take(panels).enumerate() {
            pack(self.weight, self.first_column + number * width, width, panel);
            if self.rounded {
                bf16::round_all(panel);
            }
        }
        let mut copies = Scratch::take(if self.rounded { height * taps * inputs } else { 0 });
        let mut sums: tile::Sums = [0.0; _];
        for start in (0..self.rows).step_by(height) {
            let count = height.min(self.rows - start);
            let row = |i: usize, tap: usize| (self.row)(self.first_row + start + i, tap);
            if self.rounded {
                for (at, copy) in copies.chunks_exact_mut(inputs).take(count * taps).enumerate() {
                    copy.copy_from_slice(row(at / taps, at % taps));
                    bf16::round_all(copy);
                }
            }
            for number in 0..panels {
                let panel = &packed[number * taps * inputs * width..][..taps * inputs * width];
                for (tap, panel) in panel.chunks_exact(inputs * width).enumerate() {
                    let mut rows: [&[f32]; tile::MOST_ROWS] = [&[]; _];
                    for (i, fitted) in rows[..count].iter_mut().enumerate() {
                        *fitted =
                            if self.rounded { &copies[(i * taps + tap) * inputs..][..inputs] } else { row(i, tap) };
                    }
                    tile::multiply(simd, &rows[..count], panel, &mut sums, tap > 0);
                }
                let column = self.first_column + number * width;
                let columns = width.min(outputs - column);
                for (i, sums) in sums.chunks_exact(width).take(count).enumerate() {
                    self.leave(self.first_row + start + i, column, &sums[..columns]);
                }
            }
        }
    }
}

/// Widens a panel of weights.
///
/// # Shapes
/// - panel: `[taps, inputs, width]` for the outputs from `column` on, 0 beyond the last one
#[inline(always)]
fn pack(weight: &Weight<'_>, column: usize, width: usize, panel: &mut [f32]) {
    let (inputs, taps) = (weight.inputs(), weight.taps());
    if column + width > weight.outputs() {
        panel.fill(0.0);
    }
    if taps == 1 {
        return weight.columns(column, 0, inputs, width, panel);
    }
    const BLOCK: usize = 16;
    let mut block = Scratch::take(BLOCK * taps * width);
    block.fill(0.0);
    for first in (0..inputs).step_by(BLOCK) {
        let count = BLOCK.min(inputs - first);
        weight.columns(column, first, count, width, &mut block);
        for (at, line) in block.chunks_exact(width).take(count * taps).enumerate() {
            let (input, tap) = (first + at / taps, at % taps);
            panel[(tap * inputs + input) * width..][..width].copy_from_slice(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::weight::Elements;
    use super::*;

    fn numbers(count: usize, seed: f32) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * 0.618 + seed).sin()).collect()
    }

    /// The result and its definition in f64.
    fn both(
        x: &[f32],
        (w, elements): (&[f32], Elements<'_>),
        (rows, inputs, outputs, taps): (usize, usize, usize, usize),
        precision: Precision,
    ) -> (Vec<f32>, Vec<f64>) {
        let rounded = precision == Precision::Bf16 && bf16::pays(rows, inputs, outputs);
        let exact = |value: f32| f64::from(if rounded { bf16::round(value) } else { value });
        let bias = numbers(outputs, 0.3);
        let weight = Weight::new(elements, outputs, inputs, taps);
        let mut out = vec![f32::NAN; rows * outputs];
        let row = |r: usize, tap: usize| &x[(r * taps + tap) * inputs..][..inputs];
        precision.during(|| product(row, &weight, Bias::Outputs(&bias), &mut out));
        let mut expected = Vec::new();
        for r in 0..rows {
            for o in 0..outputs {
                let mut sum = f64::from(bias[o]);
                for tap in 0..taps {
                    for i in 0..inputs {
                        sum += exact(row(r, tap)[i]) * exact(w[(o * inputs + i) * taps + tap]);
                    }
                }
                expected.push(sum);
            }
        }
        (out, expected)
    }

    /// Rows, inputs, outputs, taps: whole tiles and panels, and every kind of rest.
    const SIZES: [(usize, usize, usize, usize); 11] = [
        (1, 1, 1, 1),
        (37, 130, 29, 1),
        (13, 7, 70, 9),
        (100, 64, 64, 1),
        (5, 3, 33, 2),
        (25, 40, 32, 1),
        (24, 24, 24, 1),
        (29, 31, 65, 1),
        (31, 33, 100, 9),
        (64, 96, 127, 2),
        (47, 161, 259, 1),
    ];

    #[test]
    fn products_equal_their_definition() {
        for size @ (rows, inputs, outputs, taps) in SIZES {
            let (x, w) = (numbers(rows * taps * inputs, 0.1), numbers(outputs * inputs * taps, 0.7));
            for precision in [Precision::F32, Precision::Bf16] {
                let (found, expected) = both(&x, (&w, Elements::F32(&w)), size, precision);
                for (found, expected) in found.iter().zip(expected) {
                    assert!((f64::from(*found) - expected).abs() < 1e-4, "{size:?} {precision}: {found}, {expected}");
                }
            }
        }
    }

    #[test]
    fn weights_of_every_type_equal_their_definition() {
        let size @ (rows, inputs, outputs, taps) = (26, 67, 90, 1);
        let (x, w) = (numbers(rows * taps * inputs, 0.1), numbers(outputs * inputs * taps, 0.7));
        let half: Vec<half::f16> = w.iter().map(|&value| half::f16::from_f32(value)).collect();
        let brain: Vec<half::bf16> = w.iter().map(|&value| half::bf16::from_f32(value)).collect();
        let widened_half: Vec<f32> = half.iter().map(|value| value.to_f32()).collect();
        let widened_brain: Vec<f32> = brain.iter().map(|value| value.to_f32()).collect();
        for precision in [Precision::F32, Precision::Bf16] {
            for (widened, elements) in [(&widened_half, Elements::F16(&half)), (&widened_brain, Elements::Bf16(&brain))]
            {
                let (found, expected) = both(&x, (widened, elements), size, precision);
                for (found, expected) in found.iter().zip(expected) {
                    assert!((f64::from(*found) - expected).abs() < 1e-4, "{precision}: {found}, {expected}");
                }
            }
        }
    }

    #[test]
    fn the_smallest_and_the_largest_numbers_are_multiplied() {
        let size @ (rows, inputs, outputs, taps) = (30, 40, 30, 1);
        // from denormal numbers, which bf16 takes for 0, to nearly the largest
        let spread = |count: usize, seed: f32| -> Vec<f32> {
            numbers(count, seed).into_iter().enumerate().map(|(i, x)| x * 10_f32.powi(i as i32 % 37 - 41)).collect()
        };
        let (x, w) = (spread(rows * taps * inputs, 0.1), numbers(outputs * inputs * taps, 0.7));
        for factor in [1.0, 1e36] {
            let w: Vec<f32> = w.iter().map(|value| value * factor).collect();
            for precision in [Precision::F32, Precision::Bf16] {
                let (found, expected) = both(&x, (&w, Elements::F32(&w)), size, precision);
                for (found, expected) in found.iter().zip(expected) {
                    let error = (f64::from(*found) - expected).abs();
                    assert!(error <= 1e-5 * expected.abs().max(1.0), "{precision}: {found} is not {expected}");
                }
            }
        }
    }

    #[test]
    fn weights_stored_the_other_way_round_give_the_same_bits() {
        let (rows, inputs, outputs) = (9, 50, 45);
        let (x, w) = (numbers(rows * inputs, 0.1), numbers(outputs * inputs, 0.7));
        let turned: Vec<f32> = (0..inputs * outputs).map(|at| w[at % outputs * inputs + at / outputs]).collect();
        let run = |weight: &Weight<'_>| {
            let mut out = vec![0.0; rows * outputs];
            product(|r, _| &x[r * inputs..][..inputs], weight, Bias::None, &mut out);
            out
        };
        let one = run(&Weight::new(Elements::F32(&w), outputs, inputs, 1));
        assert_eq!(one, run(&Weight::inputs_first(Elements::F32(&turned), outputs, inputs)));
    }

    #[test]
    fn the_number_of_threads_does_not_change_a_bit() {
        let (rows, inputs, outputs) = (1300, 96, 1152);
        let (x, w) = (numbers(rows * inputs, 0.1), numbers(outputs * inputs, 0.7));
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| {
                let mut out = vec![0.0; rows * outputs];
                let weight = Weight::new(Elements::F32(&w), outputs, inputs, 1);
                product(|r, _| &x[r * inputs..][..inputs], &weight, Bias::None, &mut out);
                out
            })
        };
        let one = run(1);
        for threads in [2, 3, 7] {
            assert_eq!(one, run(threads), "{threads} threads");
        }
    }
}
