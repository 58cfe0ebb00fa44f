//! Small networks besides the model: the preview's decoder and the upscalers.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;

use candle_core::{Device, Tensor};
use engine::{EngineError, GenerateSettings, Model, OpenOptions, Picture, Taesd, Upscaler};
use tempfile::NamedTempFile;

use crate::procedural;
use crate::support::{Golden, assert_close, golden_path};

/// A file of procedural tensors: those of `list` whose names start with `prefix`, stored under what `rename` makes of
/// the rest.
fn checkpoint(list: &str, prefix: &str, rename: impl Fn(&str) -> String) -> NamedTempFile {
    checkpoint_of(list, prefix, |name, shape| (rename(name), procedural::tensor(name, shape)))
}

/// A file of the tensors that `make` gives for the rows of `list` that start with `prefix`, and their names.
pub(crate) fn checkpoint_of(
    list: &str,
    prefix: &str,
    make: impl Fn(&str, &[usize]) -> (String, Tensor),
) -> NamedTempFile {
    let listing = fs_err::read_to_string(golden_path(&format!("{list}.tensors.txt"))).expect("the list of tensors");
    let tensors: HashMap<String, Tensor> = listing
        .lines()
        .filter_map(|line| line.strip_prefix(prefix))
        .map(|line| {
            let (name, shape) = line.split_once(' ').expect("name and shape");
            let shape: Vec<usize> = shape.split(',').map(|side| side.parse().expect("a number")).collect();
            make(name, &shape)
        })
        .collect();
    assert!(!tensors.is_empty(), "{prefix}");
    let file = tempfile::Builder::new().suffix(".safetensors").tempfile().expect("a file");
    candle_core::safetensors::save(&tensors, file.path()).expect("a checkpoint");
    file
}

#[test]
fn tiny_decoder_equals_diffusers_with_every_set_of_names() {
    let golden = Golden::load("taesd");
    type Rename = fn(usize, &str) -> String;
    let layouts: [(&str, Rename); 3] = [
        ("published", |number, rest| format!("{number}.{rest}")),
        ("whole", |number, rest| format!("decoder.{number}.{rest}")),
        ("diffusers", |number, rest| format!("decoder.layers.{}.{rest}", number - 1)),
    ];
    for (layout, rename) in layouts {
        let file = checkpoint("taesd", "", |name| {
            let (number, rest) = name.split_once('.').expect("a numbered tensor");
            rename(number.parse().expect("a number"), rest)
        });
        let decoder = Taesd::open(file.path()).expect("a decoder");
        let picture = decoder.decode(golden.get("latent")).expect("a picture");
        assert_close(&format!("taesd decoder {layout}"), &picture, golden.get("picture"), 1e-5);
    }
}

#[test]
fn upscalers_equal_spandrel() {
    let golden = Golden::load("upscaler");
    let mut cases = 0;
    for case in golden.names().filter(|name| *name != "picture") {
        let file = checkpoint("upscaler", &format!("{case}/"), str::to_owned);
        let upscaler = Upscaler::open(file.path()).expect("an upscaler");
        assert!(case.ends_with(&format!("-x{}", upscaler.factor())), "{case}: {}", upscaler.factor());
        let found = upscaler.forward(golden.get("picture")).expect("a picture");
        assert_close(&format!("upscaler {case}"), &found, golden.get(case), 1e-5);
        cases += 1;
    }
    assert_eq!(cases, 10);
}

/// A picture with a gradient.
fn picture(width: u32, height: u32) -> Picture {
    let rgb = (0..height * width).flat_map(|i| [i % width * 255 / width, i / width * 255 / height, i % 251]);
    Picture { width, height, rgb: rgb.map(|value| value as u8).collect() }
}

