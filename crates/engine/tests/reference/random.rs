//! `torch.randn` on the CPU, bit for bit.

use engine::TorchGenerator;

use crate::support::{Golden, assert_same_bits, values};

#[test]
fn every_number_has_the_bits_of_torch() {
    let golden = Golden::load("random");
    // names are "seed.call"; calls of one seed continue the same generator
    let mut calls: Vec<(u64, usize, &str)> = golden
        .names()
        .filter(|name| *name != "checksum")
        .map(|name| {
            let (seed, call) = name.split_once('.').expect("seed.call");
            (seed.parse().expect("a seed"), call.parse().expect("a call"), name)
        })
        .collect();
    calls.sort_unstable();
    let mut generator = TorchGenerator::new(0);
    for (seed, call, name) in calls {
        if call == 0 {
            generator = TorchGenerator::new(seed);
        }
        let expected = values(golden.get(name));
        let found = generator.normal(expected.len());
        assert_same_bits(&format!("torch noise, seed {seed}, call {call}"), &found, &expected);
    }
}

#[test]
fn two_million_numbers_have_the_checksum_of_torch() {
    let expected: Vec<i64> = Golden::load("random").get("checksum").to_vec1().expect("one number");
    let weighted = |(i, value): (usize, &f32)| u64::from(value.to_bits()).wrapping_mul(2 * i as u64 + 1);
    let numbers = TorchGenerator::new(123).normal(2_000_003);
    let found = numbers.iter().enumerate().map(weighted).fold(0, u64::wrapping_add);
    assert_eq!(found, expected[0] as u64);
}
