//! What the operating system tells about disks, memory and processor. Beside `file_facts`, the only file
//! here that knows systems apart.

use std::path::Path;

/// The folder, or the closest one above it that exists.
pub(crate) fn existing(folder: &Path) -> &Path {
    let found = folder.ancestors().find(|path| path.as_os_str().is_empty() || path.exists());
    found.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Bytes that this user can still write there; nothing where the system does not tell.
#[cfg(unix)]
pub(crate) fn free_space(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(existing(folder)).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

/// Bytes that this user can still write there; nothing where the system does not tell.
#[cfg(not(unix))]
pub(crate) fn free_space(_: &Path) -> Option<u64> {
    None
}

/// Bytes that a file takes on its disk: holes in it take none.
#[cfg(unix)]
pub(crate) fn taken(metadata: &std::fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    metadata.len().min(metadata.blocks().saturating_mul(512))
}

/// Bytes that a file takes on its disk: holes in it take none.
#[cfg(not(unix))]
pub(crate) fn taken(metadata: &std::fs::Metadata) -> u64 {
    metadata.len()
}

/// The largest file that can be written there and what limits it; nothing when nothing is known to.
#[cfg(target_os = "linux")]
pub(crate) fn largest_file(folder: &Path) -> Option<(u64, &'static str)> {
    // `MSDOS_SUPER_MAGIC` of `linux/magic.h`: FAT12, FAT16 and FAT32, but not exFAT.
    let fat = rustix::fs::statfs(existing(folder)).is_ok_and(|disk| disk.f_type == 0x4d44);
    let fat = fat.then_some((u64::from(u32::MAX), "its file system (FAT32)"));
    let limit = rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
    let limit = limit.map(|bytes| (bytes, "a limit of this user's session (`ulimit -f`)"));
    fat.into_iter().chain(limit).min()
}

/// The largest file that can be written there and what limits it; nothing when nothing is known to.
#[cfg(not(target_os = "linux"))]
pub(crate) fn largest_file(_: &Path) -> Option<(u64, &'static str)> {
    None
}

/// Why this user cannot write there; nothing when that seems possible.
#[cfg(unix)]
pub(crate) fn cannot_write(folder: &Path) -> Option<String> {
    use rustix::fs::Access;
    let place = existing(folder);
    if !place.is_dir() {
        return Some(format!("`{}` is not a folder", place.display()));
    }
    let refused = rustix::fs::access(place, Access::WRITE_OK | Access::EXEC_OK).err()?;
    Some(match refused {
        rustix::io::Errno::ROFS => format!("`{}` is read-only", place.display()),
        other => format!("`{}`: {other}", place.display()),
    })
}

/// Why this user cannot write there; nothing when that seems possible.
#[cfg(not(unix))]
pub(crate) fn cannot_write(_: &Path) -> Option<String> {
    None
}

/// Bytes of memory that programs can get: in all, and now. Nothing where the system does not tell.
pub(crate) fn memory() -> Option<(u64, u64)> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let text = fs_err::read_to_string("/proc/meminfo").ok()?;
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()?.checked_mul(1024)
    };
    Some((field("MemTotal:")?, field("MemAvailable:")?))
}

/// What the processor lacks that generating needs to be quick.
pub(crate) fn missing_processor_features() -> Option<&'static str> {
    #[cfg(target_arch = "x86_64")]
    if !(std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma")) {
        return Some("AVX2 and FMA");
    }
    None
}

/// The longest path that the system takes.
pub(crate) const LONGEST_PATH: usize = if cfg!(windows) { 259 } else { 4095 };

/// Makes the names in a folder durable. Some file systems cannot (FAT through FUSE); then nothing more can be done.
pub(crate) fn sync_folder(folder: &Path) -> std::io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match fs_err::File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => Ok(()),
        outcome => outcome,
    }
}

/// Waits until the content of `files`, which all lie below `folder`, is on the disk.
pub(crate) fn sync_files(folder: &Path, files: &[std::path::PathBuf]) -> std::io::Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    #[cfg(target_os = "linux")]
    if rustix::fs::syncfs(fs_err::File::open(folder)?.file()).is_ok() {
        return Ok(());
    }
    let _ = folder;
    files.iter().try_for_each(|file| fs_err::OpenOptions::new().write(true).open(file)?.sync_all())
}

/// Lets an empty file share the blocks of another one until one of the two is changed; false where the file system
/// cannot do that (only Btrfs, XFS and their like can).
#[cfg(target_os = "linux")]
pub(crate) fn clone_file(from: &fs_err::File, to: &fs_err::File) -> bool {
    rustix::fs::ioctl_ficlone(to.file(), from.file()).is_ok()
}

/// Lets an empty file share the blocks of another one until one of the two is changed; false where that cannot be done.
#[cfg(not(target_os = "linux"))]
pub(crate) fn clone_file(_: &fs_err::File, _: &fs_err::File) -> bool {
    false
}

/// Lets the file be started as a program.
#[cfg(unix)]
pub(crate) fn make_executable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o755))
}

/// Lets the file be started as a program.
#[cfg(not(unix))]
pub(crate) fn make_executable(_: &Path) -> std::io::Result<()> {
    Ok(())
}
