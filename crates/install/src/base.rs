//! What an update builds on: chunks of files that are installed already.

use crate::staged_file::StagedFile;
use crate::{Generation, InstallError};
use manifest::{BundlePath, ChunkDigest, FileEntry};
use std::collections::HashMap;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

/// Every chunk of the generation in use and where it is.
#[derive(Debug, Default)]
pub(crate) struct Base {
    chunks: HashMap<ChunkDigest, Place>,
}

#[derive(Clone, Debug)]
struct Place {
    file: PathBuf,
    path: BundlePath,
    offset: u64,
    length: u64,
}

impl Base {
    /// Empty when nothing is installed, or `files` do not need it.
    pub(crate) fn new(current: Option<&Generation>, files: &[FileEntry]) -> Self {
        let mut chunks = HashMap::new();
        let needed = files.iter().any(|file| file.carried.is_some());
        for (current, entry) in current
            .iter()
            .filter(|_| needed)
            .flat_map(|current| current.manifest.files.iter().map(move |entry| (current, entry)))
        {
            for (index, digest) in entry.chunks.iter().enumerate() {
                let Some((offset, length)) = entry.place(index) else { continue };
                chunks.entry(*digest).or_insert_with(|| Place {
                    file: entry.path.below(&current.folder),
                    path: entry.path.clone(),
                    offset,
                    length,
                });
            }
        }
        Self { chunks }
    }

    /// Does it have every chunk of a file that the bundle does not hold?
    pub(crate) fn completes(&self, entry: &FileEntry) -> bool {
        let runs = entry.runs();
        let carried = |index: u64| runs.iter().any(|(first, end)| (*first..*end).contains(&index));
        (0u64..).zip(&entry.chunks).all(|(index, digest)| carried(index) || self.chunks.contains_key(digest))
    }

    /// Writes the chunks of a file that it lacks and that the bundle does not hold; answers how many bytes that were.
    pub(crate) fn fill(&self, staged: &mut StagedFile, entry: &FileEntry) -> Result<u64, InstallError> {
        let mut bytes = Vec::new();
        let mut filled = 0;
        let runs = entry.runs();
        for (index, digest) in entry.chunks.iter().enumerate() {
            if staged.has(index) || runs.iter().any(|(first, end)| (*first..*end).contains(&(index as u64))) {
                continue;
            }
            let (Some(place), Some((offset, _))) = (self.chunks.get(digest), entry.place(index)) else {
                return Err(InstallError::NotThere { path: entry.path.to_string() });
            };
            bytes.clear();
            let mut file = fs_err::File::open(&place.file).map_err(InstallError::Io)?;
            file.seek(SeekFrom::Start(place.offset)).map_err(InstallError::Io)?;
            file.take(place.length).read_to_end(&mut bytes).map_err(InstallError::Io)?;
            if ChunkDigest::of(&bytes) != *digest {
                return Err(InstallError::BaseDamaged { path: entry.path.to_string(), from: place.path.to_string() });
            }
            staged.write(index, offset, &bytes)?;
            filled += bytes.len() as u64;
        }
        Ok(filled)
    }
}
