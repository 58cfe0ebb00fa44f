//! Reading from the medium what was written to it.

use super::PackError;
use manifest::{Event, Reporter, Sha256};
use serde::Serialize;
use sha2::Digest as _;
use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Bytes that are read at a time.
const PIECE: usize = 1 << 20;
/// Direct reading wants memory that begins at a multiple of this: no disk has longer sectors.
const ALIGNMENT: usize = 4096;
/// What has fewer bytes is read in a moment.
const LONG: u64 = 16 << 20;
/// How often somebody looks whether a reading is done.
const LOOK: Duration = Duration::from_millis(20);

/// From where the bytes came when they were read back. What is worse comes later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadBack {
    /// From the medium, past the page cache (`O_DIRECT`).
    Medium,
    /// From the medium, as far as the system did as it was asked to: it was told to forget what it holds in memory.
    CacheDropped,
    /// From memory, because the file system has no medium, or the system offers no other way.
    Memory,
    /// Nothing was read back.
    Off,
}

impl fmt::Display for ReadBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Medium => "every byte was read back from the medium, past the system's memory",
            Self::CacheDropped => {
                "every byte was read back after the system was told to forget what it holds in memory"
            }
            Self::Memory => "every byte was read back, but from memory: this file system has no medium behind it",
            Self::Off => "nothing was read back",
        })
    }
}

/// A file that is being read back on a thread of its own.
pub(crate) struct Reading {
    name: String,
    path: PathBuf,
    size: u64,
    done: Arc<AtomicU64>,
    thread: JoinHandle<io::Result<(ReadBack, Sha256)>>,
    expected: Sha256,
}

impl Reading {
    /// Begins to read the file at `path`, which is on the disk and should have `size` bytes with that digest; `name` is
    /// what it is called in messages.
    pub(crate) fn begin(path: &Path, name: &str, size: u64, expected: Sha256) -> Self {
        let done = Arc::new(AtomicU64::new(0));
        let (place, count) = (path.to_path_buf(), Arc::clone(&done));
        let thread = std::thread::spawn(move || read(&place, &count));
        Self { name: name.to_owned(), path: path.to_path_buf(), size, done, thread, expected }
    }

