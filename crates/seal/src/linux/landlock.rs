//! Landlock's file and TCP rules, by raw system calls (linux/landlock.h).
#![expect(unsafe_code, reason = "Landlock has no functions in the C library")]

use super::{explain, process};
use crate::{FileRules, Mechanism, SealError};
use std::ffi::CString;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_FOLDER: u64 = 1 << 3;
const REMOVE_FOLDER: u64 = 1 << 4;
const REMOVE_FILE: u64 = 1 << 5;
const MAKE_FOLDER: u64 = 1 << 7;
const MAKE_FILE: u64 = 1 << 8;
/// Linking and renaming from one folder to another (since ABI 2).
const REFER: u64 = 1 << 13;
/// Cutting a file to another length (since ABI 3).
const TRUNCATE: u64 = 1 << 14;
/// Driving a device (since ABI 5); graphics cards need it.
const DRIVE_DEVICE: u64 = 1 << 15;

/// Rights that exist for a single file.
const OF_FILES: u64 = WRITE_FILE | READ_FILE | TRUNCATE | DRIVE_DEVICE;
const READING: u64 = READ_FILE | READ_FOLDER;
const WRITING: u64 =
    READING | WRITE_FILE | REMOVE_FOLDER | REMOVE_FILE | MAKE_FOLDER | MAKE_FILE | REFER | TRUNCATE | DRIVE_DEVICE;

const BIND_AND_CONNECT_TCP: u64 = 3;
/// No abstract sockets and no signals to processes outside (since ABI 6).
const STAY_INSIDE: u64 = 3;
/// `LANDLOCK_RESTRICT_SELF_TSYNC` (since ABI 8).
const ALL_THREADS: u32 = 1 << 3;

/// What the C library and the thread pools read at any time; those missing here are left out.
const SYSTEM_READ: &[&str] = &[
    "/proc/self",
    "/proc/meminfo",
    "/proc/cpuinfo",
    "/proc/stat",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    "/sys/fs/cgroup",
    "/sys/kernel/mm/transparent_hugepage",
    "/dev/urandom",
    "/dev/random",
];
const SYSTEM_WRITE: &[&str] = &["/dev/null"];

#[repr(C)]
struct RulesetAttributes {
    files: u64,
    network: u64,
    scoped: u64,
}

#[repr(C, packed)]
struct PathBeneath {
    allowed: u64,
    folder: i32,
}

/// Highest interface version of this kernel, or why there is none.
fn version() -> io::Result<u32> {
    // SAFETY: a null attribute with the flag 1 asks for the version and touches no memory.
    let result = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0_usize, 1_u32) };
    u32::try_from(result).map_err(|_| io::Error::last_os_error())
}

fn why_absent(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOSYS) => format!("{}; this kernel has no Landlock", explain::error(error)),
        Some(libc::EOPNOTSUPP) => {
            format!("{}; Landlock is switched off at boot (lsm=)", explain::error(error))
        }
        _ => explain::error(error),
    }
}

/// File rights that this version can refuse: all from `EXECUTE` up to its newest.
fn handled_files(version: u32) -> u64 {
    let newest = match version {
        0 | 1 => 12,
        2 => 13,
        3 | 4 => 14,
        _ => 15,
    };
    (1 << (newest + 1)) - 1
}

fn ruleset(version: u32, mut attributes: RulesetAttributes) -> io::Result<OwnedFd> {
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
fn restrict(ruleset: &OwnedFd, version: u32) -> io::Result<bool> {
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

/// File rules, with their paths opened, ready to be put in force.
pub(super) struct Files {
    ruleset: Result<OwnedFd, String>,
    version: u32,
    /// A path that can be read now and must be refused afterwards.
    unreadable: Option<PathBuf>,
    /// A path that can be written now and must be refused afterwards.
    unwritable: Option<PathBuf>,
}

impl Files {
    /// Opens every path of the rules, also where Landlock is missing: a wrong path is misuse.
    pub(super) fn prepare(rules: &FileRules) -> Result<Self, SealError> {
        let paths = |list: &[PathBuf], rights: u64| -> Result<Vec<_>, SealError> {
            list.iter()
                .map(|path| {
                    let opened =
                        open_path(path).map_err(|source| SealError::RulePath { path: path.clone(), source })?;
                    Ok((opened, rights))
                })
                .collect()
        };
        let mut allowed = paths(&rules.read_write, WRITING)?;
        allowed.extend(paths(&rules.read_only, READING)?);
        for (list, rights) in [(SYSTEM_READ, READING), (SYSTEM_WRITE, WRITING)] {
            allowed.extend(list.iter().filter_map(|path| Some((open_path(Path::new(path)).ok()?, rights))));
        }
        let version = version();
        let ruleset = match &version {
            Ok(version) => filled_ruleset(*version, &allowed).map_err(|error| why_absent(&error)),
            Err(error) => Err(why_absent(error)),
        };
        let all: Vec<PathBuf> = rules
            .read_write
            .iter()
            .chain(&rules.read_only)
            .filter_map(|path| fs_err::canonicalize(path).ok())
            .collect();
        let outside = |path: &&str| !all.iter().any(|rule| Path::new(path).starts_with(rule));
        let first = |list: &[&str], opens: fn(&Path) -> io::Result<()>| {
            let mut list = list.iter().filter(|path| outside(path)).map(PathBuf::from);
            list.find(|path| opens(path).is_ok())
        };
        Ok(Self {
            ruleset,
            version: version.unwrap_or(0),
            unreadable: first(&["/etc/passwd", "/proc/version", "/usr", "/"], opens_to_read),
            unwritable: first(&["/proc/self/comm", "/dev/zero"], opens_to_write),
        })
    }

    /// Puts the rules in force and tries them.
    pub(super) fn enforce(self) -> Mechanism {
        let missing = |detail: String| Mechanism::missing(Mechanism::LANDLOCK_FILES, detail);
        let ruleset = match self.ruleset {
            Ok(ruleset) => ruleset,
            Err(reason) => {
                return missing(format!(
                    "{reason}; files outside the allowed folders, and through /proc other \
                     programs of this user, stay in reach"
                ));
            }
        };
        let every_thread = match restrict(&ruleset, self.version) {
            Ok(every_thread) => every_thread,
            Err(error) => return missing(explain::error(&error)),
        };
        let mut seen = Vec::new();
        for (path, verb, opens) in [
            (&self.unreadable, "reading", opens_to_read as fn(&Path) -> io::Result<()>),
            (&self.unwritable, "writing", opens_to_write),
        ] {
            let Some(path) = path else { continue };
            match opens(path) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    seen.push(format!("{verb} `{}` worked before and is refused now", path.display()));
                }
                _ => {
                    return missing(format!("the kernel took the rules, but {verb} `{}` still works", path.display()));
                }
            }
        }
        if seen.is_empty() {
            return missing("no path outside the rules was there to try them on".to_owned());
        }
        if !every_thread {
            return missing(format!(
                "holds this thread and new ones, but not the {} others that ran before",
                process::threads().saturating_sub(1)
            ));
        }
        let detail = format!("version {}; {}", self.version, seen.join("; "));
        Mechanism::enforced(Mechanism::LANDLOCK_FILES, detail)
    }
}

