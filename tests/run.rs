//! Runs the real program in a place of its own and looks at everything it did.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A folder with a home folder of its own, gone when dropped.
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

/// How a run ended.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("forge ").tempdir().unwrap();
        fs_err::create_dir(folder.path().join("user")).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, content).unwrap();
        path
    }

    /// The program, as a stranger's shell would start it here. The settings of package registries are kept.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        self.furnish(&mut command);
        command
    }

    /// Gives any command this place's home folder and no other trace of the tester's.
    pub(crate) fn furnish(&self, command: &mut Command) {
        let real_home = std::env::var_os("HOME").unwrap_or_default();
        let npmrc = Path::new(&real_home).join(".npmrc");
        if std::env::var_os("NPM_CONFIG_USERCONFIG").is_none() && npmrc.is_file() {
            command.env("NPM_CONFIG_USERCONFIG", npmrc);
        }
        let pip = [".config/pip/pip.conf", ".pip/pip.conf"].map(|name| Path::new(&real_home).join(name));
        if let (None, Some(file)) = (std::env::var_os("PIP_CONFIG_FILE"), pip.iter().find(|file| file.is_file())) {
            command.env("PIP_CONFIG_FILE", file);
        }
        command
            .current_dir(self.folder.path())
            .env("HOME", self.path("user"))
            .env_remove("FIELDFORGE_HOME")
            .env_remove("FIELDFORGE_CACHE")
            .env_remove("XDG_CACHE_HOME")
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .stdin(Stdio::null());
    }

    /// Runs the program and waits.
    pub(crate) fn run<A: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Ran {
        Ran::of(self.command(PROGRAM).args(args).output().unwrap())
    }

    /// A bundle with spark, made once per place.
    pub(crate) fn spark_bundle(&self) -> PathBuf {
        let folder = self.path("kit");
        if !folder.exists() {
            self.run(["bundle", "--out", "kit"]).expect_success();
        }
        folder
    }
}

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_fieldforge");

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// It must have worked.
    pub(crate) fn expect_success(self) -> Self {
        assert_eq!(self.code, Some(0), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// It must have been refused, with exit status 1 and these words; a hint must be there.
    pub(crate) fn expect_refusal(&self, words: &[&str]) {
        assert_eq!(self.code, Some(1), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "`{word}` is not said in:\n{}", self.stderr);
        }
        assert!(self.stderr.contains("\nhint: "), "no hint in:\n{}", self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
    }
}

/// Every path below `folder`, relative, sorted.
pub(crate) fn tree(folder: &Path) -> Vec<String> {
    fn walk(root: &Path, folder: &Path, found: &mut Vec<String>) {
        let Ok(entries) = fs_err::read_dir(folder) else { return };
        for entry in entries.flatten() {
            let path = entry.path();
            found.push(path.strip_prefix(root).unwrap().display().to_string());
            if path.is_dir() && !path.is_symlink() {
                walk(root, &path, found);
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, folder, &mut found);
    found.sort();
    found
}
