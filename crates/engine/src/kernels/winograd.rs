//! 3x3 convolution with Winograd's minimal filtering F(4x4, 3x3): 36 products where the definition takes 144.
//!
//! Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks" (2015), with the interpolation points 0, ±1, ±2
//! and infinity. A tile of 6x6 pixels gives 4x4 pixels of the result: tiles and weights are transformed to 36 places,
//! in each of which inputs become outputs by a matrix product, and what comes out is transformed back.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::dispatch;
use super::product::{Bias, Width};
use super::scratch::Scratch;
use super::shared::Shared;
use super::tile;
use super::weight::Weight;

/// Places of a transformed tile.
const PLACES: usize = 36;
/// Side of the part of the result that a tile gives.
const STEP: usize = 4;
/// Tiles that are multiplied, and transformed back, together.
const TOGETHER: usize = 48;
/// Elements of transformed tiles that are in memory at once (32 MiB).
const TRANSFORMED: usize = 8 << 20;

/// A batch of channels-last pictures and the size of what becomes of them.
#[derive(Clone, Copy)]
pub(super) struct Pictures {
    pub(super) batch: usize,
    /// Size of the result.
    pub(super) height: usize,
    pub(super) width: usize,
    /// Size of the input: the same, or half of it, rounded up, and then each pixel counts as 2x2.
    pub(super) source: (usize, usize),
    pub(super) doubled: bool,
}

impl Pictures {
    fn across(&self) -> usize {
        self.width.div_ceil(STEP)
    }

    fn down(&self) -> usize {
        self.height.div_ceil(STEP)
    }

    fn tiles(&self) -> usize {
        self.batch * self.down() * self.across()
    }

    /// Picture, row and column where the result of a tile begins.
    #[inline(always)]
    fn place(&self, tile: usize) -> (usize, usize, usize) {
        let (across, down) = (self.across(), self.down());
        (tile / (across * down), tile / across % down * STEP, tile % across * STEP)
    }
}

/// The convolution of pictures with one pixel of zeros around them.
///
/// # Shapes
/// - x: `[batch, source height, source width, inputs]`; weight: nine taps; out: `[batch, height, width, outputs]`
pub(super) fn convolution(x: &[f32], pictures: Pictures, weight: &Weight<'_>, bias: Bias<'_>, out: &mut [f32]) {
    let (inputs, outputs, all) = (weight.inputs(), weight.outputs(), pictures.tiles());
    let strip = (TRANSFORMED / (PLACES * inputs)).next_multiple_of(TOGETHER).min(all);
    let mut transformed = Scratch::take(PLACES * strip * inputs);
    let width = dispatch(&Width);
    let panels = outputs.div_ceil(width);
    let out = Shared::new(out);
    for first in (0..all).step_by(strip) {
        let tiles = strip.min(all - first);
        {
            let places = Shared::new(&mut transformed[..PLACES * tiles * inputs]);
            (0..tiles).into_par_iter().with_min_len(8).for_each(|tile| {
                dispatch(&Enter { x, pictures, inputs, first, tile, tiles, places: &places });
            });
        }
        // few panels: tiles are divided, too, so that no thread waits
        let wanted = (2 * rayon::current_num_threads()).div_ceil(panels);
        let piece = tiles.div_ceil(wanted).next_multiple_of(TOGETHER);
        let pieces = tiles.div_ceil(piece);
        (0..panels * pieces).into_par_iter().for_each(|task| {
            dispatch(&Multiply {
                transformed: &transformed,
                tiles,
                pictures,
                weight,
                bias,
                out: &out,
                column: task / pieces * width,
                first,
                piece: task % pieces * piece..(task % pieces * piece + piece).min(tiles),
            });
        });
    }
}

/// Transforms one tile of the input.
struct Enter<'a> {
    x: &'a [f32],
    pictures: Pictures,
    inputs: usize,
    first: usize,
    tile: usize,
    tiles: usize,
    places: &'a Shared<'a>,
}

impl WithSimd for &Enter<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Pictures { height, width, source, doubled, .. } = self.pictures;
        let shift = u32::from(doubled);
        let (picture, top, left) = self.pictures.place(self.first + self.tile);
        let zero = simd.splat_f32s(0.0);
        for channel in (0..self.inputs).step_by(S::F32_LANES) {
            let count = S::F32_LANES.min(self.inputs - channel);
            let mut columns = [[zero; 6]; 6];
            for (j, column) in columns.iter_mut().enumerate() {
                let Some(x) = (left + j).checked_sub(1).filter(|x| *x < width) else { continue };
                let mut pixels = [zero; 6];
                for (i, pixel) in pixels.iter_mut().enumerate() {
                    let Some(y) = (top + i).checked_sub(1).filter(|y| *y < height) else { continue };
                    let pixel_at = (picture * source.0 + (y >> shift)) * source.1 + (x >> shift);
                    let at = pixel_at * self.inputs + channel;
                    *pixel = load(simd, &self.x[at..at + count]);
                }
                *column = enter(simd, pixels);
            }
            for i in 0..6 {
                let mut line = [zero; 6];
                for (value, column) in line.iter_mut().zip(&columns) {
                    *value = column[i];
                }
                for (j, value) in enter(simd, line).into_iter().enumerate() {
                    let at = ((i * 6 + j) * self.tiles + self.tile) * self.inputs + channel;
                    // SAFETY: a task writes the rows of its own tile only, one part at a time.
                    #[expect(unsafe_code, reason = "the 36 places of a tile lie apart")]
                    let out = unsafe { self.places.part(at, count) };
                    store(simd, out, value);
                }
            }
        }
    }
}

