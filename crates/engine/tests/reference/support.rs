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
#[expect(clippy::print_stderr, reason = "the figures are for people who run one test")]
pub(crate) fn assert_close(what: &str, found: &Tensor, expected: &Tensor, bound: f64) {
    assert_eq!(found.dims(), expected.dims(), "{what}: shape");
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let (found, expected) = (values(found), values(expected));
    let mut differences = found.iter().zip(&expected).map(|(f, e)| f64::from(*f) - f64::from(*e));
    let error = norm(&mut differences) / norm(&mut expected.iter().map(|&value| f64::from(value)));
    eprintln!("{what}: relative error {error:.2e}");
    assert!(error <= bound, "{what}: relative error {error:.2e}, at most {bound:.0e} allowed");
}
