//! Generations from pictures against plain torch in AUTOMATIC1111's order.

use std::ops::ControlFlow;
use std::sync::LazyLock;

use candle_core::Tensor;
use engine::image_ops::{Extension, Filter, LatentUpscale, Mask, Overlay, Region, ResizeMode, from_surroundings};
use engine::{
    GenerateSettings, HiresSettings, ImageSettings, InpaintFill, InpaintSettings, Inputs, Model, OpenOptions, Phase,
    Picture, RefinerSettings, Sampler, UpscalerName,
};
use proptest::prelude::*;

use crate::pictures::{mask, picture};
use crate::procedural;
use crate::support::{Golden, assert_close, values};
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

#[test]
fn models_that_look_at_a_picture_equal_torch() {
    let name = "model.diffusion_model.input_blocks.0.0.weight";
    let model = |channels: usize| {
        let mut tensors = procedural::tensors("tiny");
        tensors.insert(name.to_owned(), procedural::tensor(name, &[32, channels, 3, 3]));
        procedural::open(&tensors, &OpenOptions::default()).expect("a model")
    };
    let (init, mask) = (picture(64, 64), mask(64, 64));
    let inputs = Inputs { init: Some(&init), mask: Some(&mask), ..Inputs::default() };
    let inpaint = model(9);
    let masked =
        GenerateSettings { inpaint: Some(InpaintSettings::default()), ..from_image(0.75, ResizeMode::Stretch) };
    let found = inpaint.latent_from(&masked, &inputs).expect("a latent");
    assert_close("inpainting model", &found, GOLDEN.get("looking.inpaint"), 1e-4);
    let found = inpaint.latent(&settings()).expect("a latent");
    // an even grey leaves the encoder nothing to normalize but rounding errors
    assert_close("inpainting model, text only", &found, GOLDEN.get("looking.inpaint.text"), 1e-3);
    let edit = model(8);
    let found = edit.latent_from(&from_image(1.0, ResizeMode::Stretch), &inputs).expect("a latent");
    assert_close("editing model", &found, GOLDEN.get("looking.edit"), 1e-4);
    let error = edit.latent(&settings()).expect_err("no picture");
    assert_eq!(error.to_string(), "an editing model needs a picture to start from");
}

#[test]
fn another_model_draws_the_last_steps() {
    let spark = crate::spark::model();
    let with = |switch_at| GenerateSettings {
        refiner: Some(RefinerSettings { model: "spark".to_owned(), switch_at }),
        ..settings()
    };
    let inputs = Inputs { refiner: Some(spark), ..Inputs::default() };
    let latent = |settings: &GenerateSettings| values(&MODEL.latent_from(settings, &inputs).expect("a latent"));
    let alone = |model: &Model| values(&model.latent(&settings()).expect("a latent"));
    let (tiny, spark) = (alone(&MODEL), alone(spark));
    assert_eq!(latent(&with(1.0)), tiny);
    assert_eq!(latent(&with(0.0)), spark);
    let both = latent(&with(0.5));
    assert!(both != tiny && both != spark);
    let error = MODEL.latent(&with(0.5)).expect_err("no refiner");
    assert_eq!(error.to_string(), "the refiner needs its model");
}

#[test]
fn a_picture_that_is_not_masked_stays_as_it_is() {
    let settings = |only_masked| GenerateSettings {
        inpaint: Some(InpaintSettings { only_masked, ..InpaintSettings::default() }),
        steps: 2,
        ..from_image(1.0, ResizeMode::Stretch)
    };
    let init = picture(64, 64);
    for (value, only_masked) in [(0, None), (0, Some(4)), (255, None), (255, Some(4))] {
        let mask = Mask::uniform(64, 64, value);
        let inputs = Inputs { init: Some(&init), mask: Some(&mask), ..Inputs::default() };
        let drawn = MODEL.generate_from(&settings(only_masked), &inputs, &mut |_| ControlFlow::Continue(()));
        assert_eq!(drawn.expect("a picture").rgb == init.rgb, value == 0, "mask of {value}, {only_masked:?}");
    }
}

