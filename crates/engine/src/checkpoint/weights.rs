use std::path::Path;

use candle_core::{Device, Tensor};
use half::{bf16, f16};
use memmap2::Mmap;
use rayon::prelude::*;
use safetensors::Dtype;

use super::{Header, TensorEntry};
use crate::EngineError;

/// A checkpoint's tensors, mapped from a file or taken from memory, and widened to f32 as they are asked for.
pub(crate) struct Weights {
    file: String,
    header: Header,
    bytes: Bytes,
}

enum Bytes {
    Mapped(Mmap),
    Static(&'static [u8]),
}

impl Bytes {
    fn all(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Static(bytes) => bytes,
        }
    }
}

impl Weights {
    /// Maps the file and checks its header.
    pub(crate) fn open(path: &Path) -> Result<Self, EngineError> {
        super::inspect(path)?; // names folders, short files and foreign formats before anything is mapped
        let file = fs_err::File::open(path)?;
        // SAFETY: installed weights are not written to while a program runs (a bundle's installer writes beside and
        // renames). If someone truncates the file all the same, reading it raises SIGBUS: the process ends, and
        // nothing wrong is computed.
        #[expect(unsafe_code, reason = "mapping is the only way to read 2 GB without a second copy")]
        let map = unsafe { Mmap::map(file.file())? };
        Self::new(path.display().to_string(), Bytes::Mapped(map))
    }

    /// Takes a file that is part of the program.
    pub(crate) fn from_static(name: &str, bytes: &'static [u8]) -> Result<Self, EngineError> {
        Self::new(name.to_owned(), Bytes::Static(bytes))
    }

    fn new(file: String, bytes: Bytes) -> Result<Self, EngineError> {
        let header = Header::parse(&file, bytes.all(), bytes.all().len() as u64)?;
        Ok(Self { file, header, bytes })
    }

    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// The tensors whose names start with `prefix` and a dot.
    pub(crate) fn scope(&self, prefix: &str) -> Scope<'_> {
        Scope { weights: self, prefix: prefix.to_owned() }
    }
}

/// A part of a checkpoint: the tensors under one prefix.
#[derive(Clone)]
pub(crate) struct Scope<'a> {
    weights: &'a Weights,
    prefix: String,
}