/// Transforms a panel of weights, multiplies a piece of the tiles by it and transforms the products back.
struct Multiply<'a> {
    transformed: &'a [f32],
    tiles: usize,
    pictures: Pictures,
    weight: &'a Weight<'a>,
    bias: Bias<'a>,
    out: &'a Shared<'a>,
    column: usize,
    first: usize,
    piece: std::ops::Range<usize>,
}

impl WithSimd for &Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let inputs = self.weight.inputs();
        let (width, height) = (tile::columns::<S>(), tile::rows::<S>());
        let mut panel = Scratch::take(PLACES * inputs * width);
        self.weights(simd, &mut panel);
        let mut products = Scratch::take(PLACES * TOGETHER * width);
        for start in self.piece.clone().step_by(TOGETHER) {
            let count = TOGETHER.min(self.piece.end - start);
            for place in 0..PLACES {
                let panel = &panel[place * inputs * width..][..inputs * width];
                for row in (0..count).step_by(height) {
                    let mut rows: [&[f32]; tile::MOST_ROWS] = [&[]; _];
                    let rows = &mut rows[..height.min(count - row)];
                    for (i, values) in rows.iter_mut().enumerate() {
                        let at = place * self.tiles + start + row + i;
                        *values = &self.transformed[at * inputs..][..inputs];
                    }
                    tile::multiply(simd, rows, panel, &mut products[(place * TOGETHER + row) * width..], false);
                }
            }
            for tile in 0..count {
                self.leave(simd, &products, start + tile, tile);
            }
        }
    }
}

impl Multiply<'_> {
    /// # Shapes
    /// - panel: `[36, inputs, width]`
    #[inline(always)]
    fn weights<S: Simd>(&self, simd: S, panel: &mut [f32]) {
        const BLOCK: usize = 16;
        let (inputs, width, lanes) = (self.weight.inputs(), tile::columns::<S>(), S::F32_LANES);
        let mut block = [0.0; BLOCK * 9 * tile::MOST_COLUMNS];
        for first in (0..inputs).step_by(BLOCK) {
            let count = BLOCK.min(inputs - first);
            self.weight.columns(self.column, first, count, width, &mut block);
            for (input, kernels) in block.chunks_exact(9 * width).take(count).enumerate() {
                for half in 0..2 {
                    let mut columns = [[simd.splat_f32s(0.0); 6]; 3];
                    for (j, column) in columns.iter_mut().enumerate() {
                        let mut kernel = [simd.splat_f32s(0.0); 3];
                        for (i, value) in kernel.iter_mut().enumerate() {
                            let at = (i * 3 + j) * width + half * lanes;
                            *value = load(simd, &kernels[at..at + lanes]);
                        }
                        *column = transform_weights(simd, kernel);
                    }
                    let [left, middle, right] = columns;
                    for (i, ((left, middle), right)) in left.into_iter().zip(middle).zip(right).enumerate() {
                        for (j, value) in transform_weights(simd, [left, middle, right]).into_iter().enumerate() {
                            let at = ((i * 6 + j) * inputs + first + input) * width + half * lanes;
                            store(simd, &mut panel[at..at + lanes], value);
                        }
                    }
                }
            }
        }
    }

    /// Transforms the products of one tile back and writes its pixels.
    ///
    /// # Shapes
    /// - products: `[36, TOGETHER, width]`
    #[inline(always)]
    fn leave<S: Simd>(&self, simd: S, products: &[f32], tile: usize, slot: usize) {
        let (outputs, width, lanes) = (self.weight.outputs(), tile::columns::<S>(), S::F32_LANES);
        let (picture, top, left) = self.pictures.place(self.first + tile);
        let zero = simd.splat_f32s(0.0);
        for column in (self.column..(self.column + width).min(outputs)).step_by(lanes) {
            let count = lanes.min(outputs - column);
            let mut columns = [[zero; 4]; 6];
            for (j, values) in columns.iter_mut().enumerate() {
                let mut line = [zero; 6];
                for (i, value) in line.iter_mut().enumerate() {
                    let at = ((i * 6 + j) * TOGETHER + slot) * width + column - self.column;
                    *value = load(simd, &products[at..at + lanes]);
                }
                *values = leave(simd, line);
            }
            for i in 0..STEP.min(self.pictures.height - top) {
                let mut line = [zero; 6];
                for (value, column) in line.iter_mut().zip(&columns) {
                    *value = column[i];
                }
                let pixels = leave(simd, line);
                for (j, &value) in pixels.iter().enumerate().take(self.pictures.width - left) {
                    let pixel = (picture * self.pictures.height + top + i) * self.pictures.width + left + j;
                    let value = match self.bias.of(pixel, outputs) {
                        Some(bias) => simd.add_f32s(value, load(simd, &bias[column..column + count])),
                        None => value,
                    };
                    // SAFETY: a task writes its own columns of the pixels of its own tiles only, one part at a time.
                    #[expect(unsafe_code, reason = "tasks write different columns of the same pixels")]
                    let out = unsafe { self.out.part(pixel * outputs + column, count) };
                    store(simd, out, value);
                }
            }
        }
    }
}