#[test]
fn every_next_picture_of_a_batch_has_the_next_seed() {
    let third = settings().of_batch(2);
    assert_eq!(third, GenerateSettings { seed: 44, ..settings() });
}

#[test]
fn what_is_missing_is_named() {
    let refusal = |settings: GenerateSettings, inputs: &Inputs<'_>| {
        MODEL.latent_from(&settings, inputs).err().map(|error| error.to_string()).unwrap_or_default()
    };
    let from_picture = from_image(0.5, ResizeMode::Stretch);
    assert_eq!(refusal(from_picture.clone(), &Inputs::default()), "image to image needs a picture to start from");
    let init = picture(64, 64);
    let inputs = Inputs { init: Some(&init), ..Inputs::default() };
    let inpaint = GenerateSettings { inpaint: Some(InpaintSettings::default()), ..from_picture.clone() };
    assert_eq!(refusal(inpaint.clone(), &inputs), "inpainting needs a mask");
    let strength = from_image(1.5, ResizeMode::Stretch);
    assert_eq!(refusal(strength, &inputs), "strength is 1.5, expected 0 to 1");
    let hires = |hires| GenerateSettings { hires: Some(hires), ..settings() };
    let large = HiresSettings { size: Some((4096, 4096)), ..HiresSettings::default() };
    assert_eq!(refusal(hires(large), &inputs), "hires size is 4096x4096, expected 64 to 2048 pixels a side");
    let network = HiresSettings { upscaler: UpscalerName::from("4x-foo"), ..HiresSettings::default() };
    assert_eq!(refusal(hires(network), &inputs), "the second pass needs the network that enlarges for it");
    let broken = Picture { rgb: vec![0; 5], ..picture(64, 64) };
    let inputs = Inputs { init: Some(&broken), ..Inputs::default() };
    assert!(refusal(from_picture, &inputs).starts_with("picture is 64x64 with 5 bytes"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any picture and mask can be drawn from: sizes come out as asked, nothing panics.
    #[test]
    fn pictures_and_masks_of_every_size_are_prepared(
        (width, height) in (1_u32..90, 1_u32..90),
        (mask_width, mask_height) in (1_u32..90, 1_u32..90),
        dots in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        (across, down) in (1_u32..20, 1_u32..20),
        mode in proptest::sample::select(&ResizeMode::ALL[..]),
        left in 0_u32..40,
        blur in 0.0_f32..9.0,
    ) {
        let init = picture(width, height);
        let mut mask = Mask::uniform(mask_width, mask_height, 0);
        for (place, value) in dots {
            let at = place.index(mask.values.len());
            mask.values[at] = value;
        }
        let fitted = init.fit(8 * across, 8 * down, mode);
        prop_assert_eq!(fitted.rgb.len(), (3 * 64 * across * down) as usize);
        let (larger, around) = Extension { left, ..Extension::default() }.apply(&init, None).expect("larger");
        prop_assert_eq!((larger.width, around.width, larger.height), (width + left, width + left, height));
        let blurred = mask.clone().blurred(blur, blur);
        let region = blurred.bounds().unwrap_or(Region { x: 0, y: 0, width: mask_width, height: mask_height });
        let region = region.padded(left, mask_width, mask_height).shaped_like((across, down), mask_width, mask_height);
        prop_assert!(region.width > 0 && region.right() <= mask_width && region.bottom() <= mask_height);
        let drawn = Overlay::new(&picture(mask_width, mask_height), &blurred, Some(region)).over(&fitted);
        prop_assert_eq!((drawn.width, drawn.height), (mask_width, mask_height));
        prop_assert_eq!(from_surroundings(&picture(mask_width, mask_height), &mask).rgb.len(), drawn.rgb.len());
    }
}
