use std::path::Path;

use half::slice::HalfBitsSliceExt as _;
use half::{bf16, f16};
use memmap2::Mmap;
use rayon::prelude::*;
use safetensors::Dtype;

use super::{Header, TensorEntry};
use crate::EngineError;
use crate::kernels::weight::Elements;

/// One safetensors file, mapped or part of the program.
pub(super) struct Source {
    file: String,
    header: Header,
    bytes: Bytes,
}

enum Bytes {
    Mapped(Mmap),
    Static(&'static [u8]),
    Owned(Vec<u8>),
}

impl Bytes {
    fn all(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Static(bytes) => bytes,
            Self::Owned(bytes) => bytes,
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

    /// Takes a file that is in memory.
    pub(super) fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self, EngineError> {
        Self::new(name.to_owned(), Bytes::Owned(bytes))
    }

    fn new(file: String, bytes: Bytes) -> Result<Self, EngineError> {
        let header = Header::parse(&file, bytes.all(), bytes.all().len() as u64)?;
        Ok(Self { file, header, bytes })
    }

    /// Takes a range of the file out of memory. It comes back, from the system's cache as a rule, when it is read.
    pub(super) fn release(&self, range: std::ops::Range<usize>) {
        #[cfg(unix)]
        if let Bytes::Mapped(map) = &self.bytes {
            // SAFETY: the map is shared and only read, so nothing is lost: what is dropped is read from the file again.
            #[expect(unsafe_code, reason = "dropping pages of a map that were written to would lose them")]
            let released =
                unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, range.start, range.len()) };
            // a system that cannot keeps the pages, which costs memory and nothing else
            let _ = released;
        }
    }

    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// The file's length in bytes.
    pub(super) fn length(&self) -> u64 {
        self.bytes.all().len() as u64
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    /// Whether the elements of a tensor of this type can be widened to f32.
    pub(super) fn is_floating(dtype: Dtype) -> bool {
        matches!(dtype, Dtype::F16 | Dtype::BF16 | Dtype::F32 | Dtype::F64)
    }

    /// The only element of a tensor, whatever its type: trainers write single numbers as floats and as integers.
    pub(super) fn number(&self, entry: &TensorEntry) -> Option<f64> {
        if entry.elements() != 1 {
            return None;
        }
        if Self::is_floating(entry.dtype()) {
            return self.values(entry, 0, 1)?.first().map(|&value| f64::from(value));
        }
        let (first, last) = entry.range();
        let base = self.header.data_start();
        let bytes = self.bytes.all().get(base + first as usize..base + last as usize)?;
        match *bytes {
            [a] if matches!(entry.dtype(), Dtype::U8 | Dtype::BOOL) => Some(f64::from(a)),
            [a] if entry.dtype() == Dtype::I8 => Some(f64::from(a as i8)),
            [a, b] if entry.dtype() == Dtype::I16 => Some(f64::from(i16::from_le_bytes([a, b]))),
            [a, b, c, d] if entry.dtype() == Dtype::I32 => Some(f64::from(i32::from_le_bytes([a, b, c, d]))),
            _ if entry.dtype() == Dtype::I64 => Some(i64::from_le_bytes(bytes.try_into().ok()?) as f64),
            _ => None,
        }
    }

    /// All elements of a tensor where they lie: those of F16, BF16 and F32 that are aligned.
    pub(super) fn elements(&self, entry: &TensorEntry) -> Option<Elements<'_>> {
        let (first, last) = entry.range();
        let base = self.header.data_start();
        let bytes = self.bytes.all().get(base + first as usize..base + last as usize)?;
        if cfg!(target_endian = "big") {
            return None;
        }
        match entry.dtype() {
            Dtype::F16 => Some(Elements::F16(bytemuck::try_cast_slice::<_, u16>(bytes).ok()?.reinterpret_cast())),
            Dtype::BF16 => Some(Elements::Bf16(bytemuck::try_cast_slice::<_, u16>(bytes).ok()?.reinterpret_cast())),
            Dtype::F32 => Some(Elements::F32(bytemuck::try_cast_slice(bytes).ok()?)),
            _ => None,
        }
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
