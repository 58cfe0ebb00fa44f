//! Files that are not models, half models, and models that lie: an error each, never a panic.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use engine::checkpoint::inspect;
use engine::{EngineError, GenerateSettings, Model};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::golden_path;

/// What a file of this content is refused with: the message (without the folder) and the hint.
fn refusal(name: &str, content: &[u8]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    fs_err::write(&path, content).expect("written");
    let opened = Model::open(&path).err().expect("refused").to_string();
    let inspected = inspect(&path).err();
    let error = inspected.expect("refused");
    assert_eq!(error.to_string(), opened, "inspecting and opening disagree");
    let shown = format!("{error}\nhint: {}", error.hint().unwrap_or_default());
    shown.replace(&format!("{}{}", folder.path().display(), std::path::MAIN_SEPARATOR), "")
}

#[test]
fn every_foreign_file_is_named_for_what_it_is() {
    let zip = b"PK\x03\x04\0\0\x08\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10\0\0\0archive/data.pklFB";
    assert_eq!(
        refusal("renamed.safetensors", zip),
        "`renamed.safetensors` is a PyTorch pickle (a zip archive with a pickle inside), which can run code when it is \
         loaded; only safetensors files are read\n\
         hint: get the same model as `.safetensors`, or convert it on a machine that you can afford to lose"
    );
    assert!(refusal("old.ckpt", b"\x80\x02}q\x00X\x0a\0\0\0state_dict").contains("it starts with a pickle"));
    assert_eq!(
        refusal("m.safetensors", b"<!DOCTYPE html><html><title>Sign in</title>"),
        "`m.safetensors` is a web page, not a model: a download was answered with a login or error page\n\
         hint: download it again, logged in where the site asks for it"
    );
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:e1441589a6f3\nsize 4265146304\n";
    assert_eq!(
        refusal("m.safetensors", pointer),
        "`m.safetensors` is a git-LFS pointer, not the model itself (4265146304 bytes)\n\
         hint: run `git lfs pull` where it came from and copy it again"
    );
    assert!(refusal("m.gguf", b"GGUF\x03\0\0\0\0\0\0\0\0\0").starts_with("`m.gguf` is a GGUF file"));
    assert!(refusal("m", b"").starts_with("`m` is not a safetensors file: it is empty"));
    assert!(refusal("m", b"MZ\x90\0").contains("its first bytes are those of no known model format"));
    assert!(
        refusal("m", b"\x05\0\0\0\0\0\0\0{").contains("is truncated: its header describes 13 bytes, the file has 9")
    );
}

#[test]
fn a_missing_file_and_a_folder_are_named() {
    let error = Model::open(Path::new("no/such/model.safetensors")).err().expect("missing");
    assert!(error.to_string().contains("no/such/model.safetensors"), "{error}");
    assert_eq!(error.hint().as_deref(), Some("check the path"));
    let folder = golden_path("");
    let error = Model::open(&folder).err().expect("a folder");
    assert!(matches!(error, EngineError::NotSafetensors { .. } | EngineError::Read(_)), "{error}");
}

#[test]
fn a_truncated_model_is_refused_with_both_lengths() {
    let whole = fs_err::read(spark()).expect("spark");
    let message = refusal("cut.safetensors", &whole[..whole.len() - 1]);
    let expected = format!(
        "`cut.safetensors` is truncated: its header describes {} bytes, the file has {}\n\
         hint: copy or download the file again",
        whole.len(),
        whole.len() - 1
    );
    assert_eq!(message, expected);
}

#[test]
fn a_family_that_does_not_run_is_named() {
    let error = open_with(|tensors| {
        tensors.push(("model.diffusion_model.joint_blocks.0.x".to_owned(), "F16".to_owned(), vec![8]));
    });
    let error = error.err().expect("refused");
    assert!(
        error.to_string().ends_with("is a Stable Diffusion 3 checkpoint, which this version does not run"),
        "{error}"
    );
}

#[test]
fn a_missing_and_a_misshapen_tensor_are_named() {
    let name = "first_stage_model.decoder.conv_in.weight";
    let error = open_with(|tensors| tensors.retain(|(tensor, ..)| tensor != name)).err().expect("refused");
    assert!(error.to_string().ends_with(&format!("lacks the tensor `{name}`")), "{error}");
    let error = open_with(|tensors| {
        let bias = tensors.iter_mut().find(|(name, ..)| name == "model.diffusion_model.out.2.bias").expect("there");
        bias.2 = vec![5];
    });
    let error = error.err().expect("refused").to_string();
    assert!(
        error.ends_with("tensor `model.diffusion_model.out.2.bias` is F16 [5], expected a vector of length 4"),
        "{error}"
    );
}

