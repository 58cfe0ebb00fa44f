//! `exp` and `erf` as short polynomials that the compiler can vectorize, with the same bits on every CPU.

/// `e^x`, relative error below 3e-7; 0 below -87.3, infinity never (clamped at 88).
///
/// Range reduction by powers of two and a degree-6 polynomial (Cephes `expf`).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding it rounds to an integer
    let clamped = if x > 88.0 { 88.0 } else { x };
    let clamped = if clamped < -87.3 { -87.3 } else { clamped };
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let exponent = shifted - ROUND;
    let r = clamped - exponent * 0.693_359_4;
    let r = r - exponent * -2.121_944_4e-4;
    let mut p = 1.987_569_1e-4_f32;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    let mantissa = p * (r * r) + r + 1.0;
    let scale = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    let result = mantissa * scale;
    if x < -87.3 { 0.0 } else { result }
}

/// The error function, absolute error below 5e-7: an odd rational function on `[-4, 4]` (as Eigen has it), clamped outside.
#[inline(always)]
pub(crate) fn erf(x: f32) -> f32 {
    let x = if x > 4.0 { 4.0 } else { x };
    let x = if x < -4.0 { -4.0 } else { x };
    let s = x * x;
    let mut p = -2.726_142_3e-10_f32;
    p = p * s + 2.770_681_5e-8;
    p = p * s + -2.101_024e-6;
    p = p * s + -5.692_506_4e-5;
    p = p * s + -7.349_906e-4;
    p = p * s + -2.954_6e-3;
    p = p * s + -1.609_603_3e-2;
    let mut q = -1.456_607_2e-5_f32;
    q = q * s + -2.133_740_6e-4;
    q = q * s + -1.682_827e-3;
    q = q * s + -7.373_329_2e-3;
    q = q * s + -1.426_473_9e-2;
    x * p / q
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_everywhere() {
        let mut x = -87.0_f32;
        while x < 88.0 {
            let expected = f64::from(x).exp();
            let relative = (f64::from(exp(x)) - expected).abs() / expected;
            assert!(relative < 3e-7, "exp({x}): relative error {relative}");
            x += 0.0137;
        }
        assert_eq!(exp(-1000.0), 0.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(0.0), 1.0);
    }

    /// Values of `math.erf` from Python.
    #[test]
    fn erf_is_close_to_the_reference() {
        for (x, expected) in [
            (0.0, 0.0),
            (0.1, 0.112_462_916_018_284_89),
            (0.5, 0.520_499_877_813_046_5),
            (1.0, 0.842_700_792_949_714_9),
            (1.7, 0.983_790_458_590_774_6),
            (2.5, 0.999_593_047_982_555),
            (3.9, 0.999_999_965_215_281_3),
            (9.0, 1.0),
        ] {
            assert!((f64::from(erf(x as f32)) - expected).abs() < 5e-7, "erf({x}) = {}", erf(x as f32));
            assert_eq!(erf(-x as f32), -erf(x as f32));
        }
    }
}
