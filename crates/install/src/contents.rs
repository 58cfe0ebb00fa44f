//! The contents of a frozen folder's files while they are being restored.

use crate::RestoreError;
use manifest::{BundlePath, ChunkDigest, FileEntry, layout};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// One file per content, called by its number in the manifest, filled chunk by chunk in any order. Every chunk was
/// verified before.
pub(crate) struct Contents<'a> {
    folder: PathBuf,
    files: &'a [FileEntry],
    /// Which chunks are there.
    there: Vec<Vec<bool>>,
    bytes: u64,
    open: Option<(usize, fs_err::File)>,
}

impl<'a> Contents<'a> {
    /// Takes over what an interrupted restoration left, as far as it is right; makes empty files.
    pub(crate) fn find(folder: &Path, files: &'a [FileEntry]) -> Result<Self, RestoreError> {
        let mut contents = Self { folder: folder.to_path_buf(), files, there: Vec::new(), bytes: 0, open: None };
        for (file, entry) in files.iter().enumerate() {
            let there = contents.find_one(file, entry)?;
            contents.bytes += there
                .iter()
                .enumerate()
                .filter(|(_, there)| **there)
                .filter_map(|(index, _)| entry.place(index))
                .map(|(_, length)| length)
                .sum::<u64>();
            contents.there.push(there);
        }
        Ok(contents)
    }

    fn find_one(&self, file: usize, entry: &FileEntry) -> Result<Vec<bool>, RestoreError> {
        let path = place(&self.folder, file);
        let mut there = vec![false; entry.chunks.len()];
        if entry.path.as_str() == layout::TREE {
            return Ok(there);
        }
        let Ok(metadata) = std::fs::symlink_metadata(&path) else {
            if entry.size == 0 {
                fs_err::File::create(&path).map_err(RestoreError::writing)?;
            }
            return Ok(there);
        };
        if !metadata.is_file() || metadata.len() > entry.size {
            fs_err::remove_file(&path).map_err(RestoreError::writing)?;
            return self.find_one(file, entry);
        }
        let mut found = fs_err::File::open(&path).map_err(RestoreError::Io)?;
        let mut bytes = Vec::new();
        for (index, digest) in entry.chunks.iter().enumerate() {
            let Some((offset, length)) = entry.place(index) else { continue };
            bytes.clear();
            found.seek(SeekFrom::Start(offset)).map_err(RestoreError::Io)?;
            (&mut found).take(length).read_to_end(&mut bytes).map_err(RestoreError::Io)?;
            if let Some(there) = there.get_mut(index) {
                *there = ChunkDigest::of(&bytes) == *digest;
            }
        }
        Ok(there)
    }

    /// Is a chunk there?
    pub(crate) fn has(&self, file: usize, index: usize) -> bool {
        self.there.get(file).and_then(|there| there.get(index)).copied().unwrap_or(true)
    }

    /// Bytes that are there.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes a chunk to its place.
    pub(crate) fn write(&mut self, file: usize, index: usize, content: &[u8]) -> Result<(), RestoreError> {
        let place_in_file = self.files.get(file).and_then(|entry| entry.place(index));
        let Some((offset, _)) = place_in_file.filter(|_| !self.has(file, index)) else { return Ok(()) };
        if self.open.as_ref().is_none_or(|(open, _)| *open != file) {
            let mut options = fs_err::OpenOptions::new();
            let path = place(&self.folder, file);
            let opened = options.write(true).create(true).truncate(false).open(path).map_err(RestoreError::writing)?;
            self.open = Some((file, opened));
        }
        let Some((_, open)) = &mut self.open else { return Ok(()) };
        open.seek(SeekFrom::Start(offset)).map_err(RestoreError::writing)?;
        open.write_all(content).map_err(RestoreError::writing)?;
        if let Some(there) = self.there.get_mut(file).and_then(|there| there.get_mut(index)) {
            *there = true;
        }
        self.bytes += content.len() as u64;
        Ok(())
    }

    /// Nothing more is written.
    pub(crate) fn close(&mut self) {
        self.open = None;
    }

    /// The first file that is not whole.
    pub(crate) fn first_incomplete(&self) -> Option<&BundlePath> {
        let incomplete =
            |(entry, there): &(&FileEntry, &Vec<bool>)| entry.path.as_str() != layout::TREE && there.contains(&false);
        self.files.iter().zip(&self.there).find(incomplete).map(|(entry, _)| &entry.path)
    }
}

/// Where a content lies.
pub(crate) fn place(folder: &Path, file: usize) -> PathBuf {
    folder.join(file.to_string())
}

/// Copies a content, comparing every chunk with the manifest.
pub(crate) fn copy(from: &Path, to: &Path, entry: &FileEntry) -> Result<(), RestoreError> {
    let mut from_file = fs_err::File::open(from).map_err(RestoreError::Io)?;
    let mut to_file =
        fs_err::OpenOptions::new().write(true).create_new(true).open(to).map_err(RestoreError::writing)?;
    let mut bytes = Vec::new();
    for (index, digest) in entry.chunks.iter().enumerate() {
        let length = entry.place(index).map_or(0, |(_, length)| length);
        bytes.clear();
        (&mut from_file).take(length).read_to_end(&mut bytes).map_err(RestoreError::Io)?;
        if ChunkDigest::of(&bytes) != *digest {
            let problem = manifest::Problem::Damaged {
                offset: entry.place(index).map_or(0, |(offset, _)| offset),
                length,
                reason: "it does not read back as it was written: the disk is failing".to_owned(),
            };
            let finding = manifest::Finding { subject: from.display().to_string(), problem };
            return Err(RestoreError::Damaged { finding });
        }
        to_file.write_all(&bytes).map_err(RestoreError::writing)?;
    }
    Ok(())
}
