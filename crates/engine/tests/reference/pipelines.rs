//! Generations from pictures against plain torch in AUTOMATIC1111's order.

use std::ops::ControlFlow;
use std::sync::LazyLock;

use candle_core::Tensor;
use engine::image_ops::{Filter, LatentUpscale, ResizeMode};
use engine::{
    GenerateSettings, HiresSettings, ImageSettings, InpaintFill, InpaintSettings, Inputs, Phase, Picture, Sampler,
    UpscalerName,
};

use crate::pictures::{mask, picture};
use crate::support::{Golden, assert_close};
use crate::tiny::MODEL;

static GOLDEN: LazyLock<Golden> = LazyLock::new(|| Golden::load("pipelines"));

fn settings() -> GenerateSettings {
    GenerateSettings {
        prompt: "an astronaut riding a horse".to_owned(),
        width: 64,
        height: 64,
        steps: 8,
        cfg_scale: 5.0,
        seed: 42,
        sampler: Sampler::Euler,
        ..GenerateSettings::recommended(MODEL.info())
    }
}

fn from_image(strength: f32, resize_mode: ResizeMode) -> GenerateSettings {
    GenerateSettings { image: Some(ImageSettings { strength, resize_mode, ..ImageSettings::default() }), ..settings() }
}

fn latent(settings: &GenerateSettings, init: &Picture) -> Tensor {
    MODEL.latent_from(settings, &Inputs { init: Some(init), ..Inputs::default() }).expect("a latent")
}

#[test]
fn image_to_image_equals_torch() {
    for strength in ["0.0", "0.5", "1.0"] {
        let settings = from_image(strength.parse().expect("a number"), ResizeMode::Stretch);
        let found = latent(&settings, &picture(64, 64));
        assert_close(&format!("image to image {strength}"), &found, GOLDEN.get(&format!("image.{strength}")), 1e-4);
    }
    for mode in [ResizeMode::Crop, ResizeMode::Fill, ResizeMode::Latent] {
        let found = latent(&from_image(0.5, mode), &picture(150, 110));
        assert_close(&format!("image to image {mode}"), &found, GOLDEN.get(&format!("image.{mode}")), 1e-4);
    }
}

#[test]
fn inpainting_equals_torch() {
    let inpaint = |fill, only_masked| GenerateSettings {
        inpaint: Some(InpaintSettings { fill, only_masked, ..InpaintSettings::default() }),
        ..from_image(0.75, ResizeMode::Stretch)
    };
    let check = |name: &str, settings: GenerateSettings, init: Picture| {
        let mask = mask(init.width, init.height);
        let inputs = Inputs { init: Some(&init), mask: Some(&mask), ..Inputs::default() };
        let found = MODEL.latent_from(&settings, &inputs).expect("a latent");
        assert_close(name, &found, GOLDEN.get(name), 1e-4);
        let drawn = MODEL.generate_from(&settings, &inputs, &mut |_| ControlFlow::Continue(())).expect("a picture");
        let bytes = GOLDEN.get(&format!("{name}.picture")).flatten_all().and_then(|tensor| tensor.to_vec1());
        let likeness = drawn.psnr(&Picture { rgb: bytes.expect("bytes"), ..init }).expect("one size");
        assert!(likeness > 55.0, "{name}: {likeness} dB");
    };
    for fill in InpaintFill::ALL {
        check(&format!("inpaint.{fill}"), inpaint(fill, None), picture(64, 64));
    }
    check("inpaint.only", inpaint(InpaintFill::Original, Some(6)), picture(150, 110));
}

#[test]
fn the_second_pass_equals_torch() {
    let upscalers = [
        UpscalerName::Latent(LatentUpscale::Bilinear),
        UpscalerName::Latent(LatentUpscale::NearestExact),
        UpscalerName::Plain(Filter::Lanczos),
    ];
    for upscaler in upscalers {
        let name = upscaler.to_string();
        let hires = HiresSettings { upscaler, scale: 1.5, strength: 0.6, steps: Some(4), ..HiresSettings::default() };
        let settings = GenerateSettings { hires: Some(hires), ..settings() };
        let found = MODEL.latent(&settings).expect("a latent");
        assert_close(&format!("hires {name}"), &found, GOLDEN.get(&format!("hires.{name}")), 1e-4);
        let mut seen = Vec::new();
        let drawn = MODEL.generate(&settings, &mut |step| {
            let preview = step.preview().expect("a preview");
            seen.push((step.phase, step.step, step.steps, preview.width));
            ControlFlow::Continue(())
        });
        assert_eq!(drawn.map(|picture| (picture.width, picture.height)).expect("a picture"), (96, 96));
        let first = (1..=8).map(|step| (Phase::Draw, step, 12, 64));
        assert_eq!(seen, first.chain((9..=12).map(|step| (Phase::Refine, step, 12, 96))).collect::<Vec<_>>());
    }
}
