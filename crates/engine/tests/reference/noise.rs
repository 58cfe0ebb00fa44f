//! Noise of NVIDIA cards, Brownian trees and AUTOMATIC1111's mixtures, bit for bit.

use candle_core::IndexOp;
use engine::sampling::{BrownianTree, ImageNoise};
use engine::{NoiseSettings, PhiloxGenerator, RandomSource};

use crate::support::{Golden, assert_close, assert_same_bits, values};

#[test]
fn philox_has_the_bits_of_its_paper_and_of_automatic1111() {
    let golden = Golden::load("noise");
    for seed in [0, 42, (1 << 40) + 7, u64::MAX] {
        let mut generator = PhiloxGenerator::new(seed);
        for call in 0..2 {
            let name = format!("philox.{seed}.{call}");
            if golden.names().any(|known| known == name) {
                let expected = values(golden.get(&name));
                assert_same_bits(&format!("philox noise {seed}.{call}"), &generator.normal(expected.len()), &expected);
            }
        }
    }
}

#[test]
fn brownian_trees_have_the_bits_of_torchsde() {
    let golden = Golden::load("noise");
    let points = values(golden.get("brownian.points"));
    let last = points.len() - 1;
    let neighbours = (0..last).map(|i| (i, i + 1));
    let pairs: Vec<(usize, usize)> = neighbours.chain([(0, last), (2, 5), (6, 3)]).collect();
    for (kind, seed) in [("CPU", 1), ("CPU", (1 << 33) + 5), ("NV", 42)] {
        let source: RandomSource = kind.parse().expect("a source");
        let tree = BrownianTree::new(source, seed, 20, points[last].into(), points[0].into());
        let expected = golden.get(&format!("brownian.{kind}.{seed}"));
        for (i, (from, to)) in pairs.iter().enumerate() {
            let what = format!("brownian tree {kind} {seed} from {} to {}", points[*from], points[*to]);
            let row = values(&expected.i(i).expect("a row"));
            assert_same_bits(&what, &tree.noise(points[*from], points[*to]), &row);
        }
    }
}

#[test]
fn pictures_have_the_noise_of_automatic1111() {
    let golden = Golden::load("noise");
    for source in [RandomSource::Cpu, RandomSource::Nv] {
        let plain = NoiseSettings { source, ..NoiseSettings::default() };
        let first = |settings: &NoiseSettings| ImageNoise::new(settings, 5, [4, 9, 10]).first();
        let fresh = |settings: &NoiseSettings| {
            let mut noise = ImageNoise::new(settings, 5, [4, 9, 10]);
            noise.first();
            noise.fresh()
        };
        let expect = |name: &str| golden.get(&format!("{name}.{source}")).clone();
        let tensor = |found: Vec<f32>| candle_core::Tensor::from_vec(found, (4, 9, 10), &candle_core::Device::Cpu);
        for (name, settings) in [
            ("variation", NoiseSettings { variation_seed: 6, variation_strength: 0.3, ..plain.clone() }),
            ("resized.smaller", NoiseSettings { resized_from: Some((104, 64)), ..plain.clone() }),
            (
                "resized.both",
                NoiseSettings {
                    variation_seed: 6,
                    variation_strength: 0.7,
                    resized_from: Some((64, 112)),
                    ..plain.clone()
                },
            ),
        ] {
            let found = tensor(first(&settings)).expect("a tensor");
            assert_close(&format!("image noise {name} {source}"), &found, &expect(name), 1e-6);
        }
        assert_same_bits(&format!("image noise continued {source}"), &fresh(&plain), &values(&expect("continued")));
        let delta = NoiseSettings { seed_delta: 31_337, ..plain.clone() };
        assert_same_bits(&format!("image noise delta {source}"), &fresh(&delta), &values(&expect("delta")));
    }
}
