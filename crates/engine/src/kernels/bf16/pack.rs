//! Weights as panels of pairs.

use std::arch::x86_64::{
    __m512bh, __m512i, _mm256_loadu_si256, _mm512_cvtne2ps_pbh, _mm512_cvtph_ps, _mm512_loadu_ps, _mm512_loadu_si512,
    _mm512_setzero_si512, _mm512_shuffle_i32x4, _mm512_storeu_si512, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64,
    _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};

use super::super::scratch::Scratch;
use super::super::weight::{Elements, Weight};
use super::{COLUMNS, tile};

/// Numbers of a block: 16 pairs.
const BLOCK: usize = 32;

/// A panel of weights for the outputs from `column` on.
///
/// # Shapes
/// - panel: `[taps, pairs of inputs, 64]`, 0 beyond the last output
#[target_feature(enable = "avx512f,avx512bf16")]
pub(in super::super) fn pack(weight: &Weight<'_>, column: usize, panel: &mut [u32]) {
    if weight.rows_are_inputs() {
        pack_rows(weight, column, panel);
    } else {
        pack_widened(weight, column, panel);
    }
}

/// Turns blocks of 16 outputs by 16 pairs, in registers, where an output's weights lie side by side.
#[target_feature(enable = "avx512f,avx512bf16")]
fn pack_rows(weight: &Weight<'_>, column: usize, panel: &mut [u32]) {
    let inputs = weight.inputs();
    for first in (0..inputs).step_by(BLOCK) {
        let pairs = BLOCK.min(inputs - first).div_ceil(2);
        let lines = &mut panel[first / 2 * COLUMNS..][..pairs * COLUMNS];
        for part in 0..COLUMNS / 16 {
            let mut rows = [_mm512_setzero_si512(); 16];
            for (i, row) in rows.iter_mut().enumerate() {
                let output = column + part * 16 + i;
                if output < weight.outputs() {
                    *row = load(weight.elements(), output * inputs + first, BLOCK.min(inputs - first));
                }
            }
            let turned = turn(rows);
            for (line, turned) in lines.chunks_exact_mut(COLUMNS).zip(turned) {
                let line = &mut line[part * 16..][..16];
                // SAFETY: the slice has the 16 elements that are stored.
                #[expect(unsafe_code, reason = "a store to memory")]
                unsafe {
                    _mm512_storeu_si512(line.as_mut_ptr().cast(), turned);
                }
            }
        }
    }
}

/// Up to 32 numbers from `start` on, rounded to bf16, 0 behind them.
#[target_feature(enable = "avx512f,avx512bf16")]
fn load(elements: Elements<'_>, start: usize, count: usize) -> __m512i {
    if count < BLOCK {
        let mut values = [0.0; BLOCK];
        elements.widen(start, &mut values[..count]);
        return bits(tile::rounded(&values));
    }
    // SAFETY: each slice is cut to the 32 elements that are loaded; all of these types are 64 bytes of plain numbers.
    #[expect(unsafe_code, reason = "loads from memory, and a change of type")]
    unsafe {
        match elements {
            Elements::Bf16(all) => _mm512_loadu_si512(all[start..start + BLOCK].as_ptr().cast()),
            Elements::F16(all) => {
                let all = all[start..start + BLOCK].as_ptr();
                let low = _mm512_cvtph_ps(_mm256_loadu_si256(all.cast()));
                let high = _mm512_cvtph_ps(_mm256_loadu_si256(all.add(16).cast()));
                std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low))
            }
            Elements::F32(all) => {
                let all = all[start..start + BLOCK].as_ptr();
                let (low, high) = (_mm512_loadu_ps(all), _mm512_loadu_ps(all.add(16)));
                std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low))
            }
        }
    }
}

/// The same bits in a register.
#[target_feature(enable = "avx512f")]
fn bits(pairs: [u32; 16]) -> __m512i {
    // SAFETY: the array has the 16 elements that are loaded.
    #[expect(unsafe_code, reason = "a load from memory")]
    unsafe {
        _mm512_loadu_si512(pairs.as_ptr().cast())
    }
}

/// Turns 16 rows of 16 elements into 16 columns.
#[target_feature(enable = "avx512f")]
fn turn(rows: [__m512i; 16]) -> [__m512i; 16] {
    let mut pairs = rows;
    for i in 0..8 {
        pairs[2 * i] = _mm512_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
        pairs[2 * i + 1] = _mm512_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
    }
    // in each quarter of a register: four rows of one column
    let mut fours = pairs;
    for i in 0..4 {
        for half in 0..2 {
            let (upper, lower) = (pairs[4 * i + half], pairs[4 * i + 2 + half]);
            fours[4 * i + 2 * half] = _mm512_unpacklo_epi64(upper, lower);
            fours[4 * i + 2 * half + 1] = _mm512_unpackhi_epi64(upper, lower);
        }
    }
    let mut turned = fours;
    for i in 0..4 {
        let (a, b, c, d) = (fours[i], fours[4 + i], fours[8 + i], fours[12 + i]);
        let (even_ab, even_cd) = (_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0x88>(c, d));
        let (odd_ab, odd_cd) = (_mm512_shuffle_i32x4::<0xDD>(a, b), _mm512_shuffle_i32x4::<0xDD>(c, d));
        turned[i] = _mm512_shuffle_i32x4::<0x88>(even_ab, even_cd);
        turned[8 + i] = _mm512_shuffle_i32x4::<0xDD>(even_ab, even_cd);
        turned[4 + i] = _mm512_shuffle_i32x4::<0x88>(odd_ab, odd_cd);
        turned[12 + i] = _mm512_shuffle_i32x4::<0xDD>(odd_ab, odd_cd);
    }
    turned
}

/// The same for weights in any other order.
#[target_feature(enable = "avx512f,avx512bf16")]
fn pack_widened(weight: &Weight<'_>, column: usize, panel: &mut [u32]) {
    let (inputs, taps) = (weight.inputs(), weight.taps());
    let pairs = inputs.div_ceil(2);
    let mut block = Scratch::take(BLOCK * taps * COLUMNS);
    block.fill(0.0); // outputs beyond the last one stay so
    for first in (0..inputs).step_by(BLOCK) {
        let count = BLOCK.min(inputs - first);
        weight.columns(column, first, count, COLUMNS, &mut block);
        block[count * taps * COLUMNS..].fill(0.0);
        for pair in 0..count.div_ceil(2) {
            for tap in 0..taps {
                let low = &block[(2 * pair * taps + tap) * COLUMNS..][..COLUMNS];
                let high = &block[((2 * pair + 1) * taps + tap) * COLUMNS..][..COLUMNS];
                let line = &mut panel[(tap * pairs + first / 2 + pair) * COLUMNS..][..COLUMNS];
                interleave(low, high, line);
            }
        }
    }
}

/// Pairs of a number of `low` and one of `high`, rounded to bf16.
///
/// # Panics
/// When the three have different lengths, or one that is not a multiple of 16.
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) fn interleave(low: &[f32], high: &[f32], pairs: &mut [u32]) {
    assert!(low.len() == pairs.len() && high.len() == pairs.len() && pairs.len().is_multiple_of(16));
    for ((low, high), pairs) in low.chunks_exact(16).zip(high.chunks_exact(16)).zip(pairs.chunks_exact_mut(16)) {
        for ((low, high), pair) in low.iter().zip(high).zip(pairs) {
            *pair = super::round(*low).to_bits() >> 16 | super::round(*high).to_bits();
        }
    }
}