#[test]
fn a_picture_is_enlarged_in_tiles_and_can_be_stopped() {
    let file = checkpoint("upscaler", "compact-x2/", |name| format!("params_ema.{name}"));
    let upscaler = Upscaler::open(file.path()).expect("an upscaler");
    let mut tiles = Vec::new();
    let large = upscaler.upscale(&picture(400, 30), &mut |done, count| {
        tiles.push((done, count));
        ControlFlow::Continue(())
    });
    let large = large.expect("a picture");
    assert_eq!((large.width, large.height, large.rgb.len()), (800, 60, 800 * 60 * 3));
    assert_eq!(tiles, [(1, 2), (2, 2)]);
    // what a tile's end does not see reaches 4 pixels far, and tiles share 16
    let whole = Tensor::from_vec(picture(400, 30).rgb, (1, 30, 400, 3), &Device::Cpu)
        .and_then(|x| {
            x.to_dtype(candle_core::DType::F32)?.affine(1.0 / 255.0, 0.0)?.permute((0, 3, 1, 2))?.contiguous()
        })
        .expect("a picture");
    let whole = upscaler.forward(&whole).and_then(|x| Ok(x.permute((0, 2, 3, 1))?.contiguous()?)).expect("a picture");
    let bytes =
        crate::support::values(&whole).iter().map(|value| (value.clamp(0.0, 1.0) * 255.0).round() as u8).collect();
    let whole = Picture { rgb: bytes, ..large.clone() };
    assert!(large.psnr(&whole).expect("one size") > 45.0, "{:?}", large.psnr(&whole));
    let stopped = upscaler.upscale(&picture(400, 30), &mut |_, _| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(EngineError::Cancelled)));
    let nothing = upscaler.upscale(&picture(0, 0), &mut |_, _| ControlFlow::Continue(()));
    assert!(matches!(nothing, Err(EngineError::Setting { .. })));
}

#[test]
fn other_files_are_refused_by_name() {
    let spark = crate::spark::path();
    let refused = |error: Option<EngineError>| {
        let error = error.expect("refused");
        (error.to_string(), error.hint().unwrap_or_default())
    };
    let (message, hint) = refused(Upscaler::open(&spark).err());
    assert!(
        message.ends_with("is a Stable Diffusion 1.x checkpoint, not an upscaler (ESRGAN or Real-ESRGAN)"),
        "{message}"
    );
    assert_eq!(hint, "choose an upscaler (ESRGAN or Real-ESRGAN) as a `.safetensors` file");
    let (message, _) = refused(Taesd::open(&spark).err());
    assert!(message.ends_with("is a Stable Diffusion 1.x checkpoint, not a tiny autoencoder (TAESD)"), "{message}");
    let folder = tempfile::tempdir().expect("a folder");
    let pickle = folder.path().join("RealESRGAN_x4plus.pth");
    fs_err::write(&pickle, b"PK\x03\x04\0\0\x08\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10\0\0\0archive/data.pklFB")
        .expect("written");
    let (message, hint) = refused(Upscaler::open(&pickle).err());
    assert!(message.contains("RealESRGAN_x4plus.pth` is a PyTorch pickle"), "{message}");
    assert!(hint.starts_with("get the same model as `.safetensors`"), "{hint}");
    assert!(matches!(Upscaler::open(Path::new("no/such/file")), Err(EngineError::Read(_))));
}

#[test]
fn previews_come_from_the_tiny_decoder_where_there_is_one() {
    let file = checkpoint("taesd", "", str::to_owned);
    let mut options = OpenOptions::default();
    options.taesd = Some(file.path().to_owned());
    let model = Model::open_with(&crate::spark::path(), &options).expect("spark");
    let mut settings =
        GenerateSettings { steps: 1, width: 136, height: 72, ..GenerateSettings::recommended(model.info()) };
    settings.prompt = "a red apple".to_owned();
    let preview = |model: &Model| {
        let mut seen = None;
        let drawn = model.generate(&settings, &mut |step| {
            seen = step.preview();
            ControlFlow::Continue(())
        });
        drawn.map(|_| seen.expect("a preview")).expect("a picture")
    };
    let (tiny, rough) = (preview(&model), preview(&crate::spark::MODEL));
    assert_eq!((tiny.width, tiny.height), (136, 72));
    assert_eq!((rough.width, rough.height), (17, 9));
    let latent = model.latent(&settings).expect("a latent");
    let expected = Taesd::open(file.path()).and_then(|decoder| decoder.decode(&latent)).expect("a picture");
    let byte = |value: &f32| ((value * 0.5 + 0.5).clamp(0.0, 1.0) * 255.0).round() as u8;
    let last = expected.permute((0, 2, 3, 1)).and_then(|picture| picture.contiguous()).expect("channels last");
    let rgb = crate::support::values(&last).iter().map(byte).collect();
    let likeness = tiny.psnr(&Picture { rgb, ..tiny.clone() }).expect("one size");
    assert!(likeness > 45.0, "{likeness} dB"); // the last step's rounding is between them
}
