//! What the operating system keeps about a file beside its content. Beside `disk`, the only file here that knows systems
//! apart.

use manifest::{FileMark, Mode, TreePath};
use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

/// The bytes of a name; nothing for one that cannot be written down (half a character on Windows).
#[cfg(unix)]
pub(crate) fn bytes_of(name: &OsStr) -> Option<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt as _;
    Some(name.as_bytes().to_vec())
}

/// The bytes of a name; nothing for one that cannot be written down (half a character on Windows).
#[cfg(not(unix))]
pub(crate) fn bytes_of(name: &OsStr) -> Option<Vec<u8>> {
    name.to_str().map(|name| name.replace('\\', "/").into_bytes())
}

/// The path that those bytes spell.
#[cfg(unix)]
pub(crate) fn path_of(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    PathBuf::from(OsStr::from_bytes(bytes))
}

/// The path that those bytes spell.
#[cfg(not(unix))]
pub(crate) fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(bytes).into_owned())
}

/// A place below `folder`.
pub(crate) fn below(folder: &Path, path: &TreePath) -> PathBuf {
    if path.is_root() { folder.to_path_buf() } else { folder.join(path_of(path.as_bytes())) }
}

/// Permission bits, as far as they are kept.
#[cfg(unix)]
pub(crate) fn mode_of(metadata: &Metadata) -> Mode {
    use std::os::unix::fs::MetadataExt as _;
    if metadata.is_dir() { Mode::of_folder(metadata.mode()) } else { Mode::of_file(metadata.mode()) }
}

/// Permission bits, as far as they are kept.
#[cfg(not(unix))]
pub(crate) fn mode_of(metadata: &Metadata) -> Mode {
    Mode::of_file(if metadata.is_dir() { 0o755 } else { 0o644 })
}

/// By what a change of the file shows.
#[cfg(unix)]
pub(crate) fn mark_of(metadata: &Metadata) -> FileMark {
    use std::os::unix::fs::MetadataExt as _;
    let nanos = |nanos: i64| u32::try_from(nanos).unwrap_or(0);
    FileMark {
        size: metadata.len(),
        mtime: (metadata.mtime(), nanos(metadata.mtime_nsec())),
        ctime: (metadata.ctime(), nanos(metadata.ctime_nsec())),
        inode: metadata.ino(),
    }
}

/// By what a change of the file shows.
#[cfg(not(unix))]
pub(crate) fn mark_of(metadata: &Metadata) -> FileMark {
    let since = metadata.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let mtime = since.map_or((0, 0), |since| (since.as_secs() as i64, since.subsec_nanos()));
    FileMark { size: metadata.len(), mtime, ctime: (0, 0), inode: 0 }
}

/// What all names of one file have in common; nothing when it has one name only.
#[cfg(unix)]
pub(crate) fn shared_identity(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.nlink() > 1).then(|| (metadata.dev(), metadata.ino()))
}

/// What all names of one file have in common; nothing when it has one name only.
#[cfg(not(unix))]
pub(crate) fn shared_identity(_: &Metadata) -> Option<(u64, u64)> {
    None
}

/// Why a thing that is no file, folder or link is not frozen.
#[cfg(unix)]
pub(crate) fn special_kind(metadata: &Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt as _;
    match metadata.file_type() {
        kind if kind.is_socket() => "it is a socket",
        kind if kind.is_fifo() => "it is a pipe",
        kind if kind.is_block_device() || kind.is_char_device() => "it is a device",
        _ => "it is neither a file nor a folder nor a link",
    }
}

/// Why a thing that is no file, folder or link is not frozen.
#[cfg(not(unix))]
pub(crate) fn special_kind(_: &Metadata) -> &'static str {
    "it is neither a file nor a folder nor a link"
}

/// Sets the permission bits.
#[cfg(unix)]
pub(crate) fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

/// Sets the permission bits.
#[cfg(not(unix))]
pub(crate) fn set_mode(_: &Path, _: u32) -> io::Result<()> {
    Ok(())
}

/// Sets the time of the last change, of a link itself, too.
#[cfg(unix)]
pub(crate) fn set_mtime(path: &Path, seconds: i64, nanos: u32) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, utimensat};
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: seconds, tv_nsec: nanos.into() },
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(|error| {
        io::Error::new(
            io::Error::from(error).kind(),
            format!("the time of `{}` cannot be set: {error}", path.display()),
        )
    })
}

/// Sets the time of the last change.
#[cfg(not(unix))]
pub(crate) fn set_mtime(_: &Path, _: i64, _: u32) -> io::Result<()> {
    Ok(())
}

/// Makes a symbolic link.
#[cfg(unix)]
pub(crate) fn make_link(to: &TreePath, path: &Path) -> io::Result<()> {
    fs_err::os::unix::fs::symlink(path_of(to.as_bytes()), path)
}

/// Makes a symbolic link.
#[cfg(not(unix))]
pub(crate) fn make_link(_: &TreePath, path: &Path) -> io::Result<()> {
    let reason = format!("the link `{}` cannot be made on this system", path.display());
    Err(io::Error::new(io::ErrorKind::Unsupported, reason))
}

/// Waits until everything that was written below a folder is on the disk.
#[cfg(target_os = "linux")]
pub(crate) fn sync_below(folder: &Path) -> io::Result<()> {
    let file = fs_err::File::open(folder)?;
    rustix::fs::syncfs(file.file())?;
    Ok(())
}

/// Waits until everything that was written below a folder is on the disk.
#[cfg(not(target_os = "linux"))]
pub(crate) fn sync_below(folder: &Path) -> io::Result<()> {
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            sync_below(&entry.path())?;
        } else if kind.is_file() {
            fs_err::File::open(entry.path())?.sync_all()?;
        }
    }
    crate::disk::sync_folder(folder)
}
