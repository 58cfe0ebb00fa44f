//! The first reading of every file: is it what was promised, and what are its chunks?

use super::{PackError, PackFile, compression};
use crate::ContentReader;
use manifest::{BundleManifest, ChunkDigest, Codec, Event, FileEntry, Reporter, Sha256};
use ordered::Pool;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use std::io::{self, Read, Seek as _};
use std::path::Path;
use twox_hash::XxHash64;

/// What the first reading found out about a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SurveyedFile {
    sha256: Sha256,
    /// Bytes that are cut by themselves.
    pub(crate) head: u64,
    pub(crate) chunks: Vec<ChunkDigest>,
    /// Low half of the XXH64 of every chunk: what a zstd frame carries as its checksum.
    pub(crate) checksums: Vec<u32>,
    pub(crate) level: i32,
    /// How its chunks behind the head are put into the archive.
    pub(crate) codec: Option<Codec>,
    /// Bytes that will remain, estimated.
    pub(crate) packed: u64,
}

impl SurveyedFile {
    /// What an earlier bundle says about a file that need not be carried again, and is not read.
    #[must_use]
    pub fn known(entry: &FileEntry) -> Self {
        Self {
            sha256: entry.sha256,
            head: entry.head,
            chunks: entry.chunks.clone(),
            checksums: Vec::new(),
            level: 0,
            codec: entry.codec,
            packed: 0,
        }
    }

    /// The digest of its content.
    #[must_use]
    pub const fn sha256(&self) -> Sha256 {
        self.sha256
    }

    pub(crate) fn entry(&self, file: &PackFile) -> FileEntry {
        FileEntry {
            path: file.path.clone(),
            size: file.size,
            sha256: file.sha256,
            component: file.component.clone(),
            head: self.head,
            chunks: self.chunks.clone(),
            carried: None,
            codec: self.codec,
        }
    }
}

enum Job {
    /// `head`: a piece of what is cut by itself.
    Chunk {
        chunk: Vec<u8>,
        head: bool,
    },
    End {
        head: u64,
        whole: Sha256,
    },
}

enum Done {
    Chunk { digest: ChunkDigest, checksum: u32, sample: Vec<u8>, length: u64 },
    End { head: u64, whole: Sha256 },
}

/// What a zstd frame carries as the checksum of its content: the low half of its XXH64.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    XxHash64::oneshot(0, bytes) as u32
}

/// Reads all files, in order; each must have the digest that it promises. With `planes`, weights may get a codec.
pub(crate) fn survey(
    files: &[PackFile],
    threads: usize,
    planes: bool,
    reporter: &dyn Reporter,
) -> Result<Vec<SurveyedFile>, PackError> {
    read_all(files, true, threads, planes, reporter)
}

/// Reads files whose digests nobody knows yet, in order; what `sha256` says of them is not looked at.
///
/// # Errors
/// When one cannot be read, or is longer or shorter than it should be.
pub fn survey_unknown(
    files: &[PackFile],
    threads: usize,
    reporter: &dyn Reporter,
) -> Result<Vec<SurveyedFile>, PackError> {
    read_all(files, false, threads, false, reporter)
}

