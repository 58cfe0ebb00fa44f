//! Scaled dot-product attention over several heads, one block of queries at a time.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::bf16;
use super::math::exp;
use super::normalization::sum_in_lanes;
use super::precision::Precision;
use super::product::Width;
use super::scratch::Scratch;
use super::shared::Shared;
use super::{dispatch, has_bf16, tile};

/// Queries whose scores are in memory at once, per thread.
const QUERIES: usize = 2 * tile::MOST_ROWS;

/// The sizes of one attention call.
#[derive(Clone, Copy)]
pub(crate) struct AttentionShape {
    pub(crate) batch: usize,
    pub(crate) queries: usize,
    pub(crate) keys: usize,
    /// Width of a row: heads times the size of a head.
    pub(crate) width: usize,
    pub(crate) heads: usize,
    /// A query sees keys up to its own position only (CLIP's text encoder).
    pub(crate) causal: bool,
}

/// `softmax(q k^T / sqrt(head size)) v`, without ever holding more scores than those of a few queries per thread.
///
/// # Shapes
/// - q: `[batch, queries, width]`; k, v: `[batch, keys, width]`; result: `[batch, queries, width]`
pub(crate) fn attention(q: &[f32], k: &[f32], v: &[f32], shape: AttentionShape) -> Vec<f32> {
    let AttentionShape { batch, queries, keys, width, heads, .. } = shape;
    let head = width / heads;
    let mut out = vec![0.0; batch * queries * width];
    let shared = Shared::new(&mut out);
    let rounded = Precision::current() == Precision::Bf16 && bf16::pays(queries, head, keys);
    let method = match rounded {
        false => Method::Exact,
        true if has_bf16() => Method::Paired,
        true => Method::Rounded,
    };
    let together = method.queries();
    let blocks = queries.div_ceil(together);
    // a picture's keys and values as panels: head sizes and keys are filled up to whole panels
    let (key_size, value_size) = method.panel_sizes(keys, head);
    let mut panels = Scratch::take(heads * (key_size + value_size));
    for picture in 0..batch {
        let (k, v) = (&k[picture * keys * width..][..keys * width], &v[picture * keys * width..][..keys * width]);
        let panels = &mut panels[..heads * (key_size + value_size)];
        panels.par_chunks_exact_mut(key_size + value_size).enumerate().for_each(|(h, panels)| {
            let (key_panels, value_panels) = panels.split_at_mut(key_size);
            method.pack((k, key_panels), (v, value_panels), (keys, width), h * head..(h + 1) * head);
        });
        let panels = &*panels;
        (0..heads * blocks).into_par_iter().for_each(|task| {
            let (h, first) = (task / blocks, task % blocks * together);
            let (key_panels, value_panels) =
                panels[h * (key_size + value_size)..][..key_size + value_size].split_at(key_size);
            method.run(&Block {
                q: &q[picture * queries * width..][..queries * width],
                keys: key_panels,
                values: value_panels,
                shape,
                rounded,
                first,
                column: h * head,
                row: picture * queries,
                out: &shared,
            });
        });
    }
    out
}

/// How the two products are taken.
#[derive(Clone, Copy)]
enum Method {
    /// In f32.
    Exact,
    /// In f32, of numbers rounded to bf16.
    Rounded,
    /// In bf16, by the processor's own instruction.
    Paired,
}

impl Method {
    fn queries(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Paired => bf16::attention::QUERIES,
            _ => QUERIES,
        }
    }

    /// Elements of a head's keys and values as panels.
    fn panel_sizes(self, keys: usize, head: usize) -> (usize, usize) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Paired => bf16::attention::panel_sizes(keys, head),
            _ => {
                let columns = dispatch(&Width);
                (keys.div_ceil(columns) * head * columns, head.div_ceil(columns) * keys * columns)
            }
        }
    }

    fn pack(
        self,
        (k, key_panels): (&[f32], &mut [f32]),
        (v, value_panels): (&[f32], &mut [f32]),
        size: (usize, usize),
        head: std::ops::Range<usize>,
    ) {
        #[cfg(target_arch = "x86_64")]
        if let Self::Paired = self {
            // SAFETY: `has_bf16` found the instructions that these were compiled for.
            #[expect(unsafe_code, reason = "compiled for instructions that not every processor has")]
            unsafe {
                bf16::attention::pack_keys(k, key_panels, size, head.clone());
                bf16::attention::pack_values(v, value_panels, size, head);
            }
            return;
        }
        let columns = dispatch(&Width);
        pack_keys(k, key_panels, size, head.clone(), columns);
        pack_values(v, value_panels, size, head, columns);
        if let Self::Rounded = self {
            bf16::round_all(key_panels);
            bf16::round_all(value_panels);
        }
    }

    fn run(self, block: &Block<'_>) {
        #[cfg(target_arch = "x86_64")]
        if let Self::Paired = self {
            // SAFETY: `has_bf16` found the instructions that this was compiled for.
            #[expect(unsafe_code, reason = "compiled for instructions that not every processor has")]
            return unsafe { block.run_bf16() };
        }
        dispatch(block);
    }
}

