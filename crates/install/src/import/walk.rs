//! Walking through folders that other programs keep: links are followed, loops are survived, nothing is seen twice.

use super::found::{LeftOut, Reason};
use crate::walk::plain_reason;
use manifest::layout;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// What was seen so far. One walk serves all folders of an import, so that a shared folder counts once.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    folders: HashSet<PathBuf>,
    files: HashSet<PathBuf>,
    /// What could not be followed or read.
    pub(crate) left: Vec<LeftOut>,
}

/// The files of one folder.
#[derive(Debug)]
pub(crate) struct Contents {
    /// The folder.
    pub(crate) folder: PathBuf,
    /// It is a model in the layout of diffusers: `files` holds those of the folders below, too.
    pub(crate) is_diffusers: bool,
    /// Its plain files, sorted by name.
    pub(crate) files: Vec<Seen>,
}

/// A plain file, or a link to one.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
}

/// Folders of programs, not of people.
const PASSED_OVER: [&str; 5] = [".git", "venv", ".venv", "__pycache__", "node_modules"];

impl Walk {
    /// Everything below `start` that was not seen before, folder by folder; nothing when it is not there. A plain
    /// file counts as a folder with nothing else in it.
    pub(crate) fn contents(&mut self, start: &Path) -> Vec<Contents> {
        let mut found: Vec<Contents> = Vec::new();
        if start.is_file() {
            let folder = start.parent().unwrap_or(start).to_path_buf();
            let within = fs_err::canonicalize(&folder).unwrap_or_else(|_| folder.clone());
            if let Some(Look::File(size)) = self.look(start, &within) {
                let files = vec![Seen { path: start.to_path_buf(), size }];
                found.push(Contents { folder, is_diffusers: false, files });
            }
            return found;
        }
        let mut waiting: Vec<(PathBuf, Option<usize>)> = Vec::new();
        match start.symlink_metadata() {
            Ok(_) => waiting.push((start.to_path_buf(), None)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => self.leave(start, Reason::Unreadable(plain_reason(&error))),
        }
        while let Some((folder, owner)) = waiting.pop() {
            let Some(canonical) = self.enter(&folder) else { continue };
            let mut names = match fs_err::read_dir(&folder) {
                Ok(entries) => entries.flatten().map(|entry| entry.file_name()).collect::<Vec<_>>(),
                Err(error) => {
                    self.leave(&folder, Reason::Unreadable(plain_reason(&error)));
                    continue;
                }
            };
            names.sort();
            let is_diffusers = owner.is_none() && names.iter().any(|name| name == layout::DIFFUSERS_INDEX);
            let (mut files, mut below) = (Vec::new(), Vec::new());
            for name in names {
                let path = folder.join(&name);
                match self.look(&path, &canonical) {
                    Some(Look::Folder) if !PASSED_OVER.iter().any(|other| name == *other) => below.push(path),
                    Some(Look::File(size)) => files.push(Seen { path, size }),
                    _ => {}
                }
            }
            let owner = match owner.and_then(|at| found.get_mut(at)) {
                Some(whole) => {
                    whole.files.extend(files);
                    owner
                }
                None => {
                    found.push(Contents { folder, is_diffusers, files });
                    is_diffusers.then_some(found.len() - 1)
                }
            };
            waiting.extend(below.into_iter().rev().map(|path| (path, owner)));
        }
        found
    }

    /// The folder's true path, when it is one and was not seen before.
    fn enter(&mut self, folder: &Path) -> Option<PathBuf> {
        let canonical = match fs_err::canonicalize(folder) {
            Ok(canonical) => canonical,
            Err(error) => {
                self.leave(folder, unreachable(folder, &error));
                return None;
            }
        };
        (canonical.is_dir() && self.folders.insert(canonical.clone())).then_some(canonical)
    }

    /// What lies at `path`, in the folder whose true path is `within`.
    fn look(&mut self, path: &Path, within: &Path) -> Option<Look> {
        let link = match path.symlink_metadata() {
            Ok(metadata) => metadata.is_symlink(),
            Err(error) => {
                self.leave(path, Reason::Unreadable(plain_reason(&error)));
                return None;
            }
        };
        let metadata = match fs_err::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) => {
                self.leave(path, unreachable(path, &error));
                return None;
            }
        };
        let canonical = match (link, path.file_name()) {
            (false, Some(name)) => within.join(name),
            _ => fs_err::canonicalize(path).ok()?,
        };
        if metadata.is_dir() {
            if link && within.starts_with(&canonical) {
                self.leave(path, Reason::Loop);
                return None;
            }
            return Some(Look::Folder);
        }
        // Pipes, sockets and devices are none of ours, and opening one could wait for ever.
        (metadata.is_file() && self.files.insert(canonical)).then_some(Look::File(metadata.len()))
    }

    fn leave(&mut self, path: &Path, reason: Reason) {
        self.left.push(LeftOut { path: path.to_path_buf(), size: 0, reason });
    }
}

enum Look {
    Folder,
    File(u64),
}

/// Why a path leads nowhere.
fn unreachable(path: &Path, error: &std::io::Error) -> Reason {
    match fs_err::read_link(path) {
        // Linux says ELOOP when a link leads to itself.
        Ok(target) if error.kind() == std::io::ErrorKind::NotFound || error.to_string().contains("symbolic link") => {
            Reason::DanglingLink(target.to_string_lossy().into_owned())
        }
        _ => Reason::Unreadable(plain_reason(error)),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_and_loops_survived() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["models/a", "shared/b", "models/diffusers/unet"] {
            fs_err::create_dir_all(at(name)).unwrap();
        }
        for name in ["models/a/1", "shared/b/2", "models/diffusers/model_index.json", "models/diffusers/unet/3"] {
            fs_err::write(at(name), "x").unwrap();
        }
        symlink(at("shared"), at("models/link")).unwrap();
        symlink(at("shared/b/2"), at("models/again")).unwrap();
        symlink("..", at("models/a/up")).unwrap();
        symlink("nowhere", at("models/gone")).unwrap();
        symlink("self", at("models/self")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at("models/pipe"), rustix::fs::Mode::RWXU).unwrap();
        let mut walk = Walk::default();
        let mut seen: Vec<String> = Vec::new();
        for contents in walk.contents(&at("models")) {
            let name = |path: &Path| path.strip_prefix(folder.path()).unwrap().display().to_string();
            let mark = if contents.is_diffusers { " = diffusers" } else { "" };
            seen.extend(contents.files.iter().map(|file| format!("{}{mark}", name(&file.path))));
        }
        assert_eq!(
            seen,
            [
                "models/again",
                "models/a/1",
                "models/diffusers/model_index.json = diffusers",
                "models/diffusers/unet/3 = diffusers",
            ]
        );
        let left: Vec<_> = walk.left.iter().map(|left| (left.path.file_name().unwrap(), &left.reason)).collect();
        assert_eq!(left.len(), 3, "{left:?}");
        assert!(left.contains(&("up".as_ref(), &Reason::Loop)));
        assert!(left.contains(&("gone".as_ref(), &Reason::DanglingLink("nowhere".into()))));
        assert!(left.contains(&("self".as_ref(), &Reason::DanglingLink("self".into()))));
        assert!(walk.contents(&at("models/a")).is_empty(), "nothing is seen twice");
        assert!(walk.contents(&at("not there")).is_empty());
    }
}
