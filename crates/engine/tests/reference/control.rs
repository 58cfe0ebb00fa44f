//! ControlNets against diffusers, and Canny's edges against OpenCV.

use std::sync::LazyLock;

use candle_core::{DType, Tensor};
use engine::{
    Control, ControlNet, Controls, EngineError, GenerateSettings, Inputs, Model, OpenOptions, Picture, canny,
};
use tempfile::NamedTempFile;

use crate::networks::checkpoint_of;
use crate::procedural;
use crate::support::{Golden, assert_close, values};
use crate::tiny;

/// A ControlNet's file. Rows of the list are single-file name, `=`, diffusers' name; `salt` goes in front of the name
/// that weights are computed from.
fn file(list: &str, salt: &str, diffusers: bool) -> NamedTempFile {
    checkpoint_of(list, "", |names, shape| {
        let (single, own) = names.split_once('=').expect("two names");
        let stored = if diffusers { own } else { single };
        (stored.to_owned(), procedural::tensor(&format!("{salt}{single}"), shape))
    })
}

/// The picture of a `[1, 3, height, width]` tensor of 0 to 1.
fn picture(tensor: &Tensor) -> Picture {
    let (_, _, height, width) = tensor.dims4().expect("a picture");
    let last = tensor.permute((0, 2, 3, 1)).and_then(|tensor| tensor.contiguous()).expect("channels last");
    let rgb = values(&last).iter().map(|value| (value * 255.0).round() as u8).collect();
    Picture { width: width as u32, height: height as u32, rgb }
}

/// What one or two ControlNets make of a golden latent.
fn compare(name: &str, model: &Model, context: &Tensor, label: Option<&Tensor>, diffusers: bool) {
    let golden = Golden::load(name);
    let nets: Vec<ControlNet> =
        ["", "other."].map(|salt| ControlNet::open(file(name, salt, diffusers).path()).expect("a ControlNet")).into();
    let hint = picture(golden.get("hint"));
    let one = Control { weight: 0.7, ..Control::new(&nets[0], &hint) };
    let two = Control { weight: 0.4, ..Control::new(&nets[1], &hint) };
    for (which, controls) in [("plain", vec![]), ("one", vec![one]), ("two", vec![one, two])] {
        let controls = Controls::new(model, &controls, hint.width, hint.height).expect("controls");
        let found = model.predict_noise_controlled(golden.get("latent"), 500.0, context, label, &controls);
        assert_close(
            &format!("{name} {which}{}", if diffusers { " in diffusers' names" } else { "" }),
            &found.expect("noise"),
            golden.get(which),
            1e-5,
        );
    }
}

#[test]
fn controlnets_of_stable_diffusion_1_equal_diffusers() {
    for diffusers in [false, true] {
        compare("controlnet", &tiny::MODEL, Golden::load("tiny").get("context"), None, diffusers);
    }
}

#[test]
fn controlnets_of_xl_equal_diffusers() {
    let model = procedural::open(&procedural::with_vae("sdxl"), &OpenOptions::default()).expect("a tiny model");
    let golden = Golden::load("sdxl");
    let sizes = [768.0, 1344.0, 16.0, 8.0, 1024.0, 1024.0];
    let label = model.label(Some(golden.get("pooled")), &sizes).expect("a label");
    for diffusers in [false, true] {
        compare("controlnet-sdxl", &model, golden.get("context"), label.as_ref(), diffusers);
    }
}

static NET: LazyLock<ControlNet> =
    LazyLock::new(|| ControlNet::open(file("controlnet", "", false).path()).expect("a ControlNet"));

#[test]
fn a_control_counts_between_its_start_and_its_end() {
    let golden = Golden::load("controlnet");
    let hint = picture(golden.get("hint"));
    let control = Control { start: 0.2, end: 0.6, ..Control::new(&NET, &hint) };
    let controls = Controls::new(&tiny::MODEL, &[control], hint.width, hint.height).expect("controls");
    let context = Golden::load("tiny").get("context").clone();
    for (timestep, active) in [(999.0, false), (801.0, false), (799.0, true), (400.0, true), (399.0, false)] {
        let latent = golden.get("latent");
        let plain = tiny::MODEL.predict_noise(latent, timestep, &context, None).expect("noise");
        let found = tiny::MODEL.predict_noise_controlled(latent, timestep, &context, None, &controls).expect("noise");
        assert_eq!(values(&plain) != values(&found), active, "{timestep}");
    }
}

