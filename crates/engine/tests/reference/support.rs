//! Golden files, and how far a result may be from them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};

pub(crate) fn golden_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The tensors of one golden file.
pub(crate) struct Golden(HashMap<String, Tensor>);

impl Golden {
    pub(crate) fn load(name: &str) -> Self {
        let path = golden_path(&format!("{name}.safetensors"));
        Self(candle_core::safetensors::load(path, &Device::Cpu).expect("a golden file"))
    }

    pub(crate) fn get(&self, name: &str) -> &Tensor {
        self.0.get(name).unwrap_or_else(|| panic!("the golden file has no `{name}`"))
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

pub(crate) fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().and_then(|tensor| tensor.to_vec1()).expect("f32 values")
}

/// Fails unless `|found - expected| / |expected|` is at most `bound`; prints the figure for `--nocapture`.
#[track_caller]
pub(crate) fn assert_close(what: &str, found: &Tensor, expected: &Tensor, bound: f64) {
    assert_eq!(found.dims(), expected.dims(), "{what}: shape");
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let (found, expected) = (values(found), values(expected));
    let mut differences = found.iter().zip(&expected).map(|(f, e)| f64::from(*f) - f64::from(*e));
    let error = norm(&mut differences) / norm(&mut expected.iter().map(|&value| f64::from(value)));
    record(what, error, bound);
    assert!(error <= bound, "{what}: relative error {error:.2e}, at most {bound:.0e} allowed");
}

/// Fails unless every number has the bits of the expected one.
#[track_caller]
pub(crate) fn assert_same_bits(what: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{what}: length");
    let different: Vec<usize> = (0..found.len()).filter(|&i| found[i].to_bits() != expected[i].to_bits()).collect();
    record(what, different.len() as f64, 0.0);
    let first = different.first().map(|&i| (i, found[i], expected[i]));
    assert!(first.is_none(), "{what}: {} of {} differ, first {first:?}", different.len(), found.len());
}

/// Prints a figure, and adds it to the file that `scripts/fidelity` names, as one line of JSON.
#[track_caller]
#[expect(clippy::print_stderr, reason = "the figures are for people who run one test")]
fn record(what: &str, error: f64, bound: f64) {
    eprintln!("{what}: relative error {error:.2e}");
    let Some(path) = std::env::var_os("FIDELITY_RECORD") else { return };
    let place = std::panic::Location::caller();
    let line = serde_json::json!({
        "what": what,
        "error": format!("{error:e}"), // a NaN has no JSON number
        "bound": bound,
        "file": place.file(),
        "line": place.line(),
    });
    let file = fs_err::OpenOptions::new().append(true).create(true).open(PathBuf::from(path));
    // one write, so that tests in other threads cannot cut the line
    std::io::Write::write_all(&mut file.expect("the record"), format!("{line}\n").as_bytes()).expect("written");
}
