/// Words in the pool that torchsde asks for.
const POOL: usize = 24;

/// The first word that NumPy's `SeedSequence(entropy, spawn_key=…, pool_size=24)` generates: O'Neill's `seed_seq_fe`
/// (2015), whose constants these are.
pub(super) fn first_word(entropy: u64, spawn_key: &[u64]) -> u32 {
    let mut words = words_of(entropy);
    if !spawn_key.is_empty() {
        words.resize(words.len().max(POOL), 0);
        words.extend(spawn_key.iter().flat_map(|&part| words_of(part)));
    }
    let mut constant = 0x43b0_d7e5_u32;
    let mut hash = |value: u32| {
        let value = value ^ constant;
        constant = constant.wrapping_mul(0x931e_8875);
        let value = value.wrapping_mul(constant);
        value ^ (value >> 16)
    };
    let mix = |x: u32, y: u32| {
        let mixed = x.wrapping_mul(0xca01_f9dd).wrapping_sub(y.wrapping_mul(0x4973_f715));
        mixed ^ (mixed >> 16)
    };
    let mut pool: [u32; POOL] = std::array::from_fn(|i| hash(words.get(i).copied().unwrap_or(0)));
    for from in 0..POOL {
        for to in (0..POOL).filter(|to| *to != from) {
            pool[to] = mix(pool[to], hash(pool[from]));
        }
    }
    for &word in words.iter().skip(POOL) {
        for value in &mut pool {
            *value = mix(*value, hash(word));
        }
    }
    let (first, second) = (0x8b51_f9dd_u32, 0x8b51_f9dd_u32.wrapping_mul(0x58f3_8ded));
    let word = (pool[0] ^ first).wrapping_mul(second);
    word ^ (word >> 16)
}

/// The 32-bit words of a number, the lowest first, without leading zeros; one word at least.
fn words_of(number: u64) -> Vec<u32> {
    let (low, high) = (number as u32, (number >> 32) as u32);
    if high == 0 { vec![low] } else { vec![low, high] }
}