impl Scope<'_> {
    /// The part of this part that is called `name`.
    pub(crate) fn scope(&self, name: &str) -> Self {
        Self { weights: self.weights, prefix: self.name(name) }
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.weights.header.get(&self.name(name)).is_some()
    }

    fn name(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}.{name}", self.prefix) }
    }

    fn entry(&self, name: &str) -> Result<&TensorEntry, EngineError> {
        let tensor = self.name(name);
        let missing = || EngineError::MissingTensor { file: self.weights.file.clone(), tensor: tensor.clone() };
        self.weights.header.get(&tensor).ok_or_else(missing)
    }

    /// The shape of a tensor.
    pub(crate) fn shape(&self, name: &str) -> Result<&[usize], EngineError> {
        Ok(self.entry(name)?.shape())
    }

    /// An error about a tensor that is there but does not fit.
    pub(crate) fn unfit(&self, name: &str, expected: &str) -> EngineError {
        let found =
            self.entry(name).map_or("missing".to_owned(), |entry| format!("{:?} {:?}", entry.dtype(), entry.shape()));
        EngineError::UnfitTensor {
            file: self.weights.file.clone(),
            tensor: self.name(name),
            expected: expected.to_owned(),
            found,
        }
    }

    /// A one-dimensional tensor of `length` elements (any length if `None`).
    pub(crate) fn vector(&self, name: &str, length: Option<usize>) -> Result<Tensor, EngineError> {
        let fits = matches!(self.shape(name)?, [found] if length.is_none_or(|length| length == *found) && *found > 0);
        if !fits {
            let length = length.map_or("any length".to_owned(), |length| format!("length {length}"));
            return Err(self.unfit(name, &format!("a vector of {length}")));
        }
        let values = self.values(name)?;
        Ok(Tensor::from_vec(values, self.shape(name)?, &Device::Cpu)?)
    }

    /// A two-dimensional tensor as it is stored.
    pub(crate) fn table(&self, name: &str) -> Result<Tensor, EngineError> {
        let shape = self.shape(name)?;
        if shape.len() != 2 || shape.contains(&0) {
            return Err(self.unfit(name, "a matrix"));
        }
        Ok(Tensor::from_vec(self.values(name)?, shape, &Device::Cpu)?)
    }

    /// The weight of a dense layer or a 1x1 convolution, transposed for `x · weight`.
    ///
    /// # Shapes
    /// - in the file: `[outputs, inputs]` or `[outputs, inputs, 1, 1]`; result: `[inputs, outputs]`
    pub(crate) fn dense(&self, name: &str) -> Result<Tensor, EngineError> {
        match *self.shape(name)? {
            [outputs, inputs] | [outputs, inputs, 1, 1] if outputs * inputs > 0 => {
                Ok(Tensor::from_vec(self.transposed(name, outputs, inputs, 1)?, (inputs, outputs), &Device::Cpu)?)
            }
            _ => Err(self.unfit(name, "a matrix or a 1x1 convolution")),
        }
    }

    /// The weight of a 3x3 convolution, rearranged for a product with channels-last patches.
    ///
    /// # Shapes
    /// - in the file: `[outputs, inputs, 3, 3]`; result: `[3 * 3 * inputs, outputs]`
    pub(crate) fn convolution(&self, name: &str) -> Result<Tensor, EngineError> {
        match *self.shape(name)? {
            [outputs, inputs, 3, 3] if outputs * inputs > 0 => {
                Ok(Tensor::from_vec(self.transposed(name, outputs, inputs, 9)?, (9 * inputs, outputs), &Device::Cpu)?)
            }
            _ => Err(self.unfit(name, "a 3x3 convolution")),
        }
    }

    /// `[outputs, inputs, taps]` as `[taps, inputs, outputs]`, a few inputs at a time so that reads stay together.
    fn transposed(&self, name: &str, outputs: usize, inputs: usize, taps: usize) -> Result<Vec<f32>, EngineError> {
        const INPUTS: usize = 16;
        let source = self.values(name)?;
        let tiles: Vec<Vec<f32>> = (0..inputs.div_ceil(INPUTS))
            .into_par_iter()
            .map(|tile| {
                let first = tile * INPUTS;
                let count = INPUTS.min(inputs - first);
                let mut out = vec![0.0; count * taps * outputs];
                for o in 0..outputs {
                    let row = &source[(o * inputs + first) * taps..(o * inputs + first + count) * taps];
                    for (at, &value) in row.iter().enumerate() {
                        out[at * outputs + o] = value;
                    }
                }
                out
            })
            .collect();
        let mut result = vec![0.0; source.len()];
        drop(source);
        for (tile, values) in tiles.iter().enumerate() {
            for (at, row) in values.chunks_exact(outputs).enumerate() {
                let (input, tap) = (tile * INPUTS + at / taps, at % taps);
                let start = (tap * inputs + input) * outputs;
                result[start..start + outputs].copy_from_slice(row);
            }
        }
        Ok(result)
    }

    /// All elements of a floating-point tensor, widened to f32.
    fn values(&self, name: &str) -> Result<Vec<f32>, EngineError> {
        let entry = self.entry(name)?;
        let (start, end) = entry.range();
        let base = self.weights.header.data_start();
        let bytes = self.weights.bytes.all().get(base + start as usize..base + end as usize);
        let bytes = bytes.ok_or_else(|| self.unfit(name, "inside the file"))?;
        match entry.dtype() {
            Dtype::F16 => Ok(widened(bytes, |b: [u8; 2]| f16::from_le_bytes(b).to_f32())),
            Dtype::BF16 => Ok(widened(bytes, |b: [u8; 2]| bf16::from_le_bytes(b).to_f32())),
            Dtype::F32 => Ok(widened(bytes, f32::from_le_bytes)),
            Dtype::F64 => Ok(widened(bytes, |b: [u8; 8]| f64::from_le_bytes(b) as f32)),
            _ => Err(self.unfit(name, "F16, BF16, F32 or F64")),
        }
    }
}

fn widened<const N: usize>(bytes: &[u8], f: impl Fn([u8; N]) -> f32 + Sync) -> Vec<f32> {
    let (elements, _) = bytes.as_chunks::<N>();
    elements.par_iter().with_min_len(8192).map(|&element| f(element)).collect()
}
