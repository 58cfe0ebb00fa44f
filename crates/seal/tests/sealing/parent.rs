//! The unsealed side: starts children, as this user and, for root, also as nobody.

use crate::child::{Findings, MARK};
use libtest_mimic::{Failed, Trial};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use tempfile::TempDir;

pub(crate) const NOBODY: u32 = 65534;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum User {
    Current,
    Nobody,
}

pub(crate) type Case = fn(User) -> Result<(), Failed>;

/// One trial as this user, and a second one as nobody if we may.
pub(crate) fn for_users(name: &str, case: Case) -> Vec<Trial> {
    let mut trials = vec![Trial::test(name.to_owned(), move || case(User::Current))];
    if may_be_nobody() {
        trials.push(Trial::test(format!("{name} (as nobody)"), move || case(User::Nobody)));
    }
    trials
}

/// Whether this process may start others as nobody: real root, and not that of a namespace.
pub(crate) fn may_be_nobody() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let tried = Command::new("true").uid(NOBODY).gid(NOBODY).status();
        // The owner of our folder in /proc is our user.
        fs_err::metadata("/proc/self").unwrap().uid() == 0 && tried.is_ok_and(|status| status.success())
    })
}

/// Whether this process has `CAP_SYS_ADMIN`, which a network namespace without a user namespace needs.
pub(crate) fn is_administrator() -> bool {
    let status = fs_err::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() & 1 << 21 != 0
}

/// A copy of this program that every user can start.
fn program() -> &'static Path {
    static COPY: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = COPY.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sealing");
        fs_err::copy(std::env::current_exe().unwrap(), &path).unwrap();
        for path in [folder.path(), &path] {
            fs_err::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        (folder, path)
    });
    path
}

/// A folder that belongs to the user, with one file to read.
pub(crate) fn room(user: User) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs_err::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    fs_err::create_dir(folder.path().join("out")).unwrap();
    fs_err::create_dir(folder.path().join("outside")).unwrap();
    fs_err::write(folder.path().join("model"), vec![7_u8; 100_000]).unwrap();
    fs_err::write(folder.path().join("outside/secret"), "secret").unwrap();
    if user == User::Nobody {
        for part in ["out", "outside", "outside/secret"] {
            chown(folder.path().join(part), Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    folder
}

/// A child of this scenario, not started yet.
pub(crate) fn command(user: User, scenario: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.arg(MARK).arg(scenario).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
    if user == User::Nobody {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// Runs a child to its end and reads its findings.
pub(crate) fn findings(mut command: Command) -> Result<Findings, Failed> {
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stdout)).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
