//! The autoencoder against diffusers' `AutoencoderKL`.

use std::sync::LazyLock;

use candle_core::{Device, Tensor};
use engine::EngineError;

use crate::support::{Golden, assert_close};
use crate::{spark, tiny};

static GOLDEN: LazyLock<Golden> = LazyLock::new(|| Golden::load("vae"));

#[test]
fn encoder_equals_diffusers() {
    for (name, model) in [("tiny", &*tiny::MODEL), ("spark", &*spark::MODEL)] {
        for size in ["even", "odd"] {
            let (picture, noise) = (GOLDEN.get(size), GOLDEN.get(&format!("{size}.noise")));
            let mean = model.encode_picture(picture, None).expect("a latent");
            assert_close(&format!("{name} encoder {size}"), &mean, GOLDEN.get(&format!("{name}.{size}.mean")), 1e-5);
            let sample = model.encode_picture(picture, Some(noise)).expect("a latent");
            let expected = GOLDEN.get(&format!("{name}.{size}.sample"));
            assert_close(&format!("{name} encoder {size} sample"), &sample, expected, 1e-5);
        }
    }
}

#[test]
fn pictures_that_cannot_be_encoded_are_errors() {
    for shape in [(1, 3, 7, 64), (1, 4, 64, 64)] {
        let picture = Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu).expect("a tensor");
        let error = tiny::MODEL.encode_picture(&picture, None).expect_err("too small, or four channels");
        assert!(matches!(error, EngineError::Compute(_)), "{error}");
    }
}
