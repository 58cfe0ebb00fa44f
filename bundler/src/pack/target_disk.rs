//! What the disk that a bundle is written to can hold.

use super::PackError;
use super::survey::SurveyedFile;
use manifest::{BundleManifest, ByteSize, layout};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Largest volume for a file system that cannot hold files of 4 GiB.
const SMALL: ByteSize = ByteSize((4 << 30) - (64 << 10));

/// What is known of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Files {
    /// It holds files of less than 4 GiB.
    Small,
    /// It holds files as large as its disk.
    Large,
    /// Nobody knows: another program or another machine is behind it.
    Unknown,
}

/// What a file system's magic number tells (`linux/magic.h`, and the numbers in the sources of those not in it).
const fn known(magic: u64) -> Files {
    match magic {
        // FAT12, FAT16 and FAT32, as sold on most sticks.
        0x4d44 => Files::Small,
        // exFAT, ext2/3/4, XFS, Btrfs, F2FS, NTFS (the kernel's), ZFS, bcachefs, UDF, HFS+, JFS.
        0x2011_bab0 | 0xef53 | 0x5846_5342 | 0x9123_683e | 0xf2f5_2010 | 0x7366_746e | 0x2fc1_2fc1 | 0xca45_1a4e
        | 0x1501_3346 | 0x482b | 0x3153_464a
        // tmpfs, ramfs, overlayfs.
        | 0x0102_1994 | 0x8584_58f6 | 0x794c_7630 => Files::Large,
        _ => Files::Unknown,
    }
}

/// The largest volume for a folder whose file system cannot hold large files, or where a limit forbids them; nothing
/// when there is no such limit. `expected`: how much will be written, in bytes, about. What is shorter needs no answer.
///
/// A file system that is not known is tried: a file of 4 GiB that holds nothing is made in the folder and removed again.
#[must_use]
pub fn default_volume_size(folder: &Path, expected: u64) -> Option<ByteSize> {
    let folder = existing(folder)?;
    let allowed = allowed(expected);
    let small = expected >= SMALL.0
        && match file_system(folder) {
            Files::Small => true,
            Files::Large => false,
            Files::Unknown => !holds_large_files(folder),
        };
    allowed.into_iter().chain(small.then_some(SMALL)).min()
}

/// Is a file longer than 4 GiB possible there? Everything but a clear yes is a no.
fn holds_large_files(folder: &Path) -> bool {
    struct Probe(PathBuf);
    impl Drop for Probe {
        fn drop(&mut self) {
            // Where it could not be made, there is nothing to remove.
            let _ = fs_err::remove_file(&self.0);
        }
    }
    let probe = Probe(folder.join(layout::PROBE));
    fs_err::File::create(&probe.0).and_then(|file| file.set_len((4 << 30) + 1)).is_ok()
}

/// Refuses before anything is written when `more` bytes will not fit.
pub(crate) fn check_space(folder: &Path, more: u64) -> Result<(), PackError> {
    match free_space(folder) {
        Some(free) if free < more => Err(PackError::NoSpace { folder: folder.to_path_buf(), needed: more, free }),
        _ => Ok(()),
    }
}

/// Bytes of all frames, estimated.
pub(crate) fn packed_size(manifest: &BundleManifest, surveyed: &[Arc<SurveyedFile>]) -> u64 {
    let files = manifest.files.iter().zip(surveyed).map(|(file, seen)| match file.size {
        0 => 0,
        size => (seen.packed as f64 * (file.carried_bytes() as f64 / size as f64)) as u64,
    });
    files.sum::<u64>() + manifest.to_json().len() as u64 / 2
}

/// The folder, or the closest one above it that exists.
fn existing(folder: &Path) -> Option<&Path> {
    let here = |path: &&Path| path.as_os_str().is_empty() || path.exists();
    folder.ancestors().find(here).map(|path| if path.as_os_str().is_empty() { Path::new(".") } else { path })
}

/// Bytes that this user can still write to the disk that `folder` will lie on.
#[cfg(unix)]
pub(crate) fn free_space(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(existing(folder)?).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

/// Bytes that this user can still write to the disk that `folder` will lie on.
#[cfg(not(unix))]
pub(crate) fn free_space(_: &Path) -> Option<u64> {
    None
}

#[cfg(target_os = "linux")]
fn file_system(folder: &Path) -> Files {
    rustix::fs::statfs(folder).map_or(Files::Unknown, |disk| known(disk.f_type as u64 & 0xffff_ffff))
}

#[cfg(not(target_os = "linux"))]
fn file_system(_: &Path) -> Files {
    Files::Unknown
}

/// The largest file that this session may write (`ulimit -f`), if that is less than what will be written.
#[cfg(target_os = "linux")]
fn allowed(expected: u64) -> Option<ByteSize> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Fsize).current?;
    (limit <= expected).then_some(ByteSize(limit))
}

#[cfg(not(target_os = "linux"))]
fn allowed(_: u64) -> Option<ByteSize> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_are_known_by_their_numbers() {
        assert_eq!(known(0x4d44), Files::Small);
        for large in [0x2011_bab0, 0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x7366_746e] {
            assert_eq!(known(large), Files::Large, "{large:#x}");
        }
        // FUSE, NFS, SMB, CIFS, 9p, and numbers that nobody has.
        for unknown in [0x6573_5546, 0x6969, 0xfe53_4d42, 0xff53_4d42, 0x0102_1997, 0, 1] {
            assert_eq!(known(unknown), Files::Unknown, "{unknown:#x}");
        }
    }

    #[test]
    fn the_probe_answers_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let large = file_system(folder.path()) == Files::Large;
        assert!(!large || holds_large_files(folder.path()), "this disk holds large files");
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 0);
        assert!(!holds_large_files(&folder.path().join("not there")));
        assert!(!large || default_volume_size(folder.path(), 100 << 30).is_none());
        assert_eq!(default_volume_size(folder.path(), 1 << 20), None);
    }
}
