//! A file while it is being installed.

use crate::InstallError;
use manifest::{ChunkDigest, FileEntry, layout};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// A file that is written chunk by chunk under a name that ends in `.part`. Every chunk was verified before.
pub(crate) struct StagedFile {
    path: PathBuf,
    file: fs_err::File,
    chunks: usize,
    length: u64,
}

impl StagedFile {
    /// Begins a file.
    pub(crate) fn create(staging: &Path, entry: &FileEntry) -> Result<Self, InstallError> {
        let path = entry.path.below(staging);
        let file = fs_err::File::create(layout::partial(&path)).map_err(InstallError::writing)?;
        Ok(Self { path, file, chunks: 0, length: 0 })
    }

    /// Continues a file that an interrupted installation began. Every chunk of it is compared with the manifest; from
    /// the first one that is not right or not whole, it is written anew.
    pub(crate) fn resume(staging: &Path, entry: &FileEntry) -> Result<Option<Self>, InstallError> {
        let path = entry.path.below(staging);
        let partial = layout::partial(&path);
        if !std::fs::symlink_metadata(&partial).is_ok_and(|metadata| metadata.is_file()) {
            return Ok(None);
        }
        let mut file =
            fs_err::OpenOptions::new().read(true).write(true).open(&partial).map_err(InstallError::writing)?;
        let (mut chunks, mut length) = (0, 0);
        let mut bytes = Vec::new();
        while let (Some(expected), Some((_, long))) = (entry.chunks.get(chunks), entry.place(chunks)) {
            bytes.clear();
            (&mut file).take(long).read_to_end(&mut bytes).map_err(InstallError::Io)?;
            if ChunkDigest::of(&bytes) != *expected {
                break;
            }
            chunks += 1;
            length += long;
        }
        file.set_len(length).map_err(InstallError::writing)?;
        file.seek(SeekFrom::Start(length)).map_err(InstallError::writing)?;
        Ok(Some(Self { path, file, chunks, length }))
    }

    /// How many chunks it has.
    pub(crate) const fn chunks(&self) -> usize {
        self.chunks
    }

    /// How many bytes it has.
    pub(crate) const fn length(&self) -> u64 {
        self.length
    }

    /// Appends the next chunk.
    pub(crate) fn write(&mut self, chunk: &[u8]) -> Result<(), InstallError> {
        self.file.write_all(chunk).map_err(InstallError::writing)?;
        self.chunks += 1;
        self.length += chunk.len() as u64;
        Ok(())
    }

    /// Waits for the disk and gives the file its name.
    pub(crate) fn finish(self) -> Result<(), InstallError> {
        self.file.sync_all().map_err(InstallError::writing)?;
        fs_err::rename(layout::partial(&self.path), &self.path).map_err(InstallError::writing)
    }
}