    /// Waits until the file is read.
    ///
    /// # Errors
    /// When it does not hold what was written to it, or cannot be read.
    pub(crate) fn finish(self, reporter: &dyn Reporter) -> Result<ReadBack, PackError> {
        let task = format!("{} (reading back)", self.name);
        if self.size >= LONG && !self.thread.is_finished() {
            reporter.event(&Event::TaskStart { task: &task, bytes: Some(self.size) });
            while !self.thread.is_finished() {
                reporter.go_on()?;
                reporter.event(&Event::TaskProgress { task: &task, bytes: self.done.load(Ordering::Relaxed) });
                std::thread::sleep(LOOK);
            }
            reporter.event(&Event::TaskEnd { task: &task, bytes: self.done.load(Ordering::Relaxed) });
        }
        let read = match self.thread.join() {
            Ok(read) => read,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        let lies = |reason| PackError::Lies { file: self.path.clone(), reason };
        let (how, found) = read.map_err(|error| lies(format!("it cannot be read: {error}")))?;
        if found != self.expected {
            let reason = format!("sha256 written {}, found {found}", self.expected);
            return Err(lies(reason));
        }
        Ok(how)
    }
}

/// Reads a file to its end, past the page cache if that can be had.
fn read(path: &Path, done: &AtomicU64) -> io::Result<(ReadBack, Sha256)> {
    if let Some(file) = system::open_direct(path)? {
        match digest(file, done) {
            Ok(found) => return Ok((ReadBack::Medium, found)),
            // Some file systems accept the flag and refuse to read with it.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
            Err(error) => return Err(error),
        }
    }
    let file = fs_err::File::open(path)?;
    let how = system::forget(file.file());
    Ok((how, digest(file, done)?))
}

fn digest(mut file: fs_err::File, done: &AtomicU64) -> io::Result<Sha256> {
    let mut memory = vec![0; PIECE + ALIGNMENT];
    let begin = memory.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
    let piece = memory.get_mut(begin..begin + PIECE).unwrap_or_default();
    let mut hasher = sha2::Sha256::new();
    done.store(0, Ordering::Relaxed);
    loop {
        match file.read(piece) {
            Ok(0) => return Ok(Sha256::from_bytes(hasher.finalize().into())),
            Ok(count) => {
                hasher.update(piece.get(..count).unwrap_or_default());
                done.fetch_add(count as u64, Ordering::Relaxed);
                // Behind a piece that is not a multiple of a sector comes nothing but the end, and asking for it directly
                // is refused.
                if !count.is_multiple_of(512) {
                    return Ok(Sha256::from_bytes(hasher.finalize().into()));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(target_os = "linux")]
mod system {
    use super::ReadBack;
    use rustix::fs::{Advice, OFlags};
    use std::io;
    use std::os::fd::AsFd;
    use std::os::unix::fs::OpenOptionsExt as _;
    use std::path::Path;

    /// `TMPFS_MAGIC` and `RAMFS_MAGIC` of `linux/magic.h`: file systems without a medium.
    const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];

    /// The file, to be read past the page cache; nothing where that cannot be.
    pub(super) fn open_direct(path: &Path) -> io::Result<Option<fs_err::File>> {
        if in_memory(fs_err::File::open(path)?.file()) {
            return Ok(None);
        }
        let flags = i32::try_from(OFlags::DIRECT.bits()).unwrap_or(0);
        let mut options = fs_err::OpenOptions::new();
        options.read(true);
        options.options_mut().custom_flags(flags);
        Ok(options.open(path).ok())
    }

    /// Has the system forget what it holds of a file that is on the disk.
    pub(super) fn forget(file: &impl AsFd) -> ReadBack {
        if in_memory(file) || rustix::fs::fadvise(file, 0, None, Advice::DontNeed).is_err() {
            return ReadBack::Memory;
        }
        ReadBack::CacheDropped
    }

    fn in_memory(file: &impl AsFd) -> bool {
        rustix::fs::fstatfs(file).is_ok_and(|disk| IN_MEMORY.contains(&(disk.f_type as u64 & 0xffff_ffff)))
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::ReadBack;
    use std::io;
    use std::path::Path;

    /// Not here.
    pub(super) fn open_direct(_: &Path) -> io::Result<Option<fs_err::File>> {
        Ok(None)
    }

    /// Not here.
    pub(super) fn forget<File>(_: &File) -> ReadBack {
        ReadBack::Memory
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use manifest::Silent;

    #[test]
    fn what_was_written_is_found_and_anything_else_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("volume.part");
        for size in [0, 1, 511, 512, 4096, PIECE, PIECE + 512, 3 * PIECE + 77] {
            let bytes: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            let file = fs_err::File::create(&path).unwrap();
            fs_err::write(&path, &bytes).unwrap();
            file.sync_all().unwrap();
            let reading = Reading::begin(&path, "volume", size as u64, Sha256::of(&bytes));
            assert!(reading.finish(&Silent).unwrap() <= ReadBack::Memory, "{size}");
            let wrong = Reading::begin(&path, "volume", size as u64, Sha256::of(b"other"));
            let error = wrong.finish(&Silent).unwrap_err();
            assert!(matches!(&error, PackError::Lies { .. }), "{error}");
            assert!(error.hint().is_some());
        }
        let error = Reading::begin(&folder.path().join("gone"), "gone", 1, Sha256::of(b"")).finish(&Silent);
        assert!(error.unwrap_err().to_string().contains("cannot be read"));
    }

    #[test]
    fn memory_is_never_called_a_medium() {
        let Ok(folder) = tempfile::tempdir_in("/dev/shm") else { return };
        let path = folder.path().join("volume");
        fs_err::write(&path, b"volume").unwrap();
        let how = Reading::begin(&path, "volume", 6, Sha256::of(b"volume")).finish(&Silent).unwrap();
        assert_eq!(how, ReadBack::Memory);
    }
}