/// # Shapes
/// - k: `[keys, width]`; panels: `[panels, head, columns]`, a column is a key, 0 beyond the last one
fn pack_keys(
    k: &[f32],
    panels: &mut [f32],
    (keys, width): (usize, usize),
    head: std::ops::Range<usize>,
    columns: usize,
) {
    for (number, panel) in panels.chunks_exact_mut(head.len() * columns).enumerate() {
        let first = number * columns;
        if first + columns > keys {
            panel.fill(0.0);
        }
        for key in first..(first + columns).min(keys) {
            let values = &k[key * width..][head.clone()];
            for (line, &value) in panel.chunks_exact_mut(columns).zip(values) {
                line[key - first] = value;
            }
        }
    }
}

/// # Shapes
/// - v: `[keys, width]`; panels: `[panels, keys, columns]`, 0 beyond the head
fn pack_values(
    v: &[f32],
    panels: &mut [f32],
    (keys, width): (usize, usize),
    head: std::ops::Range<usize>,
    columns: usize,
) {
    for (number, panel) in panels.chunks_exact_mut(keys * columns).enumerate() {
        let first = head.start + number * columns;
        let count = columns.min(head.end - first);
        for (line, row) in panel.chunks_exact_mut(columns).zip(v.chunks_exact(width)) {
            line[..count].copy_from_slice(&row[first..first + count]);
            line[count..].fill(0.0);
        }
    }
}

/// A few queries of one head.
pub(super) struct Block<'a> {
    pub(super) q: &'a [f32],
    pub(super) keys: &'a [f32],
    pub(super) values: &'a [f32],
    pub(super) shape: AttentionShape,
    /// Queries, keys, values and the softmax are rounded to bf16.
    rounded: bool,
    /// The first query.
    pub(super) first: usize,
    /// Where the head begins in a row.
    pub(super) column: usize,
    /// The row of the picture's first query in the result.
    row: usize,
    out: &'a Shared<'a>,
}

impl Block<'_> {
    /// Writes some columns of a query's result, `sums / total`.
    #[inline(always)]
    pub(super) fn leave(&self, query: usize, column: usize, sums: &[f32], total: f32) {
        let row = self.row + self.first + query;
        // SAFETY: a task writes its own head's columns of its own queries only, one part at a time.
        #[expect(unsafe_code, reason = "heads are columns of the same rows")]
        let out = unsafe { self.out.part(row * self.shape.width + self.column + column, sums.len()) };
        for (out, &value) in out.iter_mut().zip(sums) {
            *out = value / total;
        }
    }
}

impl WithSimd for &Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let AttentionShape { queries, keys, width, heads, causal, .. } = self.shape;
        let (head, columns, height) = (width / heads, tile::columns::<S>(), tile::rows::<S>());
        let count = QUERIES.min(queries - self.first);
        let scale = 1.0 / (head as f32).sqrt();
        let mut scores = Scratch::take(QUERIES * keys);
        let mut scaled = Scratch::take(QUERIES * head);
        for (i, scaled) in scaled.chunks_exact_mut(head).take(count).enumerate() {
            let query = &self.q[(self.first + i) * width + self.column..][..head];
            for (scaled, &value) in scaled.iter_mut().zip(query) {
                *scaled = value * scale;
            }
        }
        if self.rounded {
            bf16::round_all(&mut scaled[..count * head]);
        }
        let mut tile: tile::Sums = [0.0; _];
        for (number, panel) in self.keys.chunks_exact(head * columns).enumerate() {
            let seen = columns.min(keys - number * columns);
            for start in (0..count).step_by(height) {
                let mut rows: [&[f32]; tile::MOST_ROWS] = [&[]; _];
                let rows = &mut rows[..height.min(count - start)];
                for (row, scaled) in rows.iter_mut().zip(scaled[start * head..].chunks_exact(head)) {
                    *row = scaled;
                }
                tile::multiply(simd, rows, panel, &mut tile, false);
                for (i, sums) in tile.chunks_exact(columns).take(rows.len()).enumerate() {
                    scores[(start + i) * keys + number * columns..][..seen].copy_from_slice(&sums[..seen]);
                }
            }
        }
        let mut sums = [0.0; QUERIES];
        for (i, (row, sum)) in scores.chunks_exact_mut(keys).zip(&mut sums).take(count).enumerate() {
            let seen = if causal { (self.first + i + 1).min(keys) } else { keys };
            *sum = exponentials(row, seen);
            if self.rounded {
                bf16::round_all(row);
            }
        }
        for (number, panel) in self.values.chunks_exact(keys * columns).enumerate() {
            let wanted = columns.min(head - number * columns);
            for start in (0..count).step_by(height) {
                let mut rows: [&[f32]; tile::MOST_ROWS] = [&[]; _];
                let rows = &mut rows[..height.min(count - start)];
                for (row, scores) in rows.iter_mut().zip(scores[start * keys..].chunks_exact(keys)) {
                    *row = scores;
                }
                tile::multiply(simd, rows, panel, &mut tile, false);
                for (i, values) in tile.chunks_exact(columns).take(rows.len()).enumerate() {
                    self.leave(start + i, number * columns, &values[..wanted], sums[start + i]);
                }
            }
        }
    }
}

