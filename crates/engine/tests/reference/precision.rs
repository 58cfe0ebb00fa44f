//! Pictures whose products are taken in bf16, beside those in f32.

use std::ops::ControlFlow;

use engine::{GenerateSettings, Model, Precision};

use crate::{spark, tiny};

/// Least PSNR in dB between the two.
const LEAST: f64 = 45.0;

/// The PSNR between the pictures of both precisions.
fn psnr(model: &mut Model, settings: &GenerateSettings) -> f64 {
    let mut draw = |precision| {
        model.set_precision(precision);
        model.generate(settings, &mut |_| ControlFlow::Continue(())).expect("a picture")
    };
    let (exact, fast) = (draw(Precision::F32), draw(Precision::Bf16));
    assert_ne!(exact.rgb, fast.rgb, "nothing was taken in bf16");
    exact.psnr(&fast).expect("pictures of the same size")
}

#[test]
fn the_built_in_model_draws_the_same_pictures_in_bf16() {
    let mut model = Model::open(&spark::path()).expect("spark");
    for (seed, prompt) in [(7, "a banana"), (1, "a red apple"), (2, "a blue car"), (3, "a frog")] {
        let settings =
            GenerateSettings { prompt: prompt.to_owned(), seed, ..GenerateSettings::recommended(model.info()) };
        let found = psnr(&mut model, &settings);
        assert!(found >= LEAST, "\"{prompt}\": {found:.1} dB");
    }
}

/// Random networks do not take noise away, so that what rounding adds stays, times the CFG scale.
#[test]
fn random_weights_draw_the_same_picture_in_bf16() {
    let mut model = tiny::model();
    let settings = GenerateSettings {
        prompt: "a horse".to_owned(),
        width: 192,
        height: 128,
        steps: 8,
        cfg_scale: 7.0,
        seed: 5,
        ..GenerateSettings::recommended(model.info())
    };
    let found = psnr(&mut model, &settings);
    assert!(found >= LEAST, "{found:.1} dB");
}
