//! The built-in model against diffusers in float32.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use candle_core::{Device, Tensor};
use engine::{EngineError, GenerateSettings, Model, Sampler};

use crate::support::{Golden, assert_close, values};

pub(crate) fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/spark/spark.safetensors")
}

pub(crate) static MODEL: LazyLock<Model> = LazyLock::new(|| Model::open(&path()).expect("spark"));
static GOLDEN: LazyLock<Golden> = LazyLock::new(|| Golden::load("spark"));

/// The built-in model.
pub(crate) fn model() -> &'static Model {
    &MODEL
}

/// The settings of the golden latents.
fn settings(sampler: Sampler) -> GenerateSettings {
    GenerateSettings {
        prompt: "a red apple".to_owned(),
        steps: 8,
        cfg_scale: 5.0,
        seed: 42,
        sampler,
        ..GenerateSettings::recommended(MODEL.info())
    }
}

#[test]
fn the_file_tells_what_it_is() {
    let info = MODEL.info();
    let written = fs_err::read(path().with_file_name("spark_info.json")).expect("spark_info.json");
    let written: serde_json::Value = serde_json::from_slice(&written).expect("what its export wrote");
    let parameters = written["params"].as_u64().expect("their number");
    let side = written["resolution"].as_u64().and_then(|side| u32::try_from(side).ok()).expect("pixels");
    assert_eq!((info.name.as_str(), info.family.as_str(), info.parameters), ("spark", "sd1", parameters));
    assert_eq!((info.width, info.height, info.steps, info.sampler), (side, side, 20, Sampler::Euler));
    let found = engine::checkpoint::inspect(&path()).expect("sound");
    assert_eq!((found.family.to_string().as_str(), found.parameters), ("sd1", parameters));
}

#[test]
fn text_encoder_equals_transformers() {
    let found = MODEL.encode(&["a red apple", ""], 1).expect("hidden states").0;
    assert_close("spark text encoder", &found, GOLDEN.get("context"), 1e-5);
}

#[test]
fn unet_equals_diffusers() {
    let context = GOLDEN.get("context");
    let first = context.narrow(0, 0, 1).and_then(|context| context.contiguous()).expect("one prompt");
    for timestep in ["981.0", "500.5", "1.0"] {
        let found = MODEL.predict_noise(GOLDEN.get("noise"), timestep.parse().expect("a number"), &first, None);
        let name = format!("unet.{timestep}");
        assert_close(&format!("spark {name}"), &found.expect("noise"), GOLDEN.get(&name), 1e-5);
    }
    // a batch of two, and sides that are no multiple of the network's
    let found = MODEL.predict_noise(GOLDEN.get("wide"), 250.0, context, None).expect("noise");
    assert_close("spark unet.wide", &found, GOLDEN.get("unet.wide"), 1e-5);
}

#[test]
fn prompts_are_scheduled_weighted_and_added_up() {
    let latent = |prompt: &str, cfg_scale: f32, sampler: Sampler| {
        let settings = GenerateSettings { prompt: prompt.to_owned(), cfg_scale, ..settings(sampler) };
        MODEL.latent(&settings).expect("a latent")
    };
    let bits = |tensor: &Tensor| values(tensor).into_iter().map(f32::to_bits).collect::<Vec<_>>();
    let (apple, banana) = (latent("a red apple", 5.0, Sampler::Euler), latent("a banana", 5.0, Sampler::Euler));
    for (prompt, expected) in [
        ("a [banana:red apple:0]", &apple),
        ("[a red apple|a red apple]", &apple),
        ("a (red:1) apple", &apple),
        ("[a banana::8]", &banana),
        ("a banana <lora:none:1>", &banana),
    ] {
        assert_eq!(bits(&latent(prompt, 5.0, Sampler::Euler)), bits(expected), "{prompt}");
    }
    assert_eq!(bits(&latent("a red apple:2", 5.0, Sampler::Euler)), bits(&latent("a red apple", 10.0, Sampler::Euler)));
    let halves = latent("a red apple:0.5 AND a red apple:0.5", 5.0, Sampler::Euler);
    assert_close("prompt AND of two halves", &halves, &apple, 1e-4);
    assert_close("prompt AND of nothing", &latent("a red apple AND a banana:0", 5.0, Sampler::Euler), &apple, 1e-4);
    // with a scale of 1 a weight of 1 needs no negative prompt, any other does
    let settings =
        GenerateSettings { negative_prompt: "a banana".to_owned(), cfg_scale: 1.0, ..settings(Sampler::Euler) };
    let plain = MODEL.latent(&settings).expect("a latent");
    let nothing = MODEL.latent(&GenerateSettings { prompt: "a red apple:0".to_owned(), ..settings.clone() });
    let only_negative = MODEL.latent(&GenerateSettings { prompt: "a banana".to_owned(), ..settings });
    assert_close("prompt of weight 0", &nothing.expect("a latent"), &only_negative.expect("a latent"), 1e-4);
    assert_ne!(bits(&plain), bits(&apple));
    // two looks a step: half of the schedule is half of the steps
    let heun = |prompt| bits(&latent(prompt, 5.0, Sampler::Heun));
    assert_eq!(heun("[a banana:a red apple:16]"), heun("a banana"));
    assert_ne!(heun("[a banana:a red apple:0.5]"), heun("a banana"));
    assert_ne!(heun("[a banana:a red apple:0.5]"), heun("a red apple"));
}

