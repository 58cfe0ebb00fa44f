use std::path::Path;

use half::{bf16, f16};
use memmap2::Mmap;
use rayon::prelude::*;
use safetensors::Dtype;

use super::{Header, TensorEntry};
use crate::EngineError;

/// One safetensors file, mapped or part of the program.
pub(super) struct Source {
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

impl Source {
    /// Maps the file and checks its header.
    pub(super) fn open(path: &Path) -> Result<Self, EngineError> {
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
    pub(super) fn from_static(name: &str, bytes: &'static [u8]) -> Result<Self, EngineError> {
        Self::new(name.to_owned(), Bytes::Static(bytes))
    }

    fn new(file: String, bytes: Bytes) -> Result<Self, EngineError> {
        let header = Header::parse(&file, bytes.all(), bytes.all().len() as u64)?;
        Ok(Self { file, header, bytes })
    }

    pub(super) fn file(&self) -> &str {
        &self.file
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    /// Whether the elements of a tensor of this type can be widened to f32.
    pub(super) fn is_floating(dtype: Dtype) -> bool {
        matches!(dtype, Dtype::F16 | Dtype::BF16 | Dtype::F32 | Dtype::F64)
    }

    /// The elements `start..end` of a floating-point tensor, widened to f32; `None` for another type, or for elements
    /// that it does not have.
    pub(super) fn values(&self, entry: &TensorEntry, start: usize, end: usize) -> Option<Vec<f32>> {
        let (first, last) = entry.range();
        let base = self.header.data_start();
        let bytes = self.bytes.all().get(base + first as usize..base + last as usize)?;
        let width = entry.dtype().bitsize() / 8;
        let bytes = bytes.get(start.checked_mul(width)?..end.checked_mul(width)?)?;
        match entry.dtype() {
            Dtype::F16 => Some(widened(bytes, |b: [u8; 2]| f16::from_le_bytes(b).to_f32())),
            Dtype::BF16 => Some(widened(bytes, |b: [u8; 2]| bf16::from_le_bytes(b).to_f32())),
            Dtype::F32 => Some(widened(bytes, f32::from_le_bytes)),
            Dtype::F64 => Some(widened(bytes, |b: [u8; 8]| f64::from_le_bytes(b) as f32)),
            _ => None,
        }
    }
}

fn widened<const N: usize>(bytes: &[u8], f: impl Fn([u8; N]) -> f32 + Sync) -> Vec<f32> {
    let (elements, _) = bytes.as_chunks::<N>();
    elements.par_iter().with_min_len(8192).map(|&element| f(element)).collect()
}