fn spark() -> PathBuf {
    golden_path("../../../../models/spark/spark.safetensors")
}

/// Name, type and shape of a tensor.
type Entry = (String, String, Vec<u64>);

/// spark's tensors.
fn entries() -> Vec<Entry> {
    let whole = fs_err::read(spark()).expect("spark");
    let size = u64::from_le_bytes(whole[..8].try_into().expect("8 bytes")) as usize;
    let header: serde_json::Map<String, Value> = serde_json::from_slice(&whole[8..8 + size]).expect("a header");
    let entry = |(name, value): (&String, &Value)| {
        let shape = serde_json::from_value(value["shape"].clone()).expect("a shape");
        (name.clone(), value["dtype"].as_str().expect("a type").to_owned(), shape)
    };
    header.iter().filter(|(name, _)| *name != "__metadata__").map(entry).collect()
}

/// Opens a sound file with spark's tensors after `change`, all zeros.
fn open_with(change: impl FnOnce(&mut Vec<Entry>)) -> Result<Model, EngineError> {
    let mut tensors = entries();
    change(&mut tensors);
    let mut at = 0;
    let mut header = serde_json::Map::new();
    for (name, dtype, shape) in tensors {
        let width = match dtype.as_str() {
            "F16" | "BF16" => 2,
            "I64" | "F64" => 8,
            "U8" => 1,
            _ => 4,
        };
        let start = at;
        at += shape.iter().product::<u64>() * width;
        header.insert(name, json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, at] }));
    }
    let header = serde_json::to_vec(&header).expect("json");
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(&(header.len() as u64).to_le_bytes()).expect("written");
    file.write_all(&header).expect("written");
    file.as_file().set_len(8 + header.len() as u64 + at).expect("a sparse file");
    Model::open(file.path())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// One tensor with another shape or type, or gone: an error or a model that works, never a panic.
    #[test]
    fn a_model_with_one_changed_tensor_never_panics(
        which in any::<prop::sample::Index>(),
        shape in prop::collection::vec(prop::sample::select(vec![0_u64, 1, 2, 3, 4, 8, 31, 32, 64, 96, 128, 256]), 0..5),
        dtype in prop::sample::select(vec!["F16", "BF16", "F32", "F64", "I64", "U8"]),
        gone in prop::bool::weighted(0.2),
    ) {
        prop_assume!(shape.iter().product::<u64>() < 1 << 22);
        let model = open_with(|tensors| {
            let at = which.index(tensors.len());
            if gone {
                tensors.remove(at);
            } else {
                tensors[at].1 = dtype.to_owned();
                tensors[at].2 = shape.clone();
            }
        });
        if let Ok(model) = model {
            let settings = GenerateSettings { steps: 1, width: 64, height: 64, ..GenerateSettings::recommended(model.info()) };
            let _ = model.generate(&settings, &mut |_| ControlFlow::Continue(()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any bytes, with or without a plausible start.
    #[test]
    fn any_bytes_are_inspected_without_panic(
        claimed in prop::option::of(0_u64..300),
        text in "\\{?(\"[a_]{1,3}\":|\\{|\\}|\\[|\\]|,|[0-9]{1,20}|\"dtype\":\"F16\"|\"shape\":\\[2,2\\]|\"data_offsets\":\\[0,8\\])*\\}?",
        rest in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut bytes = claimed.unwrap_or(text.len() as u64).to_le_bytes().to_vec();
        bytes.extend(text.as_bytes());
        bytes.extend(&rest);
        let _ = engine::checkpoint::inspect_bytes("test", &bytes);
        let _ = engine::checkpoint::inspect_bytes("test", &rest);
    }

    /// A sound header with one byte changed.
    #[test]
    fn a_flipped_byte_is_inspected_without_panic(place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let json = br#"{"__metadata__":{"k":"v"},"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1,1],"data_offsets":[4,8]}}"#;
        let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
        bytes.extend(json);
        bytes.extend([0; 8]);
        let at = place.index(bytes.len());
        bytes[at] = byte;
        let _ = engine::checkpoint::inspect_bytes("test", &bytes);
    }

    /// PNG files with one byte changed.
    #[test]
    fn a_damaged_png_is_read_without_panic(place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let picture = engine::Picture { width: 4, height: 4, rgb: vec![7; 48] };
        let mut file = picture.to_png(&[("parameters", "x"), ("note", "№")]).expect("a file");
        let at = place.index(file.len());
        file[at] = byte;
        let _ = engine::Picture::from_png(&file);
    }
}
