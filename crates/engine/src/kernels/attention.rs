//! Scaled dot-product attention over several heads, one block of queries at a time.

use rayon::prelude::*;

use super::math::exp;
use super::matrix::{Destination, MatrixView, ProductShape, Workers, multiply};
use super::normalization::sum_in_lanes;

/// Queries whose scores are in memory at once, per thread.
const QUERIES: usize = 128;

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

/// `softmax(q k^T / sqrt(head size)) v`, without ever holding all scores.
///
/// # Shapes
/// - q: `[batch, queries, width]`; k, v: `[batch, keys, width]`; result: `[batch, queries, width]`
pub(crate) fn attention(q: &[f32], k: &[f32], v: &[f32], shape: AttentionShape) -> Vec<f32> {
    let AttentionShape { batch, queries, keys, width, heads, causal } = shape;
    let head = width / heads;
    let scale = 1.0 / (head as f32).sqrt();
    let mut out = vec![0.0; batch * queries * width];
    let blocks = queries.div_ceil(QUERIES);
    // one task per picture, block of queries and head; heads share rows, so each task returns its own columns
    let parts: Vec<Vec<f32>> = (0..batch * blocks * heads)
        .into_par_iter()
        .map(|task| {
            let (picture, block, h) = (task / (blocks * heads), task / heads % blocks, task % heads);
            let first = block * QUERIES;
            let rows = QUERIES.min(queries - first);
            let view = |data: &'_ [f32], offset: usize| offset * width + h * head..data.len();
            let q = &q[view(q, picture * queries + first)];
            let k = &k[view(k, picture * keys)];
            let v = &v[view(v, picture * keys)];
            let mut scores = vec![0.0; rows * keys];
            multiply(
                ProductShape { rows, columns: keys, depth: head },
                scale,
                MatrixView { data: q, row_stride: width, column_stride: 1 },
                MatrixView { data: k, row_stride: 1, column_stride: width },
                &mut scores,
                keys,
                Destination::Overwrite,
                Workers::One,
            );
            let sums = exponentials(&mut scores, keys, causal.then_some(first));
            let mut part = vec![0.0; rows * head];
            multiply(
                ProductShape { rows, columns: head, depth: keys },
                1.0,
                MatrixView { data: &scores, row_stride: keys, column_stride: 1 },
                MatrixView { data: v, row_stride: width, column_stride: 1 },
                &mut part,
                head,
                Destination::Overwrite,
                Workers::One,
            );
            for (row, sum) in part.chunks_exact_mut(head).zip(sums) {
                row.iter_mut().for_each(|value| *value /= sum);
            }
            part
        })
        .collect();
    for (task, part) in parts.iter().enumerate() {
        let (picture, block, h) = (task / (blocks * heads), task / heads % blocks, task % heads);
        for (i, row) in part.chunks_exact(head).enumerate() {
            let start = (picture * queries + block * QUERIES + i) * width + h * head;
            out[start..start + head].copy_from_slice(row);
        }
    }
    out
}

/// Turns each row of scores into `exp(score - largest)` and returns the sums of the rows. With `first_query`, row `i`
/// keeps its first `first_query + i + 1` entries and the others become 0.
fn exponentials(scores: &mut [f32], keys: usize, first_query: Option<usize>) -> Vec<f32> {
    let mut sums = Vec::with_capacity(scores.len() / keys.max(1));
    pulp::Arch::new().dispatch(|| {
        for (i, row) in scores.chunks_exact_mut(keys).enumerate() {
            let seen = first_query.map_or(keys, |first| (first + i + 1).min(keys));
            let (seen, hidden) = row.split_at_mut(seen);
            hidden.fill(0.0);
            let mut largest = [f32::NEG_INFINITY; 16];
            let mut rows = seen.chunks_exact(16);
            for row in &mut rows {
                for (largest, &value) in largest.iter_mut().zip(row) {
                    *largest = if value > *largest { value } else { *largest };
                }
            }
            let rest = rows.remainder().iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let largest = largest.iter().copied().fold(rest, f32::max);
            for value in seen.iter_mut() {
                *value = exp(*value - largest);
            }
            sums.push(sum_in_lanes(
                seen,
                #[inline(always)]
                |value| value,
            ));
        }
    });
    sums
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

    #[test]
    fn blocks_of_queries_equal_the_definition() {
        for causal in [false, true] {
            let shape = AttentionShape { batch: 2, queries: 150, keys: 150, width: 24, heads: 3, causal };
            let count = 2 * 150 * 24;
            let (q, k, v) = (numbers(count, 0.0), numbers(count, 1.0), numbers(count, 2.0));
            let found = attention(&q, &k, &v, shape);
            for (found, expected) in found.iter().zip(naive(&q, &k, &v, shape)) {
                assert!((f64::from(*found) - expected).abs() < 1e-6, "{found} is not {expected}");
            }
        }
    }
}
