//! Models whose weights are computed from tensor names, here and in `scripts/reference/models.py`.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use engine::{EngineError, Model, OpenOptions};

use crate::support::golden_path;

pub(crate) type Tensors = HashMap<String, Tensor>;

/// The tensors that a list in `tests/golden/` names.
pub(crate) fn tensors(list: &str) -> Tensors {
    let listing = fs_err::read_to_string(golden_path(&format!("{list}.tensors.txt"))).expect("the list of tensors");
    listing
        .lines()
        .map(|line| {
            let (name, shape) = line.split_once(' ').expect("name and shape");
            let shape: Vec<usize> = shape.split(',').map(|side| side.parse().expect("a number")).collect();
            (name.to_owned(), tensor(name, &shape))
        })
        .collect()
}

pub(crate) fn tensor(name: &str, shape: &[usize]) -> Tensor {
    Tensor::from_vec(procedural(name, shape), shape, &Device::Cpu).expect("a tensor")
}

/// A tensor whose presence is all that counts.
pub(crate) fn mark() -> Tensor {
    Tensor::zeros(1, DType::F32, &Device::Cpu).expect("a tensor")
}

/// The list's tensors with the VAE of the tiny Stable Diffusion 1.5.
pub(crate) fn with_vae(list: &str) -> Tensors {
    let vae = tensors("tiny").into_iter().filter(|(name, _)| name.starts_with("first_stage_model."));
    tensors(list).into_iter().chain(vae).collect()
}

/// Opens a single file of these tensors.
pub(crate) fn open(tensors: &Tensors, options: &OpenOptions) -> Result<Model, EngineError> {
    let folder = tempfile::Builder::new().prefix("fieldforge-tiny-").tempdir().expect("a folder");
    let file = folder.path().join("fieldforge-tiny.safetensors");
    candle_core::safetensors::save(tensors, &file).expect("a checkpoint");
    Model::open_with(&file, options)
}

/// The weights that `procedural` in `scripts/reference/models.py` makes.
fn procedural(name: &str, shape: &[usize]) -> Vec<f32> {
    let seed = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let unit = |i: u64| {
        let z = seed.wrapping_add(i).wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f64 / 8_388_608.0 - 1.0
    };
    let (offset, scale) = match shape {
        [_] if name.ends_with("weight") => (1.0, 0.1),
        [_] => (0.0, 0.05),
        _ if name.contains("embedding") => (0.0, 0.5),
        _ => (0.0, (3.0 / shape[1..].iter().product::<usize>() as f64).sqrt()),
    };
    (0..shape.iter().product::<usize>() as u64).map(|i| (offset + scale * unit(i)) as f32).collect()
}
