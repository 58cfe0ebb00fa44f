//! What the kernel's interface looks like, and making and enforcing a set of rules.
#![expect(unsafe_code, reason = "Landlock has no functions in the C library")]

use crate::system::{explain, process};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub(super) const WRITE_FILE: u64 = 1 << 1;
pub(super) const READ_FILE: u64 = 1 << 2;
pub(super) const READ_FOLDER: u64 = 1 << 3;
pub(super) const REMOVE_FOLDER: u64 = 1 << 4;
pub(super) const REMOVE_FILE: u64 = 1 << 5;
pub(super) const MAKE_FOLDER: u64 = 1 << 7;
pub(super) const MAKE_FILE: u64 = 1 << 8;
/// Linking and renaming from one folder to another (since ABI 2).
pub(super) const REFER: u64 = 1 << 13;
/// Cutting a file to another length (since ABI 3).
pub(super) const TRUNCATE: u64 = 1 << 14;
/// Driving a device (since ABI 5); graphics cards need it.
pub(super) const DRIVE_DEVICE: u64 = 1 << 15;

/// Rights that exist for a single file.
pub(super) const OF_FILES: u64 = WRITE_FILE | READ_FILE | TRUNCATE | DRIVE_DEVICE;
pub(super) const READING: u64 = READ_FILE | READ_FOLDER;
pub(super) const WRITING: u64 =
    READING | WRITE_FILE | REMOVE_FOLDER | REMOVE_FILE | MAKE_FOLDER | MAKE_FILE | REFER | TRUNCATE | DRIVE_DEVICE;

pub(super) const BIND_AND_CONNECT_TCP: u64 = 3;
/// No abstract sockets and no signals to processes outside (since ABI 6).
pub(super) const STAY_INSIDE: u64 = 3;
/// `LANDLOCK_RESTRICT_SELF_TSYNC` (since ABI 8).
pub(super) const ALL_THREADS: u32 = 1 << 3;

#[repr(C)]
pub(super) struct RulesetAttributes {
    pub(super) files: u64,
    pub(super) network: u64,
    pub(super) scoped: u64,
}

#[repr(C, packed)]
pub(super) struct PathBeneath {
    allowed: u64,
    folder: i32,
}

/// Highest interface version of this kernel, or why there is none.
pub(super) fn version() -> io::Result<u32> {
    // SAFETY: a null attribute with the flag 1 asks for the version and touches no memory.
    let result = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0_usize, 1_u32) };
    u32::try_from(result).map_err(|_| io::Error::last_os_error())
}

pub(super) fn why_absent(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOSYS) => format!("{}; this kernel has no Landlock", explain::error(error)),
        Some(libc::EOPNOTSUPP) => {
            format!("{}; Landlock is switched off at boot (lsm=)", explain::error(error))
        }
        _ => explain::error(error),
    }
}

/// File rights that this version can refuse: all from `EXECUTE` up to its newest.
pub(super) fn handled_files(version: u32) -> u64 {
    let newest = match version {
        0 | 1 => 12,
        2 => 13,
        3 | 4 => 14,
        _ => 15,
    };
    (1 << (newest + 1)) - 1
}

pub(super) fn ruleset(version: u32, mut attributes: RulesetAttributes) -> io::Result<OwnedFd> {
    let size: usize = match version {
        0..=3 => 8,
        4 | 5 => 16,
        _ => 24,
    };
    if version < 6 {
        attributes.scoped = 0;
    }
    // SAFETY: the structure outlives the call and is at least `size` bytes long.
    let result = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, &raw const attributes, size, 0_u32) };
    let descriptor = i32::try_from(result).unwrap_or(-1);
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Puts a ruleset in force; says whether for every thread.
pub(super) fn restrict(ruleset: &OwnedFd, version: u32) -> io::Result<bool> {
    let alone = process::threads() == 1;
    let attempt = |flags: u32| {
        // SAFETY: a descriptor that we own and plain numbers.
        let result = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), flags) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    if !alone && version >= 8 && attempt(ALL_THREADS).is_ok() {
        return Ok(true);
    }
    attempt(0).map(|()| alone)
}

pub(super) fn allow(ruleset: &OwnedFd, path: &OwnedFd, rights: u64) -> io::Result<()> {
    let kind = if is_folder(path) { u64::MAX } else { OF_FILES };
    let rule = PathBeneath { allowed: rights & kind, folder: path.as_raw_fd() };
    // SAFETY: the structure outlives the call; 1 is LANDLOCK_RULE_PATH_BENEATH.
    let result = unsafe { libc::syscall(libc::SYS_landlock_add_rule, ruleset.as_raw_fd(), 1, &raw const rule, 0_u32) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

pub(super) fn open_path(path: &Path) -> io::Result<OwnedFd> {
    let text = CString::new(path.as_os_str().as_bytes()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: a path that ends with a zero byte.
    let descriptor = unsafe { libc::open(text.as_ptr(), libc::O_PATH | libc::O_CLOEXEC) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

pub(super) fn is_folder(path: &OwnedFd) -> bool {
    // SAFETY: `stat` is plain numbers, for which zeroes are a value, and the call fills it.
    unsafe {
        let mut facts: libc::stat = std::mem::zeroed();
        libc::fstat(path.as_raw_fd(), &raw mut facts) == 0 && facts.st_mode & libc::S_IFMT == libc::S_IFDIR
    }
}

#[cfg(test)]
mod tests {
    use super::handled_files;

    #[test]
    fn each_version_handles_its_own_rights() {
        let found = [1, 2, 3, 4, 5, 7].map(handled_files);
        assert_eq!(found, [0x1fff, 0x3fff, 0x7fff, 0x7fff, 0xffff, 0xffff]);
    }
}
