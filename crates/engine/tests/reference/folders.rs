//! Models that are not one whole file: diffusers folders, files of their own for the VAE, files without a part.

use std::path::Path;

use candle_core::Tensor;
use engine::{Model, OpenOptions, Prediction};

use crate::procedural::{Tensors, open, tensor, tensors, with_vae};
use crate::support::{Golden, assert_close, golden_path};

const PROMPTS: [&str; 2] = ["an astronaut riding a horse", ""];

fn save(tensors: &Tensors, path: &Path) {
    fs_err::create_dir_all(path.parent().expect("a folder")).expect("created");
    candle_core::safetensors::save(tensors, path).expect("written");
}

/// The tensors of one part of XL's folder, under diffusers' names.
fn part(all: &Tensors, part: &str) -> Tensors {
    let names = fs_err::read_to_string(golden_path("sdxl.folder.txt")).expect("names");
    let pair = |line: &str| {
        let mut words = line.split(' ');
        let (own, theirs, single) = (words.next()?, words.next()?, words.next()?);
        let tensor = all[single].clone();
        // single files keep the autoencoder's attention as 1x1 convolutions
        let flat = single.contains(".mid.attn_1.") && tensor.dims().len() == 4;
        let tensor = if flat { tensor.flatten_from(1).expect("a matrix") } else { tensor };
        (own == part).then(|| (theirs.to_owned(), tensor))
    };
    names.lines().filter_map(pair).collect()
}

/// OpenCLIP's tensors as transformers has them.
fn transformers(all: &Tensors, prefix: &str) -> Tensors {
    let mut result = Tensors::new();
    for (name, tensor) in all.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?, tensor))) {
        let name = name
            .replace("transformer.resblocks.", "encoder.layers.")
            .replace("token_embedding.", "embeddings.token_embedding.")
            .replace("ln_final.", "final_layer_norm.")
            .replace("ln_1.", "layer_norm1.")
            .replace("ln_2.", "layer_norm2.")
            .replace("mlp.c_fc.", "mlp.fc1.")
            .replace("mlp.c_proj.", "mlp.fc2.")
            .replace("attn.out_proj.", "self_attn.out_proj.");
        if name == "positional_embedding" {
            result.insert("text_model.embeddings.position_embedding.weight".to_owned(), tensor.clone());
        } else if name == "text_projection" {
            let turned = tensor.t().and_then(|tensor| tensor.contiguous()).expect("a matrix");
            result.insert("text_projection.weight".to_owned(), turned);
        } else if let Some((layer, kind)) = name.split_once(".attn.in_proj_") {
            for (part, letter) in tensor.chunk(3, 0).expect("three parts").into_iter().zip(["q", "k", "v"]) {
                let name = format!("text_model.{layer}.self_attn.{letter}_proj.{kind}");
                result.insert(name, part.contiguous().expect("a part"));
            }
        } else {
            result.insert(format!("text_model.{name}"), tensor.clone());
        }
    }
    result
}

/// XL as diffusers saves it, its UNet in two files.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let all = with_vae("sdxl");
    fs_err::write(at("model_index.json"), r#"{"_class_name":"StableDiffusionXLPipeline"}"#).expect("written");
    let unet = part(&all, "unet");
    let file = |name: &str| format!("diffusion_pytorch_model-{}.safetensors", u32::from(name.starts_with("up_")));
    let map: serde_json::Map<_, _> = unet.keys().map(|name| (name.clone(), file(name).into())).collect();
    for which in ["conv_in.weight", "up_blocks.0.resnets.0.conv1.weight"] {
        let shard = unet.iter().filter(|(name, _)| file(name) == file(which)).map(|(n, t)| (n.clone(), t.clone()));
        save(&shard.collect(), &at("unet").join(file(which)));
    }
    let index = serde_json::json!({ "metadata": {}, "weight_map": map }).to_string();
    fs_err::write(at("unet/diffusion_pytorch_model.safetensors.index.json"), index).expect("written");
    save(&part(&all, "vae"), &at("vae/diffusion_pytorch_model.fp16.safetensors"));
    let small = "conditioner.embedders.0.transformer.";
    let small = all.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(small)?.to_owned(), tensor.clone())));
    save(&small.collect(), &at("text_encoder/model.safetensors"));
    save(&transformers(&all, "conditioner.embedders.1.model."), &at("text_encoder_2/model.safetensors"));
    folder
}

