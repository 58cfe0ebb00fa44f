//! The random numbers of PyTorch's CPU generator, bit for bit.

/// Words of the Mersenne Twister's state (Matsumoto and Nishimura 1998, MT19937).
const STATE: usize = 624;

/// Numbers that are turned into normal ones together.
const BLOCK: usize = 16;

/// `torch.Generator(device="cpu")` after `manual_seed`.
///
/// A seed thus means the noise that `torch.randn` draws for it on the CPU, as AUTOMATIC1111 (with its setting "RNG:
/// CPU") and ComfyUI use it. Like torch, it looks only at the lower 32 bits of the seed.
///
/// Checked against torch 2.15 by `tests/reference/random.rs`; where torch computes logarithm, sine and cosine with its own
/// AVX2 routines, so does this, operation by operation, on every CPU.
pub struct TorchGenerator {
    state: [u32; STATE],
    next: usize,
    /// The second normal number of a pair made by the scalar path, not yet handed out.
    spare: Option<f64>,
}

impl TorchGenerator {
    /// The generator that `torch.manual_seed(seed)` leaves behind.
    pub fn new(seed: u64) -> Self {
        let mut state = [0; STATE];
        state[0] = seed as u32;
        for i in 1..STATE {
            let last = state[i - 1];
            state[i] = (last ^ (last >> 30)).wrapping_mul(1_812_433_253).wrapping_add(i as u32);
        }
        Self { state, next: STATE, spare: None }
    }

    /// `torch.randn(count, generator=self)` in float32.
    ///
    /// From 16 numbers on all are drawn uniformly first and then turned into normal ones in blocks of 16; a last,
    /// incomplete block is drawn anew. Fewer than 16 are made one by one in double precision.
    pub fn normal(&mut self, count: usize) -> Vec<f32> {
        if count < BLOCK {
            return (0..count).map(|_| self.normal_f64() as f32).collect();
        }
        let mut values: Vec<f32> = (0..count).map(|_| self.uniform()).collect();
        let (blocks, rest) = values.as_chunks_mut::<BLOCK>();
        blocks.iter_mut().for_each(box_muller);
        if !rest.is_empty() {
            let mut block: [f32; BLOCK] = std::array::from_fn(|_| self.uniform());
            box_muller(&mut block);
            let start = count - BLOCK;
            values[start..].copy_from_slice(&block);
        }
        values
    }

    /// The next 32 random bits.
    fn bits(&mut self) -> u32 {
        if self.next == STATE {
            self.twist();
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    fn twist(&mut self) {
        for i in 0..STATE {
            let joined = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % STATE] & 0x7fff_ffff);
            let odd = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + 397) % STATE] ^ (joined >> 1) ^ odd;
        }
        self.next = 0;
    }

    /// Uniform in `[0, 1)` with 24 bits.
    fn uniform(&mut self) -> f32 {
        (self.bits() & 0x00ff_ffff) as f32 / 16_777_216.0
    }

    /// Uniform in `[0, 1)` with 53 bits.
    fn uniform_f64(&mut self) -> f64 {
        let bits = (u64::from(self.bits()) << 32) | u64::from(self.bits());
        (bits & 0x001f_ffff_ffff_ffff) as f64 / 9_007_199_254_740_992.0
    }

    /// One normal number by Box and Muller; every second one was made together with the one before.
    fn normal_f64(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let (first, second) = (self.uniform_f64(), self.uniform_f64());
        let radius = (-2.0 * (-second).ln_1p()).sqrt();
        let (sine, cosine) = (2.0 * std::f64::consts::PI * first).sin_cos();
        self.spare = Some(radius * sine);
        radius * cosine
    }
}

/// Turns 16 uniform numbers into normal ones: number `i` and number `i + 8` make a pair.
fn box_muller(block: &mut [f32; BLOCK]) {
    for i in 0..8 {
        let radius = (-2.0 * log(1.0 - block[i])).sqrt();
        let (sine, cosine) = sine_and_cosine(2.0 * std::f32::consts::PI * block[i + 8]);
        // adding the mean of 0 turns -0 into 0
        block[i] = radius * cosine + 0.0;
        block[i + 8] = radius * sine + 0.0;
    }
}

/// The natural logarithm of a number in `(0, 1]` as Cephes' `logf` computes it, with the multiply-adds that torch's
/// compiler fuses.
fn log(x: f32) -> f32 {
    let bits = x.to_bits();
    let mut exponent = ((bits >> 23) as i32 - 126) as f32;
    // the mantissa in [0.5, 1)
    let mut m = f32::from_bits((bits & 0x007f_ffff) | 0x3f00_0000);
    if m < std::f32::consts::FRAC_1_SQRT_2 {
        exponent -= 1.0;
        m = (m - 1.0) + m;
    } else {
        m -= 1.0;
    }
    let square = m * m;
    let coefficients = [
        -1.151_461e-1,
        1.167_699_84e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_8e-1,
        2.000_071_4e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ];
    let p = coefficients.iter().fold(7.037_683_6e-2_f32, |p, &c| p.mul_add(m, c));
    let p = p * m;
    let p = p.mul_add(square, exponent * -2.121_944_4e-4);
    let p = (-square).mul_add(0.5, p);
    exponent.mul_add(0.693_359_4, m + p)
}

/// Sine and cosine of a number in `[0, 2 pi)` as Cephes' `sinf` and `cosf` compute them, with the multiply-adds that
/// torch's compiler fuses.
fn sine_and_cosine(x: f32) -> (f32, f32) {
    // the octant, rounded up to an even number
    let octant = ((x * std::f32::consts::FRAC_2_PI * 2.0) as i32 + 1) & !1;
    let y = octant as f32;
    let r = y.mul_add(-0.785_156_25, x);
    let r = y.mul_add(-2.418_756_5e-4, r);
    let r = y.mul_add(-3.774_895e-8, r);
    let square = r * r;
    let cosine = 2.443_315_7e-5_f32.mul_add(square, -1.388_731_6e-3).mul_add(square, 4.166_664_6e-2);
    let cosine = (cosine * square).mul_add(square, -(square * 0.5)) + 1.0;
    let sine = (-1.951_529_6e-4_f32).mul_add(square, 8.332_161e-3).mul_add(square, -1.666_665_5e-1);
    let sine = (sine * square).mul_add(r, r);
    let (sine, cosine) = if octant & 2 == 0 { (sine, cosine) } else { (cosine, sine) };
    let sine = if octant & 4 == 0 { sine } else { -sine };
    let cosine = if (octant - 2) & 4 == 0 { -cosine } else { cosine };
    (sine, cosine)
}
