//! Bytes of one file, wherever they lie.

use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

/// Where the bytes of a file are: on disk, or inside this program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A file, only ever read.
    Disk(PathBuf),
    /// A part of this program.
    Memory(&'static [u8]),
    /// Made, or read, just before.
    Bytes(Arc<[u8]>),
}

/// Reads a [`Content`] from its beginning; can seek.
#[derive(Debug)]
pub enum ContentReader {
    /// From a file.
    File(fs_err::File),
    /// From memory.
    Memory(Cursor<&'static [u8]>),
    /// From memory that is shared.
    Bytes(Cursor<Arc<[u8]>>),
}

impl Content {
    /// Opens it for reading.
    ///
    /// # Errors
    /// When the file cannot be opened; the error names it.
    pub fn open(&self) -> io::Result<ContentReader> {
        Ok(match self {
            Self::Disk(path) => ContentReader::File(fs_err::File::open(path)?),
            Self::Memory(bytes) => ContentReader::Memory(Cursor::new(bytes)),
            Self::Bytes(bytes) => ContentReader::Bytes(Cursor::new(Arc::clone(bytes))),
        })
    }

    /// Size in bytes.
    ///
    /// # Errors
    /// When the file cannot be asked; the error names it.
    pub fn size(&self) -> io::Result<u64> {
        match self {
            Self::Disk(path) => Ok(fs_err::metadata(path)?.len()),
            Self::Memory(bytes) => Ok(bytes.len() as u64),
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
        }
    }
}

impl Read for ContentReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Memory(bytes) => bytes.read(buffer),
            Self::Bytes(bytes) => bytes.read(buffer),
        }
    }
}

impl Seek for ContentReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::File(file) => file.seek(to),
            Self::Memory(bytes) => bytes.seek(to),
            Self::Bytes(bytes) => bytes.seek(to),
        }
    }
}
