//! Where this run works: the home, the bundle beside the program, the program itself.

use crate::cli::HomeArgs;
use crate::failure::{Failure, Outcome};
use manifest::layout;
use std::path::{Path, PathBuf};

/// The running program's own file.
pub(crate) fn program() -> Outcome<PathBuf> {
    std::env::current_exe().map_err(|error| {
        Failure::new(format!("the running program cannot find its own file: {error}"))
            .with_hint("start it by its full path, for example `/media/usb/kit/fieldforge`")
    })
}

/// The folder that the running program lies in.
pub(crate) fn program_folder() -> Outcome<PathBuf> {
    let program = program()?;
    Ok(program.parent().map(Path::to_path_buf).unwrap_or_default())
}

/// The home to work in: as asked for, else the program's own if it is an installed one, else `~/fieldforge`.
pub(crate) fn resolve(args: &HomeArgs) -> Outcome<PathBuf> {
    if let Some(home) = &args.home {
        return absolute(home);
    }
    let beside = program_folder()?;
    if is_home(&beside) {
        return Ok(beside);
    }
    user_home().map(|home| home.join("fieldforge")).ok_or_else(|| {
        Failure::new("this account has no home folder (the variable `HOME` is not set)")
            .with_hint("say where to work: --home DIR")
    })
}

/// `folder` holds an installation.
pub(crate) fn is_home(folder: &Path) -> bool {
    folder.join(layout::CURRENT).is_file() && folder.join(layout::GENERATIONS).is_dir()
}

/// `folder` holds a bundle.
pub(crate) fn is_bundle(folder: &Path) -> bool {
    let Ok(entries) = fs_err::read_dir(folder) else { return false };
    entries
        .flatten()
        .any(|entry| entry.file_name().to_str().is_some_and(|name| layout::parse_volume_name(name).is_some()))
}

/// The user's own folder.
pub(crate) fn user_home() -> Option<PathBuf> {
    let name = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
    std::env::var_os(name).filter(|home| !home.is_empty()).map(PathBuf::from)
}

/// `path` from the root, without asking that it exists.
pub(crate) fn absolute(path: &Path) -> Outcome<PathBuf> {
    std::path::absolute(path)
        .map_err(|error| Failure::new(format!("the path `{}` cannot be used: {error}", path.display())))
}
