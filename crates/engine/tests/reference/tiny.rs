//! The structure of Stable Diffusion 1.5 at a small size, with weights computed from tensor names on both sides.

use std::collections::HashMap;
use std::sync::LazyLock;

use candle_core::{Device, Tensor};
use engine::Model;

use crate::support::{Golden, assert_close, golden_path};

static GOLDEN: LazyLock<Golden> = LazyLock::new(|| Golden::load("tiny"));

pub(crate) static MODEL: LazyLock<Model> = LazyLock::new(|| {
    let listing = fs_err::read_to_string(golden_path("tiny.tensors.txt")).expect("the list of tensors");
    let tensors: HashMap<String, Tensor> = listing
        .lines()
        .map(|line| {
            let (name, shape) = line.split_once(' ').expect("name and shape");
            let shape: Vec<usize> = shape.split(',').map(|side| side.parse().expect("a number")).collect();
            let tensor = Tensor::from_vec(procedural(name, &shape), shape, &Device::Cpu).expect("a tensor");
            (name.to_owned(), tensor)
        })
        .collect();
    let file = std::env::temp_dir().join(format!("fieldforge-tiny-{}.safetensors", std::process::id()));
    candle_core::safetensors::save(&tensors, &file).expect("a checkpoint");
    let model = Model::open(&file);
    fs_err::remove_file(&file).expect("removed");
    model.expect("a tiny model")
});

/// The weights that `procedural` in `scripts/reference/models.py` makes.
fn procedural(name: &str, shape: &[usize]) -> Vec<f32> {
    let seed = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let unit = |i: u64| {
        let z = seed.wrapping_add(i).wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f64 / 8_388_608.0 - 1.0
    };
    let (offset, scale) = match shape {
        [_] if name.ends_with("weight") => (1.0, 0.1),
        [_] => (0.0, 0.05),
        _ if name.contains("embedding") => (0.0, 0.5),
        _ => (0.0, (3.0 / shape[1..].iter().product::<usize>() as f64).sqrt()),
    };
    (0..shape.iter().product::<usize>() as u64).map(|i| (offset + scale * unit(i)) as f32).collect()
}

#[test]
fn dimensions_follow_from_the_tensors() {
    let info = MODEL.info();
    assert_eq!((info.width, info.vocabulary, info.context_width), (512, 49_408, 128));
    assert!(info.name.starts_with("fieldforge-tiny-"), "{}", info.name);
}

#[test]
fn text_encoder_equals_transformers() {
    let prompt = "an astronaut riding a horse, (masterpiece:1.2), [blurry], 8k -- don't I'll we've";
    let found = MODEL.encode(&[prompt]).expect("hidden states");
    assert_close("tiny text encoder", &found, GOLDEN.get("context"), 1e-5);
}

#[test]
fn unet_equals_diffusers() {
    for (latent, timestep, name) in
        [("noise", 981.0, "unet.981.0"), ("noise", 33.0, "unet.33.0"), ("odd", 500.0, "unet.odd")]
    {
        let found = MODEL.predict_noise(GOLDEN.get(latent), timestep, GOLDEN.get("context")).expect("noise");
        assert_close(&format!("tiny {name}"), &found, GOLDEN.get(name), 1e-5);
    }
}

#[test]
fn decoder_equals_diffusers() {
    let corner = GOLDEN.get("noise").narrow(2, 0, 8).and_then(|latent| latent.narrow(3, 0, 8)).expect("a corner");
    let found = MODEL.decode_latent(&corner).expect("a picture");
    assert_close("tiny decoder", &found, GOLDEN.get("picture"), 1e-5);
}

#[test]
fn token_ids_equal_transformers() {
    let spark = Model::open(&golden_path("../../../../models/spark/spark.safetensors")).expect("spark");
    let text = fs_err::read_to_string(golden_path("tokens.json")).expect("token ids");
    let rows: Vec<serde_json::Value> = serde_json::from_str(&text).expect("rows");
    for row in &rows {
        let prompt = row["prompt"].as_str().expect("a prompt");
        for (model, key) in [(&*MODEL, "clip"), (&spark, "spark")] {
            let expected: Vec<u32> = serde_json::from_value(row[key].clone()).expect("ids");
            assert_eq!(model.token_ids(prompt).expect("ids"), expected, "{key}: {prompt:?}");
        }
    }
    assert!(rows.len() >= 9);
}