fn filled_ruleset(version: u32, allowed: &[(OwnedFd, u64)]) -> io::Result<OwnedFd> {
    let handled = handled_files(version);
    let attributes = RulesetAttributes { files: handled, network: 0, scoped: STAY_INSIDE };
    let ruleset = ruleset(version, attributes)?;
    for (path, rights) in allowed {
        allow(&ruleset, path, rights & handled)?;
    }
    Ok(ruleset)
}

fn allow(ruleset: &OwnedFd, path: &OwnedFd, rights: u64) -> io::Result<()> {
    let kind = if is_folder(path) { u64::MAX } else { OF_FILES };
    let rule = PathBeneath { allowed: rights & kind, folder: path.as_raw_fd() };
    // SAFETY: the structure outlives the call; 1 is LANDLOCK_RULE_PATH_BENEATH.
    let result = unsafe { libc::syscall(libc::SYS_landlock_add_rule, ruleset.as_raw_fd(), 1, &raw const rule, 0_u32) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn open_path(path: &Path) -> io::Result<OwnedFd> {
    let text = CString::new(path.as_os_str().as_bytes()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: a path that ends with a zero byte.
    let descriptor = unsafe { libc::open(text.as_ptr(), libc::O_PATH | libc::O_CLOEXEC) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn is_folder(path: &OwnedFd) -> bool {
    // SAFETY: `stat` is plain numbers, for which zeroes are a value, and the call fills it.
    unsafe {
        let mut facts: libc::stat = std::mem::zeroed();
        libc::fstat(path.as_raw_fd(), &raw mut facts) == 0 && facts.st_mode & libc::S_IFMT == libc::S_IFDIR
    }
}

fn opens_to_read(path: &Path) -> io::Result<()> {
    std::fs::OpenOptions::new().read(true).open(path).map(drop)
}

/// Opens without writing anything or cutting the file.
fn opens_to_write(path: &Path) -> io::Result<()> {
    std::fs::OpenOptions::new().write(true).open(path).map(drop)
}

/// Refuses TCP, and nothing about files: a ruleset that leaves `REFER` out would forbid moving
/// files between folders, so it is handled and then allowed everywhere.
fn tcp_ruleset(version: u32) -> io::Result<OwnedFd> {
    let attributes = RulesetAttributes { files: REFER, network: BIND_AND_CONNECT_TCP, scoped: 0 };
    let ruleset = ruleset(version, attributes)?;
    allow(&ruleset, &open_path(Path::new("/"))?, REFER)?;
    Ok(ruleset)
}

/// Landlock's TCP rules: an extra layer, never the guarantee.
pub(super) fn refuse_tcp() -> Mechanism {
    let missing = |detail: String| Mechanism::missing(Mechanism::LANDLOCK_TCP, detail);
    let version = match version() {
        Ok(version) if version >= 4 => version,
        Ok(version) => {
            return missing(format!("this kernel's Landlock has version {version}, TCP rules need 4"));
        }
        Err(error) => return missing(why_absent(&error)),
    };
    let every_thread = match tcp_ruleset(version).and_then(|rules| restrict(&rules, version)) {
        Ok(every_thread) => every_thread,
        Err(error) => return missing(explain::error(&error)),
    };
    let refused = |result: io::Result<()>| result.is_err_and(|error| error.raw_os_error() == Some(libc::EACCES));
    if !refused(TcpListener::bind("127.0.0.1:0").map(drop)) {
        return missing("the kernel took the rules, but binding still works".to_owned());
    }
    if !refused(TcpStream::connect("127.0.0.1:9").map(drop)) {
        return missing("the kernel took the rules, but connecting still works".to_owned());
    }
    if !every_thread {
        return missing("holds this thread and new ones, but not those that ran before".to_owned());
    }
    Mechanism::enforced(
        Mechanism::LANDLOCK_TCP,
        "binding and connecting were tried and refused; covers neither UDP nor TCP Fast Open",
    )
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
