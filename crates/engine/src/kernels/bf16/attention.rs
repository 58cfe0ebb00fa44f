//! Attention with both products in bf16, by AVX512-BF16; the softmax between them is f32.

use std::arch::x86_64::{
    __m512, __m512bh, __m512i, _mm512_add_ps, _mm512_cvtne2ps_pbh, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_max_ps,
    _mm512_reduce_add_ps, _mm512_reduce_max_ps, _mm512_roundscale_ps, _mm512_scalef_ps, _mm512_set1_ps,
    _mm512_setzero_ps, _mm512_storeu_si512, _mm512_sub_ps,
};

use super::super::attention::{AttentionShape, Block};
use super::super::scratch::Scratch;
use super::COLUMNS;
use super::pack::interleave;
use super::tile::{self, ROWS};

/// Queries whose scores are in memory at once, per thread.
pub(in super::super) const QUERIES: usize = 4 * ROWS;

/// Elements of a head's keys and values as panels.
pub(in super::super) fn panel_sizes(keys: usize, head: usize) -> (usize, usize) {
    let (key_panels, value_panels) = (keys.div_ceil(COLUMNS), head.div_ceil(COLUMNS));
    (key_panels * head.div_ceil(2) * COLUMNS, value_panels * keys.next_multiple_of(COLUMNS) / 2 * COLUMNS)
}

/// # Shapes
/// - k: `[keys, width]`; panels: `[panels, pairs of the head, 64]`, a column is a key, 0 beyond the last one
#[target_feature(enable = "avx512f,avx512bf16")]
pub(in super::super) fn pack_keys(
    k: &[f32],
    panels: &mut [f32],
    (keys, width): (usize, usize),
    head: std::ops::Range<usize>,
) {
    let pairs = head.len().div_ceil(2);
    let panels: &mut [u32] = bytemuck::cast_slice_mut(panels);
    let mut row = vec![0; pairs];
    for (number, panel) in panels.chunks_exact_mut(pairs * COLUMNS).enumerate() {
        let first = number * COLUMNS;
        if first + COLUMNS > keys {
            panel.fill(0);
        }
        for key in first..(first + COLUMNS).min(keys) {
            tile::round(&k[key * width..][head.clone()], &mut row);
            for (line, &pair) in panel.chunks_exact_mut(COLUMNS).zip(&row) {
                line[key - first] = pair;
            }
        }
    }
}

/// # Shapes
/// - v: `[keys, width]`; panels: `[panels, pairs of keys, 64]`, keys filled up to a multiple of 64; 0 beyond the head
///   and beyond the last key
#[target_feature(enable = "avx512f,avx512bf16")]
pub(in super::super) fn pack_values(
    v: &[f32],
    panels: &mut [f32],
    (keys, width): (usize, usize),
    head: std::ops::Range<usize>,
) {
    let pairs = keys.next_multiple_of(COLUMNS) / 2;
    let panels: &mut [u32] = bytemuck::cast_slice_mut(panels);
    for (number, panel) in panels.chunks_exact_mut(pairs * COLUMNS).enumerate() {
        let first = head.start + number * COLUMNS;
        let count = COLUMNS.min(head.end - first);
        let (mut low, mut high) = ([0.0; COLUMNS], [0.0; COLUMNS]);
        for (line, rows) in panel.chunks_exact_mut(COLUMNS).zip(v.chunks(2 * width)) {
            low[..count].copy_from_slice(&rows[first..first + count]);
            match rows.get(width..) {
                Some(second) if !second.is_empty() => high[..count].copy_from_slice(&second[first..first + count]),
                _ => high.fill(0.0),
            }
            interleave(&low, &high, line);
        }
        panel[keys.div_ceil(2) * COLUMNS..].fill(0);
    }
}

