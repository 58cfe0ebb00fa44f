//! The structure of Stable Diffusion 1.5 at a small size, with weights computed from tensor names on both sides.

use std::sync::LazyLock;

use engine::{Model, OpenOptions};

use crate::procedural;
use crate::support::{Golden, assert_close, golden_path};

static GOLDEN: LazyLock<Golden> = LazyLock::new(|| Golden::load("tiny"));

pub(crate) static MODEL: LazyLock<Model> = LazyLock::new(model);

pub(crate) fn model() -> Model {
    procedural::open(&procedural::tensors("tiny"), &OpenOptions::default()).expect("a tiny model")
}

#[test]
fn dimensions_follow_from_the_tensors() {
    let info = MODEL.info();
    assert_eq!((info.width, info.vocabulary, info.context_width), (512, 49_408, 128));
    assert_eq!(info.name, "fieldforge-tiny");
}

#[test]
fn text_encoder_equals_transformers() {
    let prompt = "an astronaut riding a horse, (masterpiece:1.2), [blurry], 8k -- don't I'll we've";
    let found = MODEL.encode(&[prompt], 1).expect("hidden states").0;
    assert_close("tiny text encoder", &found, GOLDEN.get("context"), 1e-5);
}

#[test]
fn unet_equals_diffusers() {
    for (latent, timestep, name) in
        [("noise", 981.0, "unet.981.0"), ("noise", 33.0, "unet.33.0"), ("odd", 500.0, "unet.odd")]
    {
        let found = MODEL.predict_noise(GOLDEN.get(latent), timestep, GOLDEN.get("context"), None).expect("noise");
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
