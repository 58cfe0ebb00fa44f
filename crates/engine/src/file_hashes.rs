use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::EngineError;

/// The digests by which people and programs call a model file, in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FileHashes {
    /// SHA-256 of the whole file.
    pub sha256: String,
    /// AutoV1: the first 8 digits of the SHA-256 of the 64 KiB behind the first MiB. AUTOMATIC1111 wrote it until 2023;
    /// it tells little.
    pub auto_v1: String,
    /// AutoV3: the first 12 digits of the SHA-256 of what follows a safetensors header, which stays the same when only
    /// the metadata change. Absent for other files. AUTOMATIC1111 writes it for LoRAs.
    pub auto_v3: Option<String>,
}

impl FileHashes {
    /// How much is read, and hashed meanwhile, at a time.
    const CHUNK: u64 = 4 << 20;

    /// Reads the file once.
    ///
    /// # Errors
    /// [`EngineError::Read`].
    pub fn of(path: &Path) -> Result<Self, EngineError> {
        let mut file = fs_err::File::open(path)?;
        let mut next = |size: u64| {
            let mut chunk = Vec::with_capacity(size as usize);
            (&mut file).take(size).read_to_end(&mut chunk).map(|_| chunk)
        };
        let mut hashers = Hashers::default();
        let mut chunk = next(Self::CHUNK)?;
        while !chunk.is_empty() {
            let (following, ()) = rayon::join(|| next(Self::CHUNK), || hashers.update(&chunk));
            chunk = following?;
        }
        Ok(hashers.finish())
    }

    /// The same for bytes in memory.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let mut hashers = Hashers::default();
        bytes.chunks(Self::CHUNK as usize).for_each(|chunk| hashers.update(chunk));
        hashers.finish()
    }

    /// AutoV2: the first 10 digits of [`FileHashes::sha256`], as checkpoints are named everywhere.
    pub fn auto_v2(&self) -> &str {
        self.sha256.get(..10).unwrap_or_default()
    }
}

#[derive(Default)]
struct Hashers {
    /// Bytes seen.
    position: u64,
    /// The first eight of them: the size of a safetensors header.
    start: Vec<u8>,
    whole: Sha256,
    tensors: Sha256,
    sample: Sha256,
}

impl Hashers {
    fn update(&mut self, chunk: &[u8]) {
        if self.start.len() < 8 {
            self.start.extend(chunk.iter().take(8 - self.start.len()));
        }
        let behind_header = self.header_end().map(|end| part(chunk, self.position, end, u64::MAX)).unwrap_or_default();
        let sample = part(chunk, self.position, 1 << 20, (1 << 20) + (1 << 16));
        rayon::join(|| self.whole.update(chunk), || self.tensors.update(behind_header));
        self.sample.update(sample);
        self.position += chunk.len() as u64;
    }

    fn header_end(&self) -> Option<u64> {
        let size = u64::from_le_bytes(*self.start.first_chunk()?);
        size.checked_add(8)
    }

    fn finish(self) -> FileHashes {
        let has_header = self.header_end().is_some_and(|end| end <= self.position);
        FileHashes {
            sha256: digits(self.whole, 64),
            auto_v1: digits(self.sample, 8),
            auto_v3: has_header.then(|| digits(self.tensors, 12)),
        }
    }
}

/// What of a chunk that begins at `position` of a file lies from `start` to `end`.
fn part(chunk: &[u8], position: u64, start: u64, end: u64) -> &[u8] {
    let within = |at: u64| at.saturating_sub(position).min(chunk.len() as u64) as usize;
    chunk.get(within(start)..within(end)).unwrap_or_default()
}

fn digits(hasher: Sha256, count: usize) -> String {
    hasher
        .finalize()
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .take(count)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Python's hashlib gives for the same bytes.
    #[test]
    fn digests_are_those_of_other_programs() {
        let header = br#"{"a":{"dtype":"U8","shape":[2097152],"data_offsets":[0,2097152]}}"#;
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header);
        bytes.extend((0..2_097_152_u32).map(|i| (i * 7 % 251) as u8));
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.safetensors");
        fs_err::write(&path, &bytes).expect("written");
        let hashes = FileHashes::of(&path).expect("hashes");
        assert_eq!(hashes, FileHashes::of_bytes(&bytes));
        assert_eq!(hashes.sha256, "1b3272d263f3a1d7dac2dacc98015d4c9835330db6c661ac071130792a4d5177");
        assert_eq!(hashes.auto_v2(), "1b3272d263");
        assert_eq!((hashes.auto_v1.as_str(), hashes.auto_v3.as_deref()), ("b18e6767", Some("0f6b0b24c8a4")));
    }

    #[test]
    fn files_that_are_no_safetensors_have_no_third_digest() {
        for bytes in [&b""[..], b"short", &[0xff; 100], b"\x10\0\0\0\0\0\0\0{}"] {
            let hashes = FileHashes::of_bytes(bytes);
            assert_eq!((hashes.auto_v3, hashes.sha256.len()), (None, 64));
        }
        assert_eq!(FileHashes::of_bytes(b"").auto_v2(), "e3b0c44298");
    }
}