fn read_all(
    files: &[PackFile],
    promised: bool,
    threads: usize,
    planes: bool,
    reporter: &dyn Reporter,
) -> Result<Vec<SurveyedFile>, PackError> {
    let pool = Pool::new();
    let mut surveyed: Vec<SurveyedFile> = Vec::with_capacity(files.len());
    let (mut chunks, mut checksums, mut sample, mut bytes) = (Vec::new(), Vec::new(), Vec::new(), 0);
    let task = "what goes in";
    let total = files.iter().map(|file| file.size).sum();
    reporter.event(&Event::TaskStart { task, bytes: Some(total) });
    ordered::run(
        // The reading thread hashes, too.
        threads.saturating_sub(1).max(1),
        |give| files.iter().try_for_each(|file| read(file, &pool, give)),
        || (),
        |(), job| match job {
            Job::End { head, whole } => Done::End { head, whole },
            Job::Chunk { chunk, head } => {
                let digest = ChunkDigest::of(&chunk);
                let length = chunk.len() as u64;
                let checksum = checksum(&chunk);
                let sample = compression::look(&chunk, head);
                pool.give_back(chunk);
                Done::Chunk { digest, checksum, sample, length }
            }
        },
        |done| {
            reporter.go_on()?;
            let Some(file) = files.get(surveyed.len()) else { return Ok(()) };
            match done {
                Done::Chunk { digest, checksum, sample: look, length } => {
                    if chunks.is_empty() {
                        reporter.event(&Event::TaskFile { task, file: file.path.as_str() });
                    }
                    bytes += length;
                    reporter.event(&Event::TaskProgress { task, bytes });
                    // The first three of them and then every 64th tell enough about a file.
                    if chunks.len() < 3 || chunks.len() % 64 == 0 {
                        sample.extend(look);
                    }
                    chunks.push(digest);
                    checksums.push(checksum);
                }
                Done::End { head, whole } => {
                    if promised && whole != file.sha256 {
                        return Err(PackError::WrongDigest {
                            path: file.path.clone(),
                            expected: file.sha256,
                            found: whole,
                        });
                    }
                    let (level, remaining) = compression::choose(file.size, &sample);
                    // Behind a head lie the weights of a safetensors file.
                    let smaller = (planes && head > 0).then(|| compression::planes(&sample, remaining)).flatten();
                    let (level, remaining) =
                        smaller.map_or((level, remaining), |(_, remaining)| (compression::FAST, remaining));
                    sample.clear();
                    surveyed.push(SurveyedFile {
                        sha256: whole,
                        head,
                        chunks: std::mem::take(&mut chunks),
                        checksums: std::mem::take(&mut checksums),
                        level,
                        codec: smaller.map(|(codec, _)| codec),
                        packed: (file.size as f64 * remaining) as u64,
                    });
                }
            }
            Ok(())
        },
    )?;
    reporter.event(&Event::TaskEnd { task, bytes });
    Ok(surveyed)
}

fn read(file: &PackFile, pool: &Pool, give: &mut dyn FnMut(Job) -> bool) -> Result<(), PackError> {
    let fail = |error| PackError::source(file, error);
    let found = file.content.size().map_err(fail)?;
    if found != file.size {
        return Err(PackError::WrongSize { path: file.path.clone(), expected: file.size, found });
    }
    let mut reader: ContentReader = file.content.open().map_err(fail)?;
    let head = head(file, &mut reader).map_err(fail)?;
    let mut whole = sha2::Sha256::new();
    let mut at = 0;
    while at < file.size {
        let end = if at < head { head } else { file.size };
        let length = (end - at).min(BundleManifest::CHUNK_SIZE);
        let mut chunk = pool.take();
        reader.by_ref().take(length).read_to_end(&mut chunk).map_err(fail)?;
        if chunk.len() as u64 != length {
            return Err(PackError::changed(file, "it became shorter"));
        }
        whole.update(&chunk);
        let in_head = at < head;
        at += length;
        if !give(Job::Chunk { chunk, head: in_head }) {
            return Ok(());
        }
    }
    give(Job::End { head, whole: Sha256::from_bytes(whole.finalize().into()) });
    Ok(())
}

/// Bytes before the weights of a safetensors file (its format: the header's length in 8 bytes, then the header).
fn head(file: &PackFile, reader: &mut ContentReader) -> io::Result<u64> {
    if !file.path.as_str().ends_with(".safetensors") {
        return Ok(0);
    }
    let mut length = Vec::new();
    reader.by_ref().take(8).read_to_end(&mut length)?;
    reader.rewind()?;
    let length = length.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    Ok(length.checked_add(8).filter(|head| *head > 8 && *head < file.size).unwrap_or(0))
}

/// Size and digest of a file.
pub(crate) fn whole_digest(path: &Path) -> Result<(u64, Sha256), PackError> {
    let mut file = fs_err::File::open(path).map_err(PackError::Io)?;
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut size = 0;
    loop {
        let count = file.read(&mut buffer).map_err(PackError::Io)?;
        let Some(read) = buffer.get(..count).filter(|read| !read.is_empty()) else { break };
        hasher.update(read);
        size += read.len() as u64;
    }
    Ok((size, Sha256::from_bytes(hasher.finalize().into())))
}