#[test]
fn unfit_controls_are_refused() {
    let hint = Picture { width: 64, height: 64, rgb: vec![0; 64 * 64 * 3] };
    let refusal = |model: &Model, control: Control<'_>| {
        Controls::new(model, &[control], 64, 64).err().expect("refused").to_string()
    };
    let control = Control::new(&NET, &hint);
    let nothing = Picture { width: 0, height: 0, rgb: Vec::new() };
    assert!(Controls::new(&tiny::MODEL, &[Control { picture: &nothing, ..control }], 64, 64).is_err());
    let strong = Control { weight: -1.0, ..control };
    assert_eq!(refusal(&tiny::MODEL, strong), "ControlNet weight is -1, expected 0 to 10");
    let late = Control { start: 0.9, end: 0.1, ..control };
    assert!(refusal(&tiny::MODEL, late).starts_with("ControlNet range is from 0.9 to 0.1"));
    let other = procedural::open(&procedural::with_vae("sdxl"), &OpenOptions::default()).expect("a tiny model");
    assert_eq!(refusal(&other, control), "ControlNet is for models of 128 features per word, expected one for 192");
    let error = ControlNet::open(&crate::spark::path()).err().expect("refused");
    assert!(matches!(error, EngineError::WrongKind { expected: "a ControlNet", .. }), "{error}");
}

#[test]
fn a_folder_as_diffusers_saves_it_is_the_same_controlnet() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = file("controlnet", "", true);
    fs_err::copy(whole.path(), folder.path().join("diffusion_pytorch_model.safetensors")).expect("copied");
    let net = ControlNet::open(folder.path()).expect("a ControlNet");
    assert_eq!(net.family(), NET.family());
}

#[test]
fn pictures_are_drawn_with_controls() {
    let hint = picture(Golden::load("controlnet").get("hint"));
    let settings =
        GenerateSettings { width: 72, height: 64, steps: 2, ..GenerateSettings::recommended(tiny::MODEL.info()) };
    let latent = |controls: &[Control<'_>]| {
        let inputs = Inputs { controls, ..Inputs::default() };
        values(&tiny::MODEL.latent_from(&settings, &inputs).expect("a latent"))
    };
    let full = Control::new(&NET, &hint);
    let without = latent(&[]);
    assert_eq!(latent(&[Control { weight: 0.0, ..full }]), without);
    assert_ne!(latent(&[full]), without);
}

#[test]
fn edges_equal_opencv() {
    let golden = Golden::load("canny");
    let bytes = |name: &str| {
        let tensor = golden.get(name).to_dtype(DType::F32).expect("numbers");
        values(&tensor).iter().map(|value| *value as u8).collect::<Vec<u8>>()
    };
    let mut cases = 0;
    for name in golden.names().filter(|name| !name.ends_with("picture")) {
        let mut parts = name.split('.');
        let mut next = || parts.next().expect("name and thresholds");
        let (picture, low, high) = (next(), next().parse().expect("low"), next().parse().expect("high"));
        let (height, width, _) = golden.get(&format!("{picture}.picture")).dims3().expect("a picture");
        let rgb = bytes(&format!("{picture}.picture"));
        let edges = canny(&Picture { width: width as u32, height: height as u32, rgb }, low, high);
        let found: Vec<u8> = edges.rgb.chunks_exact(3).map(|pixel| pixel[0]).collect();
        let expected = bytes(name);
        let different = found.iter().zip(&expected).filter(|(found, expected)| found != expected).count();
        assert_eq!(different, 0, "{name}: {different} of {} pixels differ", expected.len());
        assert!(expected.contains(&255) || picture == "smooth", "{name} has no edges");
        cases += 1;
    }
    assert_eq!(cases, 12);
}
