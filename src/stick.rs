//! Stepping off the stick: whoever has to change sticks must be able to take out the one that the program was started
//! from, and a system does not let go of a stick from which a program runs.

use crate::home;
use crate::output::Output;
use ::install::Bundle;
use manifest::{Event, Reporter as _, layout};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Tells the copy where it lies, so that it cleans up.
const MARK: &str = "FIELDFORGE_COPY";

/// Goes on as a copy of the program on a disk, with these arguments, when the program runs from one of several sticks and
/// somebody can be asked for the others. Returns when there is no need for it, or no way.
pub(crate) fn step_off<State>(bundle: &Bundle<State>, work: &Path, arguments: &[OsString], output: &Output) {
    if bundle.is_all_here() || !output.can_ask() {
        return;
    }
    if std::env::var_os(MARK).is_some() {
        leave_folder(&bundle.folder(), work);
        return;
    }
    let (Ok(program), Ok(beside)) = (home::program(), home::program_folder()) else { return };
    if !home::is_bundle(&beside) {
        return;
    }
    let places = [Some(std::env::temp_dir()), home::user_home(), Some(existing(work))];
    for place in places.into_iter().flatten() {
        let folder = place.join(name());
        // A place where no program may run, or that is full: the next one.
        if copy(&program, &folder).is_ok() {
            start(&folder, arguments);
        }
        let _ = fs_err::remove_dir_all(&folder);
    }
    let text = format!(
        "the program runs from `{}` and could not be copied to a disk, so that this stick stays in use: when the next one is \
         asked for, press Ctrl+C, copy `{}` to this machine and start it there; what was installed is kept",
        beside.display(),
        program.display()
    );
    output.event(&Event::Warning { text: &text });
}

/// Removes the copy that this is, if it is one. It can run to its end all the same.
pub(crate) fn clean_up() {
    let (Some(folder), Ok(beside)) = (std::env::var_os(MARK).map(PathBuf::from), home::program_folder()) else {
        return;
    };
    // What this program starts (the self-test does) inherits the mark, but is not the one to clean up.
    if folder == beside && beside.ends_with(name()) {
        // It lies among temporary files, or under a name that says what it is.
        let _ = fs_err::remove_dir_all(folder);
    }
}

/// What the folder of the copy is called: becoming the copy, the process keeps its number.
fn name() -> String {
    format!(".fieldforge-copy-{}", std::process::id())
}

fn copy(program: &Path, folder: &Path) -> std::io::Result<()> {
    fs_err::create_dir(folder)?;
    fs_err::copy(program, folder.join(layout::PROGRAM)).map(drop)
}

/// Becomes the copy; returns when that is not possible.
#[cfg(unix)]
fn start(folder: &Path, arguments: &[OsString]) {
    use std::os::unix::process::CommandExt as _;
    let mut command = std::process::Command::new(folder.join(layout::PROGRAM));
    let _ = command.args(arguments).env(MARK, folder).exec();
}

#[cfg(not(unix))]
fn start(_: &Path, _: &[OsString]) {}

/// A working folder on the stick keeps it in use, too. Paths that were given are absolute by now.
#[cfg(unix)]
fn leave_folder(bundle: &Path, work: &Path) {
    use std::os::unix::fs::MetadataExt as _;
    let device = |path: &Path| fs_err::metadata(path).ok().map(|metadata| metadata.dev());
    let stick = device(bundle);
    if stick.is_some() && device(Path::new(".")) == stick && device(&existing(work)) != stick {
        // Where it is not possible, the stick stays in use, and everything else goes on.
        let _ = std::env::set_current_dir("/");
    }
}

#[cfg(not(unix))]
fn leave_folder(_: &Path, _: &Path) {}

/// The nearest folder above that is there.
fn existing(path: &Path) -> PathBuf {
    path.ancestors().find(|above| above.is_dir()).unwrap_or(Path::new("/")).to_path_buf()
}
