//! Products of numbers rounded to bf16, summed in f32.
//!
//! Processors with AVX512-BF16 multiply pairs: what two neighbouring inputs add to an output is one step. All others
//! round the same numbers in the same way and multiply them in f32, which is not faster than f32 but gives the same
//! picture to within the order of the sums.

#[cfg(target_arch = "x86_64")]
pub(super) mod attention;
#[cfg(target_arch = "x86_64")]
pub(super) mod pack;
#[cfg(target_arch = "x86_64")]
pub(super) mod product;
#[cfg(target_arch = "x86_64")]
pub(super) mod tile;

/// Columns of a panel of pairs: four registers.
pub(super) const COLUMNS: usize = 64;

/// Products with fewer rows, inputs or outputs stay in f32. They take no time, and those at both ends of a network
/// (the time's embedding, the first and the last convolution) decide about everything.
const LEAST: usize = 24;

/// Whether a product of these sizes is taken in bf16.
pub(super) fn pays(rows: usize, inputs: usize, outputs: usize) -> bool {
    rows.min(inputs).min(outputs) >= LEAST
}

/// Rounds to the nearest number with 8 significant bits, ties to even; what is too small for a normal number becomes 0,
/// as the processor's own conversion has it.
#[inline(always)]
pub(super) fn round(value: f32) -> f32 {
    let bits = value.to_bits();
    let nearest = bits.wrapping_add(0x7FFF + (bits >> 16 & 1)) & 0xFFFF_0000;
    let magnitude = bits & 0x7FFF_FFFF;
    let quiet = (bits | 0x0040_0000) & 0xFFFF_0000;
    let nearest = if magnitude > 0x7F80_0000 { quiet } else { nearest };
    f32::from_bits(if magnitude < 0x0080_0000 { bits & 0x8000_0000 } else { nearest })
}

/// Rounds all of `values`.
#[inline(always)]
pub(super) fn round_all(values: &mut [f32]) {
    for value in values {
        *value = round(*value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_that_of_the_half_crate_but_for_the_smallest_numbers() {
        let mut bits = 0_u32;
        loop {
            let value = f32::from_bits(bits);
            let expected = if value.abs() < f32::MIN_POSITIVE { 0.0 } else { half::bf16::from_f32(value).to_f32() };
            let found = round(value);
            assert!(found == expected || (found.is_nan() && expected.is_nan()), "{value}: {found} is not {expected}");
            assert_eq!(found.is_sign_negative(), value.is_sign_negative());
            match bits.checked_add(9973) {
                Some(next) => bits = next,
                None => break,
            }
        }
    }
}