/// Up to a register of numbers, 0 behind them.
#[inline(always)]
fn load<S: Simd>(simd: S, values: &[f32]) -> S::f32s {
    match S::as_simd_f32s(values) {
        ([whole], []) => *whole,
        _ => simd.partial_load_f32s(values),
    }
}

/// Stores as many numbers as there is room for.
#[inline(always)]
fn store<S: Simd>(simd: S, values: &mut [f32], numbers: S::f32s) {
    if let ([whole], []) = S::as_mut_simd_f32s(values) {
        *whole = numbers;
    } else {
        simd.partial_store_f32s(values, numbers);
    }
}

/// A line of six pixels, transformed (the matrix Bᵀ of the paper).
#[inline(always)]
fn enter<S: Simd>(simd: S, [d0, d1, d2, d3, d4, d5]: [S::f32s; 6]) -> [S::f32s; 6] {
    let (two, four) = (simd.splat_f32s(2.0), simd.splat_f32s(4.0));
    let (minus_four, minus_five) = (simd.splat_f32s(-4.0), simd.splat_f32s(-5.0));
    let even = simd.mul_add_e_f32s(minus_four, d2, d4);
    let odd = simd.mul_add_e_f32s(minus_four, d1, d3);
    let wide = simd.sub_f32s(d4, d2);
    let narrow = simd.mul_f32s(two, simd.sub_f32s(d3, d1));
    [
        simd.mul_add_e_f32s(four, d0, simd.mul_add_e_f32s(minus_five, d2, d4)),
        simd.add_f32s(even, odd),
        simd.sub_f32s(even, odd),
        simd.add_f32s(wide, narrow),
        simd.sub_f32s(wide, narrow),
        simd.mul_add_e_f32s(four, d1, simd.mul_add_e_f32s(minus_five, d3, d5)),
    ]
}

/// A line of three weights, transformed (G).
#[inline(always)]
fn transform_weights<S: Simd>(simd: S, [g0, g1, g2]: [S::f32s; 3]) -> [S::f32s; 6] {
    let sixth = simd.splat_f32s(-1.0 / 6.0);
    let ends = simd.mul_f32s(sixth, simd.add_f32s(g0, g2));
    let middle = simd.mul_f32s(sixth, g1);
    let wide = simd.mul_add_e_f32s(simd.splat_f32s(1.0 / 24.0), g0, simd.mul_f32s(simd.splat_f32s(1.0 / 6.0), g2));
    let narrow = simd.mul_f32s(simd.splat_f32s(1.0 / 12.0), g1);
    [
        simd.mul_f32s(simd.splat_f32s(0.25), g0),
        simd.add_f32s(ends, middle),
        simd.sub_f32s(ends, middle),
        simd.add_f32s(wide, narrow),
        simd.sub_f32s(wide, narrow),
        g2,
    ]
}

/// A line of six products, transformed back (Aᵀ).
#[inline(always)]
fn leave<S: Simd>(simd: S, [m0, m1, m2, m3, m4, m5]: [S::f32s; 6]) -> [S::f32s; 4] {
    let (near, near_odd) = (simd.add_f32s(m1, m2), simd.sub_f32s(m1, m2));
    let (far, far_odd) = (simd.add_f32s(m3, m4), simd.sub_f32s(m3, m4));
    [
        simd.add_f32s(simd.add_f32s(m0, near), far),
        simd.mul_add_e_f32s(simd.splat_f32s(2.0), far_odd, near_odd),
        simd.mul_add_e_f32s(simd.splat_f32s(4.0), far, near),
        simd.add_f32s(simd.mul_add_e_f32s(simd.splat_f32s(8.0), far_odd, near_odd), m5),
    ]
}