impl Block<'_> {
    /// A few queries of one head.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(in super::super) fn run_bf16(&self) {
        let AttentionShape { queries, keys, width, heads, causal, .. } = self.shape;
        let head = width / heads;
        let pairs = head.div_ceil(2);
        let count = QUERIES.min(queries - self.first);
        let (key_panels, value_panels): (&[u32], &[u32]) =
            (bytemuck::cast_slice(self.keys), bytemuck::cast_slice(self.values));
        // powers of two are taken instead of powers of e
        let scale = std::f32::consts::LOG2_E / (head as f32).sqrt();
        // rows of scores are filled up to whole panels
        let stride = keys.next_multiple_of(COLUMNS);
        let mut scores = Scratch::take(QUERIES * stride);
        let mut scaled = Scratch::take(head);
        let mut rows = Scratch::take(QUERIES * pairs.max(stride / 2));
        let rows: &mut [u32] = bytemuck::cast_slice_mut(&mut rows);
        for (i, row) in rows.chunks_exact_mut(pairs).take(count).enumerate() {
            let query = &self.q[(self.first + i) * width + self.column..][..head];
            for (scaled, &value) in scaled.iter_mut().zip(query) {
                *scaled = value * scale;
            }
            tile::round(&scaled[..head], row);
        }
        for (number, panel) in key_panels.chunks_exact(pairs * COLUMNS).enumerate() {
            let seen = COLUMNS.min(keys - number * COLUMNS);
            for start in (0..count).step_by(ROWS) {
                let rows = &rows[start * pairs..][..ROWS.min(count - start) * pairs];
                let scores = &mut scores[start * stride + number * COLUMNS..];
                tile::multiply(rows, pairs, panel, seen, (scores, stride));
            }
        }
        let mut totals = [0.0; QUERIES];
        for (i, (scores, total)) in scores.chunks_exact_mut(stride).zip(&mut totals).take(count).enumerate() {
            let seen = if causal { (self.first + i + 1).min(keys) } else { keys };
            scores[seen..].fill(f32::NEG_INFINITY);
            *total = exponentials(scores, &mut rows[i * stride / 2..][..stride / 2]);
        }
        let mut sums = [0.0; ROWS * COLUMNS];
        for (number, panel) in value_panels.chunks_exact(stride / 2 * COLUMNS).enumerate() {
            let wanted = COLUMNS.min(head - number * COLUMNS);
            for start in (0..count).step_by(ROWS) {
                let together = ROWS.min(count - start);
                let rows = &rows[start * stride / 2..][..together * stride / 2];
                tile::multiply(rows, stride / 2, panel, wanted, (&mut sums, COLUMNS));
                for (i, sums) in sums.chunks_exact(COLUMNS).take(together).enumerate() {
                    self.leave(start + i, number * COLUMNS, &sums[..wanted], totals[start + i]);
                }
            }
        }
    }
}

/// Turns a row of scores into `2^(score - largest)`, rounded to bf16, and returns their sum before rounding.
///
/// The powers are Taylor's polynomial of degree 5 between -1/2 and 1/2: a relative error of 3e-6, a thousandth of what
/// rounding makes.
///
/// # Shapes
/// - scores: `[columns]`, a multiple of 64; pairs: half as many
#[target_feature(enable = "avx512f,avx512bf16")]
fn exponentials(scores: &[f32], pairs: &mut [u32]) -> f32 {
    assert!(scores.len() == 2 * pairs.len() && scores.len().is_multiple_of(COLUMNS), "scores of another length");
    let mut most = [_mm512_set1_ps(f32::NEG_INFINITY); 4];
    for scores in scores.chunks_exact(COLUMNS) {
        for (most, scores) in most.iter_mut().zip(scores.chunks_exact(16)) {
            *most = _mm512_max_ps(*most, load(scores));
        }
    }
    let [a, b, c, d] = most;
    let most = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_max_ps(a, b), _mm512_max_ps(c, d)));
    let most = _mm512_set1_ps(most);
    let mut totals = [_mm512_setzero_ps(); 2];
    for (scores, pairs) in scores.chunks_exact(32).zip(pairs.chunks_exact_mut(16)) {
        let mut powers = [_mm512_setzero_ps(); 2];
        for (power, scores) in powers.iter_mut().zip(scores.chunks_exact(16)) {
            *power = power_of_two(_mm512_sub_ps(load(scores), most));
        }
        for (total, power) in totals.iter_mut().zip(powers) {
            *total = _mm512_add_ps(*total, power);
        }
        let [low, high] = powers;
        // SAFETY: the chunk has the 16 elements that are stored; both types are 64 bytes of plain numbers.
        #[expect(unsafe_code, reason = "a store to memory, and a change of type")]
        unsafe {
            _mm512_storeu_si512(
                pairs.as_mut_ptr().cast(),
                std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low)),
            );
        }
    }
    _mm512_reduce_add_ps(_mm512_add_ps(totals[0], totals[1]))
}

/// `2^x` for x of at most 0; 0 for minus infinity.
#[target_feature(enable = "avx512f")]
fn power_of_two(x: __m512) -> __m512 {
    // below -150 every power is 0 in f32, and minus infinity would leave no remainder
    let x = _mm512_max_ps(x, _mm512_set1_ps(-150.0));
    let whole = _mm512_roundscale_ps::<0>(x);
    let rest = _mm512_sub_ps(x, whole);
    // (ln 2)^n / n!
    let mut power = _mm512_set1_ps(1.333_355_8e-3);
    for coefficient in [9.618_129e-3, 5.550_411e-2, 2.402_265e-1, 6.931_472e-1, 1.0] {
        power = _mm512_fmadd_ps(power, rest, _mm512_set1_ps(coefficient));
    }
    _mm512_scalef_ps(power, whole)
}

/// 16 numbers.
///
/// # Panics
/// When there are fewer.
#[target_feature(enable = "avx512f")]
fn load(values: &[f32]) -> __m512 {
    let values = &values[..16];
    // SAFETY: the slice has the 16 elements that are loaded.
    #[expect(unsafe_code, reason = "a load from memory")]
    unsafe {
        _mm512_loadu_ps(values.as_ptr())
    }
}
