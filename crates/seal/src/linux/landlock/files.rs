//! File rules: what stays in reach, and the proof that the rest does not.

use super::ruleset::{READING, RulesetAttributes, STAY_INSIDE, WRITING, allow, handled_files, open_path};
use super::ruleset::{restrict, ruleset, version, why_absent};
use crate::system::{explain, process};
use crate::{FileRules, Mechanism, SealError};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

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

/// File rules, with their paths opened, ready to be put in force.
pub(in crate::system) struct Files {
    ruleset: Result<OwnedFd, String>,
    version: u32,
    /// A path that can be read now and must be refused afterwards.
    unreadable: Option<PathBuf>,
    /// A path that can be written now and must be refused afterwards.
    unwritable: Option<PathBuf>,
}

impl Files {
    /// Opens every path of the rules, also where Landlock is missing: a wrong path is misuse.
    pub(in crate::system) fn prepare(rules: &FileRules) -> Result<Self, SealError> {
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
    pub(in crate::system) fn enforce(self) -> Mechanism {
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

fn opens_to_read(path: &Path) -> io::Result<()> {
    std::fs::OpenOptions::new().read(true).open(path).map(drop)
}

/// Opens without writing anything or cutting the file.
fn opens_to_write(path: &Path) -> io::Result<()> {
    std::fs::OpenOptions::new().write(true).open(path).map(drop)
}
