/// `torch.Generator(device="cuda")` after `manual_seed`: the counter-based Philox 4x32-10 (Salmon et al. 2011) of NVIDIA's
/// cuRAND, one number per thread.
///
/// A seed thus means the noise that `torch.randn` draws for it on an NVIDIA card, as AUTOMATIC1111 uses it by default and
/// computes it on other machines ("RNG: NV"), in its steps: the transform in double precision with constants of single
/// precision. It holds for as many numbers as a card has threads; latents have far fewer.
pub struct PhiloxGenerator {
    seed: u64,
    /// Calls so far.
    offset: u32,
}

impl PhiloxGenerator {
    /// The generator that `torch.cuda.manual_seed(seed)` leaves behind.
    pub fn new(seed: u64) -> Self {
        Self { seed, offset: 0 }
    }

    /// `torch.randn(count, device="cuda", generator=self)` in float32.
    pub fn normal(&mut self, count: usize) -> Vec<f32> {
        let key = [self.seed as u32, (self.seed >> 32) as u32];
        let offset = self.offset;
        self.offset = offset.wrapping_add(1);
        let numbers = (0..count as u64).map(|i| philox([offset, 0, i as u32, (i >> 32) as u32], key));
        numbers.map(|[first, second, ..]| box_muller(first, second)).collect()
    }
}

/// The counter after ten rounds.
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for round in 0..10 {
        if round > 0 {
            key = [key[0].wrapping_add(0x9e37_79b9), key[1].wrapping_add(0xbb67_ae85)];
        }
        let first = u64::from(counter[0]) * 0xd251_1f53;
        let second = u64::from(counter[2]) * 0xcd9e_8d57;
        counter = [
            (second >> 32) as u32 ^ counter[1] ^ key[0],
            second as u32,
            (first >> 32) as u32 ^ counter[3] ^ key[1],
            first as u32,
        ];
    }
    counter
}

/// The first of the two normal numbers that Box and Muller's transform makes of two uniform ones.
fn box_muller(first: u32, second: u32) -> f32 {
    const UNIT: f32 = 2.328_306_4e-10; // 2^-32
    const TURN: f32 = 1.462_918_1e-9; // 2 pi * 2^-32
    let uniform = f64::from(first) * f64::from(UNIT) + f64::from(UNIT / 2.0);
    let angle = f64::from(second) * f64::from(TURN) + f64::from(TURN / 2.0);
    ((-2.0 * uniform.ln()).sqrt() * angle.sin()) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers that come with Salmon et al.'s Random123 (kat_vectors, philox4x32 10).
    #[test]
    fn known_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        assert_eq!(philox(pi, [0xa409_3822, 0x299f_31d0]), [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }
}