/// Turns the first `seen` scores of a row into `exp(score - largest)`, the others into 0, and returns their sum.
#[inline(always)]
fn exponentials(row: &mut [f32], seen: usize) -> f32 {
    let (seen, hidden) = row.split_at_mut(seen);
    hidden.fill(0.0);
    let mut largest = [f32::NEG_INFINITY; 16];
    let mut rows = seen.chunks_exact(16);
    for row in &mut rows {
        for (largest, &value) in largest.iter_mut().zip(row) {
            *largest = if value > *largest { value } else { *largest };
        }
    }
    let mut most = f32::NEG_INFINITY;
    for &value in rows.remainder().iter().chain(&largest) {
        most = if value > most { value } else { most };
    }
    let (whole, rest) = seen.as_chunks_mut::<16>();
    for value in whole.as_flattened_mut() {
        *value = exp(*value - most);
    }
    // the last ones like the others, not one by one
    let mut last = [f32::NEG_INFINITY; 16];
    last[..rest.len()].copy_from_slice(rest);
    for value in &mut last {
        *value = exp(*value - most);
    }
    rest.copy_from_slice(&last[..rest.len()]);
    sum_in_lanes(
        seen,
        #[inline(always)]
        |value| value,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: f32) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * 0.73 + seed).sin()).collect()
    }

    fn naive(q: &[f32], k: &[f32], v: &[f32], s: AttentionShape) -> Vec<f64> {
        let head = s.width / s.heads;
        let mut out = vec![0.0; s.batch * s.queries * s.width];
        for b in 0..s.batch {
            for h in 0..s.heads {
                for i in 0..s.queries {
                    let at = |data: &[f32], row: usize, d: usize| f64::from(data[row * s.width + h * head + d]);
                    let seen = if s.causal { i + 1 } else { s.keys };
                    let scores: Vec<f64> = (0..seen)
                        .map(|j| {
                            let dot: f64 =
                                (0..head).map(|d| at(q, b * s.queries + i, d) * at(k, b * s.keys + j, d)).sum();
                            (dot / (head as f64).sqrt()).exp()
                        })
                        .collect();
                    let sum: f64 = scores.iter().sum();
                    for d in 0..head {
                        out[(b * s.queries + i) * s.width + h * head + d] =
                            (0..seen).map(|j| scores[j] / sum * at(v, b * s.keys + j, d)).sum();
                    }
                }
            }
        }
        out
    }

    fn compare(shape: AttentionShape, precision: Precision, bound: f64) {
        let (queries, keys) = (shape.batch * shape.queries * shape.width, shape.batch * shape.keys * shape.width);
        let (q, k, v) = (numbers(queries, 0.0), numbers(keys, 1.0), numbers(keys, 2.0));
        let found = precision.during(|| attention(&q, &k, &v, shape));
        for (found, expected) in found.iter().zip(naive(&q, &k, &v, shape)) {
            assert!((f64::from(*found) - expected).abs() < bound, "{precision}: {found} is not {expected}");
        }
    }

    #[test]
    fn blocks_of_queries_equal_the_definition() {
        for causal in [false, true] {
            let shape = AttentionShape { batch: 2, queries: 150, keys: 150, width: 24, heads: 3, causal };
            compare(shape, Precision::F32, 1e-6);
        }
        for (queries, keys, width, heads) in [(49, 77, 80, 2), (25, 131, 99, 3), (64, 64, 64, 1), (24, 25, 75, 1)] {
            let shape = AttentionShape { batch: 2, queries, keys, width, heads, causal: false };
            compare(shape, Precision::F32, 1e-6);
            // 8 significant bits of queries, keys, values and weights
            compare(shape, Precision::Bf16, 8e-3);
            compare(AttentionShape { causal: true, queries: keys.min(queries), ..shape }, Precision::Bf16, 8e-3);
        }
    }

    #[test]
    fn scores_far_apart_are_no_trouble() {
        let shape = AttentionShape { batch: 1, queries: 30, keys: 90, width: 32, heads: 1, causal: false };
        let key = |at: usize| if at / 32 == 17 { 100.0 } else { -100.0 };
        let (q, k) = (vec![30.0; 30 * 32], (0..90 * 32).map(key).collect::<Vec<f32>>());
        let v = numbers(90 * 32, 2.0);
        for precision in [Precision::F32, Precision::Bf16] {
            let found = precision.during(|| attention(&q, &k, &v, shape));
            for (found, expected) in found.iter().zip(v[17 * 32..][..32].iter().cycle()) {
                assert!((found - expected).abs() < 4e-3, "{precision}: {found} is not {expected}");
            }
        }
    }
}