#[test]
fn a_diffusers_folder_is_the_same_model() {
    let folder = folder();
    let golden = Golden::load("sdxl");
    let model = Model::open(folder.path()).expect("a model");
    assert_eq!((model.info().family.as_str(), model.info().prediction), ("sdxl", Prediction::Epsilon));
    let found = engine::checkpoint::inspect(folder.path()).expect("a folder");
    assert_eq!(found.family.to_string(), "sdxl");
    let (context, pooled) = model.encode(&PROMPTS, 1).expect("hidden states");
    assert_close("folder text encoders", &context, golden.get("context"), 1e-5);
    assert_close("folder pooled text", pooled.as_ref().expect("a summary"), golden.get("pooled"), 1e-5);
    let label = model.label(pooled.as_ref(), &[768.0, 1344.0, 16.0, 8.0, 1024.0, 1024.0]).expect("a label");
    let noise = model.predict_noise(golden.get("noise"), 500.5, golden.get("context"), label.as_ref());
    assert_close("folder unet", &noise.expect("noise"), golden.get("unet"), 1e-5);
    let latent = golden.get("noise").narrow(0, 0, 1).expect("one latent");
    assert_close("folder decoder", &model.decode_latent(&latent).expect("a picture"), golden.get("picture"), 1e-5);
    drop(model);

    let scheduler = folder.path().join("scheduler/scheduler_config.json");
    fs_err::create_dir_all(scheduler.parent().expect("a folder")).expect("created");
    fs_err::write(scheduler, r#"{"prediction_type":"v_prediction","rescale_betas_zero_snr":true}"#).expect("written");
    let model = Model::open(folder.path()).expect("a model");
    assert_eq!((model.info().prediction, model.info().zero_snr), (Prediction::Velocity, true));
    drop(model);

    let refusal = |folder: &Path| {
        let error = Model::open(folder).err().expect("refused");
        error.to_string().replace(&folder.display().to_string(), "FOLDER").replace('\\', "/")
    };
    fs_err::remove_dir_all(folder.path().join("vae")).expect("removed");
    assert_eq!(refusal(folder.path()), "`FOLDER` has no VAE");
    let index = folder.path().join("unet/diffusion_pytorch_model.safetensors.index.json");
    fs_err::write(&index, r#"{"weight_map":{"conv_in.weight":"../../secret.safetensors"}}"#).expect("written");
    let message = refusal(folder.path());
    assert!(message.contains("`../../secret.safetensors` is not the name of a safetensors file"), "{message}");
    fs_err::write(&index, r#"{"weight_map":{"gone":"diffusion_pytorch_model-0.safetensors"}}"#).expect("written");
    assert!(refusal(folder.path()).ends_with("lacks the tensor `gone`"));
    fs_err::remove_dir_all(folder.path().join("unet")).expect("removed");
    assert_eq!(refusal(folder.path()), "`FOLDER` has no UNet");
    fs_err::create_dir_all(folder.path().join("unet")).expect("created");
    fs_err::write(folder.path().join("unet/diffusion_pytorch_model.bin"), b"PK").expect("written");
    assert!(refusal(folder.path()).contains("is a PyTorch pickle (a part of a diffusers folder)"));
    fs_err::remove_file(folder.path().join("model_index.json")).expect("removed");
    assert!(refusal(folder.path()).ends_with("it is a folder without a `model_index.json`"));
}

#[test]
fn a_vae_of_its_own_takes_the_place_of_the_models() {
    let all = with_vae("sdxl");
    let folder = tempfile::tempdir().expect("a folder");
    let golden = Golden::load("sdxl");
    let latent = golden.get("noise").narrow(0, 0, 1).expect("one latent");
    let without: Tensors = tensors("sdxl");
    let error = open(&without, &OpenOptions::default()).err().expect("no VAE");
    assert!(error.to_string().ends_with("fieldforge-tiny.safetensors` has no VAE"), "{error}");
    assert_eq!(error.hint().as_deref(), Some("name a VAE file besides, or use the full single-file checkpoint"));
    let mut black = all.clone();
    let bias = "first_stage_model.decoder.conv_out.bias";
    black.insert(bias.to_owned(), (all[bias].clone() - 100.0).expect("a bias"));
    let prefix = "first_stage_model.";
    let vae = || all.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(n, t)| (n.clone(), t.clone()));
    let bare: Tensors = vae().map(|(name, tensor)| (name[prefix.len()..].to_owned(), tensor)).collect();
    for (i, tensors) in [vae().collect(), bare, part(&all, "vae")].iter().enumerate() {
        let file = folder.path().join(format!("{i}.safetensors"));
        save(tensors, &file);
        let mut options = OpenOptions::default();
        options.vae = Some(file);
        for model in [&without, &black] {
            let model = open(model, &options).expect("a model");
            let picture = model.decode_latent(&latent).expect("a picture");
            assert_close("decoder of a VAE file", &picture, golden.get("picture"), 1e-5);
        }
    }
    let mut options = OpenOptions::default();
    options.vae = Some(folder.path().join("no-vae.safetensors"));
    let no_vae = Tensors::from([("x".to_owned(), tensor("x", &[2, 2]))]);
    save(&no_vae, options.vae.as_ref().expect("a path"));
    let error = open(&without, &options).err().expect("no VAE");
    assert!(error.to_string().ends_with("no-vae.safetensors` has no VAE"), "{error}");
}

#[test]
fn a_vae_that_breaks_down_is_named() {
    let mut model = with_vae("sdxl");
    let name = "first_stage_model.decoder.conv_in.bias";
    let broken = (model[name].clone() * f64::from(f32::MAX)).and_then(|bias| bias * f64::from(f32::MAX));
    model.insert(name.to_owned(), broken.expect("a bias"));
    let model = open(&model, &OpenOptions::default()).expect("a model");
    let latent = Golden::load("sdxl").get("noise").narrow(0, 0, 1).expect("one latent");
    let error = model.decode_latent(&latent).expect_err("infinities").to_string();
    assert!(error.ends_with("fieldforge-tiny.safetensors` produced values that are not numbers"), "{error}");
}

#[test]
fn a_model_without_text_encoder_says_so() {
    let model: Tensors = with_vae("sdxl").into_iter().filter(|(name, _)| !name.starts_with("conditioner.")).collect();
    let error = open(&model, &OpenOptions::default()).err().expect("no text encoder");
    assert!(error.to_string().ends_with("has no text encoder"), "{error}");
}

#[test]
fn quantized_models_are_named() {
    let squeezed = |name: &str| {
        let mut model = with_vae("sdxl");
        let bytes = Tensor::zeros(4, candle_core::DType::U8, &candle_core::Device::Cpu).expect("bytes");
        model.insert(format!("model.diffusion_model.out.2.{name}"), bytes);
        open(&model, &OpenOptions::default()).err().map(|error| error.to_string()).unwrap_or_default()
    };
    let nf4 = squeezed("weight.quant_state.bitsandbytes__nf4");
    assert!(nf4.ends_with("is quantized (bitsandbytes' NF4); only F16, BF16, F32 and F64 weights are read"), "{nf4}");
    assert!(squeezed("weight").contains("is quantized (8-bit integers)"));
}
