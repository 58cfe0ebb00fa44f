//! Stable Diffusion 2.x, XL, its refiner, inpainting and instruction-following models at a small size against
//! diffusers and transformers.

use candle_core::Tensor;
use engine::checkpoint::UNetInputs;
use engine::{GenerateSettings, Model, OpenOptions, Prediction};

use crate::procedural::{Tensors, mark, open, tensor, tensors, with_vae};
use crate::support::{Golden, assert_close};

const PROMPTS: [&str; 2] = ["an astronaut riding a horse", ""];

fn model(list: &str) -> Model {
    open(&with_vae(list), &OpenOptions::default()).expect("a model")
}

#[test]
fn sd2_equals_diffusers() {
    let (model, golden) = (model("sd2"), Golden::load("sd2"));
    let info = model.info();
    assert_eq!((info.family.as_str(), info.context_width, info.width), ("sd2", 128, 512));
    let (context, pooled) = model.encode(&PROMPTS, 1).expect("hidden states");
    assert_close("sd2 text encoder", &context, golden.get("context"), 1e-5);
    assert!(pooled.is_none());
    let (deeper, _) = model.encode(&PROMPTS, 3).expect("hidden states");
    assert_close("sd2 text encoder, CLIP skip 3", &deeper, golden.get("context.skip3"), 1e-5);
    let noise = model.predict_noise(golden.get("noise"), 981.0, golden.get("context"), None).expect("noise");
    assert_close("sd2 unet", &noise, golden.get("unet"), 1e-5);
}

#[test]
fn sdxl_equals_diffusers() {
    let (model, golden) = (model("sdxl"), Golden::load("sdxl"));
    let info = model.info();
    assert_eq!((info.family.as_str(), info.context_width, info.width), ("sdxl", 192, 1024));
    let (context, pooled) = model.encode(&PROMPTS, 1).expect("hidden states");
    assert_close("sdxl text encoders", &context, golden.get("context"), 1e-5);
    assert_close("sdxl pooled text", pooled.as_ref().expect("a summary"), golden.get("pooled"), 1e-5);
    let (deeper, _) = model.encode(&PROMPTS, 3).expect("hidden states");
    assert_close("sdxl text encoders, CLIP skip 3", &deeper, golden.get("context.skip3"), 1e-5);
    let label = model.label(pooled.as_ref(), &[768.0, 1344.0, 16.0, 8.0, 1024.0, 1024.0]).expect("a label");
    let noise = model.predict_noise(golden.get("noise"), 500.5, golden.get("context"), label.as_ref());
    assert_close("sdxl unet", &noise.expect("noise"), golden.get("unet"), 1e-5);
    let latent = golden.get("noise").narrow(0, 0, 1).expect("one latent");
    assert_close("sdxl decoder", &model.decode_latent(&latent).expect("a picture"), golden.get("picture"), 1e-5);
    assert!(model.label(pooled.as_ref(), &[1.0]).is_err(), "one number is not enough");
    assert!(model.predict_noise(golden.get("noise"), 1.0, golden.get("context"), None).is_err(), "no label");
}

#[test]
fn the_refiner_equals_diffusers() {
    let (model, golden) = (model("sdxl-refiner"), Golden::load("sdxl-refiner"));
    assert_eq!((model.info().family.as_str(), model.info().context_width), ("sdxl-refiner", 128));
    let (context, pooled) = model.encode(&PROMPTS, 1).expect("hidden states");
    assert_close("refiner text encoder", &context, golden.get("context"), 1e-5);
    assert_close("refiner pooled text", pooled.as_ref().expect("a summary"), golden.get("pooled"), 1e-5);
    let label = model.label(pooled.as_ref(), &[1024.0, 768.0, 0.0, 0.0, 6.0]).expect("a label");
    let noise = model.predict_noise(golden.get("noise"), 33.0, golden.get("context"), label.as_ref());
    assert_close("refiner unet", &noise.expect("noise"), golden.get("unet"), 1e-5);
}

#[test]
fn inpainting_and_editing_models_equal_diffusers() {
    let name = "model.diffusion_model.input_blocks.0.0.weight";
    for (list, channels, inputs) in [("inpaint", 9, UNetInputs::Inpaint), ("edit", 8, UNetInputs::Edit)] {
        let mut tensors = tensors("tiny");
        tensors.insert(name.to_owned(), tensor(name, &[32, channels, 3, 3]));
        let model = open(&tensors, &OpenOptions::default()).expect("a model");
        assert_eq!((model.info().family.as_str(), model.info().inputs), ("sd1", inputs));
        let golden = Golden::load(list);
        let (context, _) = model.encode(&PROMPTS, 1).expect("hidden states");
        let noise = model.predict_noise(golden.get("noise"), 700.0, &context, None).expect("noise");
        assert_close(&format!("{list} unet"), &noise, golden.get("unet"), 1e-5);
    }
}

#[test]
fn what_a_model_predicts_is_read_from_its_file_and_can_be_overridden() {
    let told = |tensors: &Tensors, options: &OpenOptions| {
        let model = open(tensors, options).expect("a model");
        (model.info().prediction, model.info().zero_snr, model.info().width)
    };
    let none = OpenOptions::default();
    let mut sdxl = with_vae("sdxl");
    assert_eq!(told(&sdxl, &none), (Prediction::Epsilon, false, 1024));
    sdxl.insert("v_pred".to_owned(), mark());
    assert_eq!(told(&sdxl, &none), (Prediction::Velocity, false, 1024));
    sdxl.insert("ztsnr".to_owned(), mark());
    assert_eq!(told(&sdxl, &none), (Prediction::Velocity, true, 1024));
    let mut options = OpenOptions::default();
    (options.prediction, options.zero_snr) = (Some(Prediction::Epsilon), Some(false));
    assert_eq!(told(&sdxl, &options), (Prediction::Epsilon, false, 1024));
    let mut sd2 = with_vae("sd2");
    let name = "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias";
    let wide = (sd2[name].clone() * 5.0).expect("a bias");
    sd2.insert(name.to_owned(), wide);
    assert_eq!(told(&sd2, &none), (Prediction::Velocity, false, 768));
}

#[test]
fn every_family_draws() {
    for list in ["sd2", "sdxl", "sdxl-refiner"] {
        let model = model(list);
        let mut settings = GenerateSettings::recommended(model.info());
        (settings.width, settings.height, settings.steps) = (64, 64, 1);
        settings.prompt = "a banana".to_owned();
        let latent = model.latent(&settings).expect("a latent");
        let size = latent.abs().and_then(|latent| latent.mean_all()).and_then(|mean: Tensor| mean.to_scalar::<f32>());
        let size = size.expect("a number");
        assert!(size > 0.01 && size < 100.0, "{list}: {size}");
    }
}
