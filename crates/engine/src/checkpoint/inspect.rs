use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use super::files::Files;
use super::{Family, FileKind, Header};
use crate::EngineError;

/// What a model file says about itself, without loading it.
#[derive(Clone, Debug)]
pub struct CheckpointInfo {
    /// What kind of model it is.
    pub family: Family,
    /// Elements of all its floating-point tensors.
    pub parameters: u64,
    /// How many tensors it has.
    pub tensors: usize,
    /// The length in bytes of all its files.
    pub bytes: u64,
    /// The header's free-form metadata.
    pub metadata: BTreeMap<String, String>,
}

/// Looks at the content of a file (or of a diffusers folder's files), whatever its name, and reads no more than headers.
///
/// # Errors
/// Anything but a sound safetensors file is an error of its own that names the file and the reason.
pub fn inspect(path: &Path) -> Result<CheckpointInfo, EngineError> {
    let mut file = fs_err::File::open(path)?;
    let metadata = file.metadata()?;
    let name = path.display().to_string();
    if metadata.is_dir() {
        let files = Files::open(path)?;
        return Ok(describe(files.header(), files.bytes()));
    }
    let length = metadata.len();
    let mut start = Vec::new();
    (&mut file).take(FileKind::BYTES_NEEDED as u64).read_to_end(&mut start)?;
    let kind = FileKind::of(&start);
    if kind == FileKind::Safetensors
        && let Some(needed) = Header::bytes_needed(&start)
        && needed <= length
    {
        file.take(needed.saturating_sub(start.len() as u64)).read_to_end(&mut start)?;
    }
    Header::parse(&name, &start, length).map(|header| describe(&header, length))
}

/// The same for a file that is in memory; `name` stands for it in errors.
///
/// # Errors
/// As [`inspect`].
pub fn inspect_bytes(name: &str, bytes: &[u8]) -> Result<CheckpointInfo, EngineError> {
    let length = bytes.len() as u64;
    Header::parse(name, bytes, length).map(|header| describe(&header, length))
}

fn describe(header: &Header, bytes: u64) -> CheckpointInfo {
    let floating = |dtype: safetensors::Dtype| {
        use safetensors::Dtype::{BF16, F16, F32, F64};
        matches!(dtype, F16 | BF16 | F32 | F64)
    };
    CheckpointInfo {
        family: Family::of(header),
        parameters: header
            .tensors()
            .filter(|(_, entry)| floating(entry.dtype()))
            .map(|(_, entry)| entry.elements())
            .sum(),
        tensors: header.tensors().count(),
        bytes,
        metadata: header.metadata().clone(),
    }
}