#[test]
fn prompts_longer_than_a_chunk_are_read_to_their_end() {
    let words = "apple ".repeat(80);
    let latent = |prompt: String, negative_prompt: String| {
        let settings = GenerateSettings { prompt, negative_prompt, steps: 2, ..settings(Sampler::Euler) };
        values(&MODEL.latent(&settings).expect("a latent"))
    };
    let one = latent(format!("{words} red"), String::new());
    assert_ne!(one, latent(format!("{words} blue"), String::new()));
    assert_ne!(one, latent(format!("{words} red"), format!("{words} blue")));
}

#[test]
fn decoder_equals_diffusers() {
    let found = MODEL.decode_latent(GOLDEN.get("latent.Euler")).expect("a picture");
    assert_close("spark decoder", &found, GOLDEN.get("picture"), 1e-5);
}

#[test]
fn samplers_equal_k_diffusion_and_diffusers() {
    for name in GOLDEN.names().filter_map(|name| name.strip_prefix("latent.")) {
        let sampler: Sampler = name.parse().expect("a sampler");
        let found = MODEL.latent(&settings(sampler)).expect("a latent");
        let bound = if name.contains("SDE") { 5e-3 } else { 1e-4 };
        assert_close(&format!("spark {sampler}"), &found, GOLDEN.get(&format!("latent.{name}")), bound);
    }
}

#[test]
fn the_picture_is_the_same_every_time_and_for_every_number_of_threads() {
    let draw = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| MODEL.generate(&settings(Sampler::EulerA), &mut |_| ControlFlow::Continue(())))
            .expect("a picture")
    };
    let first = draw(1);
    for threads in [1, 2, 3, 8] {
        assert!(draw(threads) == first, "{threads} threads draw another picture");
    }
}

#[test]
fn a_mapped_file_and_bytes_in_memory_are_the_same_model() {
    let bytes: &'static [u8] = fs_err::read(path()).expect("spark").leak();
    let model = Model::from_static("spark", bytes).expect("spark");
    assert_eq!(model.info(), MODEL.info());
    let settings = GenerateSettings { steps: 2, ..settings(Sampler::Euler) };
    let draw = |model: &Model| model.generate(&settings, &mut |_| ControlFlow::Continue(())).expect("a picture");
    assert_eq!(draw(&model).rgb, draw(&MODEL).rgb);
}

#[test]
fn the_picture_is_the_same_however_little_memory_there_is() {
    let draw = |model: &Model| model.generate(&settings(Sampler::Euler), &mut |_| ControlFlow::Continue(()));
    let expected = draw(&MODEL).expect("a picture");
    for memory in [0, 300_000, 8_000_000, 40_000_000] {
        let mut options = engine::OpenOptions::default();
        options.memory = Some(memory);
        let model = Model::open_with(&path(), &options).expect("spark");
        for _ in 0..2 {
            assert!(draw(&model).expect("a picture") == expected, "{memory} bytes draw another picture");
        }
    }
}

#[test]
fn steps_are_counted_previewed_and_can_be_stopped() {
    let mut seen = Vec::new();
    let result = MODEL.generate(&settings(Sampler::DpmPp2m), &mut |step| {
        let preview = step.preview().expect("a preview");
        seen.push((step.step, step.steps, preview.width, preview.height));
        if step.step == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(result, Err(EngineError::Cancelled)));
    let (width, height) = (MODEL.info().width, MODEL.info().height);
    assert_eq!(seen, [1, 2, 3].map(|step| (step, 8, width, height)));
}

#[test]
fn the_last_preview_is_the_picture() {
    let mut last = None;
    let picture = MODEL.generate(&settings(Sampler::Euler), &mut |step| {
        last = step.preview();
        ControlFlow::Continue(())
    });
    let likeness = picture.expect("a picture").psnr(&last.expect("a preview")).expect("one size");
    assert!(likeness > 45.0, "{likeness} dB");
}

#[test]
fn large_latents_have_rough_previews_and_odd_sizes_work() {
    let settings = GenerateSettings { width: 136, height: 72, steps: 1, ..settings(Sampler::Euler) };
    let mut size = None;
    let picture = MODEL.generate(&settings, &mut |step| {
        size = step.preview().map(|preview| (preview.width, preview.height));
        ControlFlow::Continue(())
    });
    assert_eq!(size, Some((17, 9)));
    assert_eq!(picture.map(|picture| (picture.width, picture.height)).ok(), Some((136, 72)));
}

#[test]
fn without_guidance_the_negative_prompt_does_not_count() {
    let plain = GenerateSettings { cfg_scale: 1.0, steps: 2, ..settings(Sampler::Euler) };
    let negative = GenerateSettings { negative_prompt: "a banana".to_owned(), ..plain.clone() };
    let guided = GenerateSettings { cfg_scale: 5.0, ..negative.clone() };
    let latent = |settings: &GenerateSettings| crate::support::values(&MODEL.latent(settings).expect("a latent"));
    assert_eq!(latent(&plain), latent(&negative));
    assert_ne!(latent(&plain), latent(&guided));
}

#[test]
fn wrong_shapes_are_errors() {
    let narrow = Tensor::zeros((1, 3, 8, 8), candle_core::DType::F32, &Device::Cpu).expect("a tensor");
    let error = MODEL.predict_noise(&narrow, 1.0, GOLDEN.get("context"), None).expect_err("three channels");
    assert!(matches!(error, EngineError::Compute(_)), "{error}");
}
