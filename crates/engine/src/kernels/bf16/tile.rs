//! The inner loop in bf16: a few rows times a panel of columns, with the sums in registers.

use std::arch::x86_64::{
    __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_ps,
    _mm512_storeu_ps,
};

use super::COLUMNS;

/// Rows of a tile: with four columns of registers they leave room for the panel and a factor.
pub(in super::super) const ROWS: usize = 6;
/// Columns of a register.
const LANES: usize = 16;

/// `sums = rows x panel` for the first `columns` columns, and some more up to a whole register; each sum is one chain
/// over the pairs.
///
/// # Shapes
/// - rows: `[count, pairs]`, two bf16 numbers in each element
/// - panel: `[pairs, 64]`, an input's number in the lower half of an element and its neighbour's in the upper
/// - sums: `count` rows of up to 64, one every `stride`
///
/// # Panics
/// When there are fewer elements.
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) fn multiply(rows: &[u32], pairs: usize, panel: &[u32], columns: usize, (sums, stride): (&mut [f32], usize)) {
    match columns.div_ceil(LANES) {
        0 => {}
        1 => of_vectors::<1>(rows, pairs, panel, sums, stride),
        2 => of_vectors::<2>(rows, pairs, panel, sums, stride),
        3 => of_vectors::<3>(rows, pairs, panel, sums, stride),
        _ => of_vectors::<4>(rows, pairs, panel, sums, stride),
    }
}

#[target_feature(enable = "avx512f,avx512bf16")]
fn of_vectors<const VECTORS: usize>(rows: &[u32], pairs: usize, panel: &[u32], sums: &mut [f32], stride: usize) {
    let (mut rows, mut start) = (rows, 0);
    while rows.len() >= pairs && pairs > 0 {
        let sums = &mut sums[start..];
        let count = match rows.len() / pairs {
            6.. => fixed::<6, VECTORS>(rows, pairs, panel, sums, stride),
            4.. => fixed::<4, VECTORS>(rows, pairs, panel, sums, stride),
            2.. => fixed::<2, VECTORS>(rows, pairs, panel, sums, stride),
            _ => fixed::<1, VECTORS>(rows, pairs, panel, sums, stride),
        };
        rows = &rows[count * pairs..];
        start += count * stride;
    }
}

/// Returns `COUNT`.
#[target_feature(enable = "avx512f,avx512bf16")]
fn fixed<const COUNT: usize, const VECTORS: usize>(
    rows: &[u32],
    pairs: usize,
    panel: &[u32],
    sums: &mut [f32],
    stride: usize,
) -> usize {
    const { assert!(VECTORS * LANES <= COLUMNS) };
    assert!(rows.len() >= COUNT * pairs && panel.len() >= pairs * COLUMNS, "fewer factors than a tile takes");
    let mut totals = [[_mm512_setzero_ps(); VECTORS]; COUNT];
    for k in 0..pairs {
        let mut weights = [pair(_mm512_set1_epi32(0)); VECTORS];
        for (v, weights) in weights.iter_mut().enumerate() {
            // SAFETY: k < pairs and v * 16 + 16 <= 64, so the 16 elements lie within the `pairs * 64` of the panel.
            #[expect(unsafe_code, reason = "a load without a check in the hottest loop")]
            let loaded = unsafe { _mm512_loadu_si512(panel.as_ptr().add(k * COLUMNS + v * LANES).cast()) };
            *weights = pair(loaded);
        }
        for (r, totals) in totals.iter_mut().enumerate() {
            // SAFETY: r < COUNT and k < pairs, and there are `COUNT * pairs` elements.
            #[expect(unsafe_code, reason = "a load without a check in the hottest loop")]
            let factor = unsafe { *rows.get_unchecked(r * pairs + k) };
            let factor = pair(_mm512_set1_epi32(factor.cast_signed()));
            for (total, weights) in totals.iter_mut().zip(weights) {
                *total = _mm512_dpbf16_ps(*total, factor, weights);
            }
        }
    }
    for (r, totals) in totals.iter().enumerate() {
        let sums = &mut sums[r * stride..][..VECTORS * LANES];
        for (total, sums) in totals.iter().zip(sums.chunks_exact_mut(LANES)) {
            // SAFETY: the chunk has the 16 elements that are stored.
            #[expect(unsafe_code, reason = "a store to memory")]
            unsafe {
                _mm512_storeu_ps(sums.as_mut_ptr(), *total);
            }
        }
    }
    COUNT
}

/// The same bits as 32 bf16 numbers.
#[inline(always)]
pub(super) fn pair(bits: __m512i) -> __m512bh {
    // SAFETY: both types are 64 bytes of plain numbers.
    #[expect(unsafe_code, reason = "there is no cast between the two")]
    unsafe {
        std::mem::transmute(bits)
    }
}

/// Rounds rows to bf16: `[length]` numbers become `[pairs]`, the second half of the last pair 0 where the length is odd.
///
/// # Panics
/// When the result has another length.
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) fn round(values: &[f32], pairs: &mut [u32]) {
    assert_eq!(pairs.len(), values.len().div_ceil(2), "a row of another length");
    let (whole, rest) = values.as_chunks::<32>();
    let (whole_pairs, rest_pairs) = pairs.split_at_mut(whole.len() * LANES);
    for (values, pairs) in whole.iter().zip(whole_pairs.chunks_exact_mut(LANES)) {
        pairs.copy_from_slice(&rounded(values));
    }
    if !rest.is_empty() {
        let mut last = [0.0; 32];
        last[..rest.len()].copy_from_slice(rest);
        rest_pairs.copy_from_slice(&rounded(&last)[..rest_pairs.len()]);
    }
}

/// 32 numbers as 16 pairs.
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) fn rounded(values: &[f32; 32]) -> [u32; 16] {
    // SAFETY: both halves of the array have the 16 elements that are loaded; 64 bytes of plain numbers are an array of
    // 16 plain numbers.
    #[expect(unsafe_code, reason = "loads from memory, and a change of type")]
    unsafe {
        let low = _mm512_loadu_ps(values.as_ptr());
        let high = _mm512_loadu_ps(values.as_ptr().add(LANES));
        std::mem::transmute(std::arch::x86_64::_mm512_cvtne2ps_pbh(high, low))
    }
}
