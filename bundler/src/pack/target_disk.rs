//! What the disk that a bundle is written to can hold.

use super::PackError;
use super::survey::SurveyedFile;
use manifest::{BundleManifest, ByteSize};
use std::path::Path;

/// The largest volume for a folder whose file system cannot hold large files (FAT32, as sold on most sticks);
/// nothing when there is no such limit or it is unknown.
#[must_use]
pub fn default_volume_size(folder: &Path) -> Option<ByteSize> {
    is_fat(existing(folder)?).then_some(ByteSize((4 << 30) - (64 << 10)))
}

/// Refuses before anything is written when the bundle will not fit.
pub(crate) fn check_space(
    folder: &Path,
    manifest: &BundleManifest,
    surveyed: &[SurveyedFile],
    recovery: f64,
) -> Result<(), PackError> {
    let Some(free) = existing(folder).and_then(free_space) else { return Ok(()) };
    let packed = packed_size(manifest, surveyed);
    let programs: u64 = manifest.programs.iter().map(|program| program.size).sum();
    let needed = packed + (packed as f64 * recovery / 100.0) as u64 + programs;
    if free < needed {
        return Err(PackError::NoSpace { folder: folder.to_path_buf(), needed, free });
    }
    Ok(())
}

/// Bytes of all frames, estimated.
pub(crate) fn packed_size(manifest: &BundleManifest, surveyed: &[SurveyedFile]) -> u64 {
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

#[cfg(unix)]
fn free_space(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

#[cfg(not(unix))]
fn free_space(_: &Path) -> Option<u64> {
    None
}

/// `MSDOS_SUPER_MAGIC` of `linux/magic.h`: FAT12, FAT16 and FAT32, but not exFAT.
#[cfg(target_os = "linux")]
fn is_fat(folder: &Path) -> bool {
    rustix::fs::statfs(folder).is_ok_and(|disk| disk.f_type == 0x4d44)
}

#[cfg(not(target_os = "linux"))]
fn is_fat(_: &Path) -> bool {
    false
}
