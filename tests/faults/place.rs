//! Folders of trials, and the program run in them.

use crate::run::PROGRAM;
use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// What every folder of a trial is called, before its number.
pub(crate) const TRIAL: &str = "trial-";

/// Holds the folders of all trials of one test, and a copy of the program without symbols, which is faster to pack.
pub(crate) struct Lab {
    root: tempfile::TempDir,
    program: PathBuf,
    trials: AtomicU32,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) killed: bool,
    pub(crate) said: String,
}

impl Lab {
    pub(crate) fn new() -> Self {
        // In memory where there is room: thousands of trials wait for the disk otherwise.
        let memory = Path::new("/dev/shm");
        let roomy = free_space(memory).is_some_and(|free| free > 2 << 30);
        let mut builder = tempfile::Builder::new();
        let builder = builder.prefix("faults ü 猫 ");
        let root = if roomy { builder.tempdir_in(memory) } else { builder.tempdir() }.unwrap();
        let program = root.path().join("fieldforge");
        let stripped = Command::new("strip").arg("-o").arg(&program).arg(PROGRAM).status();
        if !stripped.is_ok_and(|status| status.success()) {
            fs_err::copy(PROGRAM, &program).unwrap();
        }
        Self { root, program, trials: AtomicU32::new(0) }
    }

    /// The program that runs here.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Lets other users of this machine in.
    pub(crate) fn open_to_everybody(&self) {
        use std::os::unix::fs::PermissionsExt as _;
        fs_err::set_permissions(self.root.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A folder of its own.
    pub(crate) fn folder(&self) -> PathBuf {
        let number = self.trials.fetch_add(1, Ordering::Relaxed);
        let folder = self.root.path().join(format!("{TRIAL}{number}"));
        fs_err::create_dir(&folder).unwrap();
        folder
    }

    /// A folder of its own that holds what `template` holds.
    pub(crate) fn copy_of(&self, template: &Path) -> PathBuf {
        let folder = self.folder();
        copy(template, &folder);
        folder
    }

    /// The program, to be started in `folder`, behind the words of another command.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, folder: &Path, before: &[S], args: &[S]) -> Command {
        let mut command = match before.split_first() {
            None => Command::new(&self.program),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(&self.program);
                command
            }
        };
        let settings =
            ["FIELDFORGE_HOME", "FIELDFORGE_CACHE", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "DISPLAY", "LD_LIBRARY_PATH"];
        for name in settings {
            command.env_remove(name);
        }
        command.args(args).current_dir(folder).env("HOME", folder.join("user")).stdin(Stdio::null());
        command
    }

    /// Runs it and waits.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, folder: &Path, before: &[S], args: &[S]) -> Ended {
        Ended::of(&mut self.command(folder, before, args))
    }
}

impl Ended {
    pub(crate) fn of(command: &mut Command) -> Self {
        Self::of_output(command.output().unwrap())
    }

    pub(crate) fn of_output(output: Output) -> Self {
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        Self { code: output.status.code(), killed: output.status.signal() == Some(9), said }
    }

    pub(crate) fn expect_success(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.said);
        self
    }
}

fn free_space(folder: &Path) -> Option<u64> {
    let output = Command::new("df").args(["--output=avail", "-B1"]).arg(folder).output().ok()?;
    String::from_utf8_lossy(&output.stdout).lines().nth(1)?.trim().parse().ok()
}

/// Copies what is in a folder, with times, modes and links: a backup keeps them.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs_err::create_dir_all(to).unwrap();
    let status = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().unwrap();
    assert!(status.success(), "{} cannot be copied to {}", from.display(), to.display());
}
