//! A file while it is being installed.

use crate::InstallError;
use manifest::{ChunkDigest, FileEntry, layout};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// A file whose chunks are written, in any order, under a name that ends in `.part`. Every chunk was verified before.
pub(crate) struct StagedFile {
    path: PathBuf,
    file: fs_err::File,
    /// Where the next byte goes.
    at: u64,
    /// Which chunks it has.
    has: Vec<bool>,
    /// How many bytes these are.
    length: u64,
}

impl StagedFile {
    /// Begins a file.
    pub(crate) fn create(staging: &Path, entry: &FileEntry) -> Result<Self, InstallError> {
        let path = entry.path.below(staging);
        let file = fs_err::File::create(layout::partial(&path)).map_err(InstallError::writing)?;
        Ok(Self { path, file, at: 0, has: vec![false; entry.chunks.len()], length: 0 })
    }

    /// Continues a file that an interrupted installation began. Every chunk of it is compared with the manifest; those
    /// that are not right are written anew.
    pub(crate) fn resume(staging: &Path, entry: &FileEntry) -> Result<Option<Self>, InstallError> {
        let path = entry.path.below(staging);
        let partial = layout::partial(&path);
        if !std::fs::symlink_metadata(&partial).is_ok_and(|metadata| metadata.is_file()) {
            return Ok(None);
        }
        let file = fs_err::OpenOptions::new().read(true).write(true).open(&partial).map_err(InstallError::writing)?;
        if file.metadata().map_err(InstallError::Io)?.len() > entry.size {
            file.set_len(entry.size).map_err(InstallError::writing)?;
        }
        let mut staged = Self { path, file, at: 0, has: vec![false; entry.chunks.len()], length: 0 };
        let mut bytes = Vec::new();
        for ((index, expected), has) in entry.chunks.iter().enumerate().zip(&mut staged.has) {
            let Some((_, long)) = entry.place(index) else { break };
            bytes.clear();
            (&mut staged.file).take(long).read_to_end(&mut bytes).map_err(InstallError::Io)?;
            staged.at += bytes.len() as u64;
            if (bytes.len() as u64) < long {
                break;
            }
            *has = ChunkDigest::of(&bytes) == *expected;
            staged.length += if *has { long } else { 0 };
        }
        Ok(Some(staged))
    }

    /// Does it have chunk number `index`?
    pub(crate) fn has(&self, index: usize) -> bool {
        self.has.get(index).copied().unwrap_or(false)
    }

    /// It has all of them.
    pub(crate) fn is_whole(&self) -> bool {
        self.has.iter().all(|has| *has)
    }

    /// How many bytes it has.
    pub(crate) const fn length(&self) -> u64 {
        self.length
    }

    /// Writes chunk number `index`, which begins at byte `offset`.
    pub(crate) fn write(&mut self, index: usize, offset: u64, chunk: &[u8]) -> Result<(), InstallError> {
        if self.at != offset {
            self.at = self.file.seek(SeekFrom::Start(offset)).map_err(InstallError::writing)?;
        }
        self.file.write_all(chunk).map_err(InstallError::writing)?;
        self.at += chunk.len() as u64;
        if let Some(has) = self.has.get_mut(index).filter(|has| !**has) {
            *has = true;
            self.length += chunk.len() as u64;
        }
        Ok(())
    }

    /// Gives it up.
    pub(crate) fn discard(self) -> Result<(), InstallError> {
        fs_err::remove_file(layout::partial(&self.path)).map_err(InstallError::writing)
    }

    /// Waits for the disk and gives the file its name.
    pub(crate) fn finish(self) -> Result<(), InstallError> {
        self.file.sync_all().map_err(InstallError::writing)?;
        fs_err::rename(layout::partial(&self.path), &self.path).map_err(InstallError::writing)
    }
}
