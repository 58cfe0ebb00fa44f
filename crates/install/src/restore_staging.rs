//! The folder in which a frozen folder is put together again.

use crate::contents::{self, copy};
use crate::file_facts::{below, make_link, set_mode, set_mtime, sync_below};
use crate::generation::write_durably;
use crate::home_lock::HomeLock;
use crate::{InstallError, RestoreError, disk};
use manifest::{Event, FileEntry, Reporter, Sha256, Tree, TreeEntry, TreeKind, TreePath, layout};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Says whose contents these are.
const BUNDLE: &str = "bundle";
/// Is there when the tree is whole and on the disk; says whose it is, too.
const COMPLETE: &str = "complete";
/// Contents of files, called by their numbers in the manifest.
const CONTENTS: &str = "contents";
/// The folder that will get its name.
const TREE: &str = "tree";

/// `TO.part`, with the contents and the tree that is made of them.
pub(crate) struct Staging {
    to: PathBuf,
    folder: PathBuf,
    id: String,
    _lock: HomeLock,
}

impl Staging {
    /// Makes the folder, or takes over the one of an interrupted restoration of the same bundle.
    pub(crate) fn open(to: &Path, bundle: Sha256, reporter: &dyn Reporter) -> Result<Self, RestoreError> {
        let folder = layout::partial(to);
        let id = format!("{bundle}\n");
        let found = fs_err::read_to_string(folder.join(BUNDLE)).ok();
        let staging_exists = std::fs::symlink_metadata(&folder).is_ok();
        let complete = fs_err::read_to_string(folder.join(COMPLETE)).is_ok_and(|text| text == id);
        // Interrupted between the last rename and cleaning up.
        let done = complete && !folder.join(TREE).exists();
        let ours = done || found.as_deref() == Some(&id);
        if !is_free(to) && !done {
            return Err(RestoreError::NotEmpty { to: to.to_path_buf() });
        }
        if !ours && staging_exists && found.is_none() && !is_free(&folder) && !only_begun(&folder) {
            return Err(RestoreError::StagingTaken { staging: folder });
        }
        fs_err::create_dir_all(&folder).map_err(RestoreError::writing)?;
        let lock = HomeLock::take(&folder).map_err(|error| match error {
            InstallError::Locked { holder, .. } => RestoreError::Locked { to: to.to_path_buf(), holder },
            InstallError::Full(error) => RestoreError::Full(error),
            InstallError::Io(error) => RestoreError::writing(error),
            other => RestoreError::Io(std::io::Error::other(other.to_string())),
        })?;
        let staging = Self { to: to.to_path_buf(), folder, id, _lock: lock };
        if found.is_some() && !ours {
            let text = format!("removing an unfinished restoration of another backup: `{}`", staging.folder.display());
            reporter.event(&Event::Note { text: &text });
            staging.clear()?;
        }
        if !ours {
            write_durably(&staging.folder.join(BUNDLE), staging.id.as_bytes()).map_err(of_install)?;
        }
        fs_err::create_dir_all(staging.contents()).map_err(RestoreError::writing)?;
        Ok(staging)
    }

    /// Where contents lie.
    pub(crate) fn contents(&self) -> PathBuf {
        self.folder.join(CONTENTS)
    }

    fn tree(&self) -> PathBuf {
        self.folder.join(TREE)
    }

    /// Nothing is left to do but to give the folder its name, or not even that.
    pub(crate) fn is_complete(&self) -> bool {
        self.folder.join(COMPLETE).exists()
    }

    /// Takes the contents out of a tree that an interrupted restoration began to put together.
    pub(crate) fn take_apart(&self, tree: &Tree, files: &[FileEntry]) -> Result<(), RestoreError> {
        let root = self.tree();
        if std::fs::symlink_metadata(&root).is_err() {
            return Ok(());
        }
        let numbers = numbers(files);
        for entry in &tree.entries {
            let path = below(&root, &entry.path);
            // What lies in a folder that is not there is not there either.
            let Ok(metadata) = std::fs::symlink_metadata(&path) else { continue };
            match &entry.kind {
                TreeKind::Folder if metadata.is_dir() => set_mode(&path, 0o700).map_err(RestoreError::writing)?,
                TreeKind::File { stored, .. } if metadata.is_file() => {
                    let Some(number) = numbers.get(stored.as_str()) else { continue };
                    let content = contents::place(&self.contents(), *number);
                    if !content.exists() {
                        set_mode(&path, 0o600).map_err(RestoreError::writing)?;
                        fs_err::rename(&path, content).map_err(RestoreError::writing)?;
                    }
                }
                _ => {}
            }
        }
        fs_err::remove_dir_all(&root).map_err(RestoreError::writing)
    }

    /// Makes the tree: folders, files, second names, links; then modes and times; then everything durable.
    pub(crate) fn put_together(
        &self,
        tree: &Tree,
        files: &[FileEntry],
        reporter: &dyn Reporter,
    ) -> Result<(), RestoreError> {
        reporter.event(&Event::Note { text: "giving files their names, modes and times" });
        let root = self.tree();
        let numbers = numbers(files);
        let mut used: HashMap<usize, PathBuf> = HashMap::new();
        for entry in &tree.entries {
            reporter.go_on()?;
            let path = below(&root, &entry.path);
            if std::fs::symlink_metadata(&path).is_ok() {
                return Err(RestoreError::NameTaken { path: entry.path.to_string() });
            }
            match &entry.kind {
                TreeKind::Folder => {
                    fs_err::create_dir(&path).map_err(RestoreError::writing)?;
                    set_mode(&path, 0o700).map_err(RestoreError::writing)?;
                }
                TreeKind::File { stored, .. } => {
                    let Some(number) = numbers.get(stored.as_str()).copied() else { continue };
                    match (used.get(&number), files.get(number)) {
                        (Some(first), Some(file)) => copy(first, &path, file)?,
                        _ => {
                            let content = contents::place(&self.contents(), number);
                            fs_err::rename(content, &path).map_err(RestoreError::writing)?;
                            used.insert(number, path);
                        }
                    }
                }
                TreeKind::HardLink { to } => self.second_name(tree, files, &numbers, to, &path)?,
                // Links come last: nothing is ever written through one.
                TreeKind::Link { .. } => {}
            }
        }
        for entry in &tree.entries {
            if let TreeKind::Link { to } = &entry.kind {
                let path = below(&root, &entry.path);
                if std::fs::symlink_metadata(&path).is_ok() {
                    return Err(RestoreError::NameTaken { path: entry.path.to_string() });
                }
                make_link(to, &path).map_err(RestoreError::writing)?;
            }
        }
        // From the leaves to the root: what is done in a folder changes its time, and its mode may forbid more.
        for entry in tree.entries.iter().rev() {
            finish(entry, &root)?;
        }
        sync_below(&self.folder).map_err(RestoreError::Io)?;
        write_durably(&self.folder.join(COMPLETE), self.id.as_bytes()).map_err(of_install)?;
        disk::sync_folder(&self.folder).map_err(RestoreError::Io)
    }

    /// A second name of a file; a copy where the file system knows no such thing.
    fn second_name(
        &self,
        tree: &Tree,
        files: &[FileEntry],
        numbers: &HashMap<&str, usize>,
        to: &TreePath,
        path: &Path,
    ) -> Result<(), RestoreError> {
        let first = below(&self.tree(), to);
        if fs_err::hard_link(&first, path).is_ok() {
            return Ok(());
        }
        let stored = tree.files().find(|(path, ..)| *path == to).map(|(.., stored)| stored);
        let number = stored.and_then(|stored| numbers.get(stored.as_str()));
        match number.and_then(|number| files.get(*number)) {
            Some(file) => copy(&first, path, file),
            None => Ok(()),
        }
    }

    /// The end: the folder gets its name.
    pub(crate) fn commit(&self, tree: &Tree) -> Result<(), RestoreError> {
        let root = self.tree();
        if std::fs::symlink_metadata(&root).is_ok() {
            if std::fs::symlink_metadata(&self.to).is_ok() {
                fs_err::remove_dir(&self.to).map_err(|_| RestoreError::NotEmpty { to: self.to.clone() })?;
            }
            // A folder that may not be written to cannot be moved.
            set_mode(&root, 0o700).map_err(RestoreError::writing)?;
            fs_err::rename(&root, &self.to).map_err(RestoreError::writing)?;
        }
        if let Some(first) = tree.entries.first() {
            finish(first, &self.to)?;
        }
        let parent = self.to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        disk::sync_folder(parent).map_err(RestoreError::Io)?;
        // What says that all is done goes last.
        fs_err::remove_dir_all(self.contents()).map_err(RestoreError::writing)?;
        for name in [BUNDLE, layout::HOME_LOCK] {
            let _ = fs_err::remove_file(self.folder.join(name));
        }
        fs_err::remove_dir_all(&self.folder).map_err(RestoreError::writing)
    }

    /// Removes what another backup's restoration left.
    fn clear(&self) -> Result<(), RestoreError> {
        for name in [COMPLETE, TREE, CONTENTS] {
            let path = self.folder.join(name);
            match std::fs::symlink_metadata(&path) {
                Err(_) => {}
                Ok(metadata) if metadata.is_dir() => {
                    unlock(&path)?;
                    fs_err::remove_dir_all(&path).map_err(RestoreError::writing)?;
                }
                Ok(_) => fs_err::remove_file(&path).map_err(RestoreError::writing)?,
            }
        }
        Ok(())
    }
}

/// Mode and time of an entry; second names have those of the first one.
fn finish(entry: &TreeEntry, root: &Path) -> Result<(), RestoreError> {
    let path = below(root, &entry.path);
    match entry.kind {
        TreeKind::Link { .. } | TreeKind::HardLink { .. } => {}
        TreeKind::Folder | TreeKind::File { .. } => {
            set_mode(&path, entry.mode.bits()).map_err(RestoreError::writing)?;
        }
    }
    match set_mtime(&path, entry.mtime, entry.nanos) {
        // A file system that keeps no times of links.
        Err(error)
            if matches!(entry.kind, TreeKind::Link { .. }) && error.kind() == std::io::ErrorKind::Unsupported =>
        {
            Ok(())
        }
        outcome => outcome.map_err(RestoreError::writing),
    }
}

/// Lets everything below a folder be removed.
fn unlock(folder: &Path) -> Result<(), RestoreError> {
    set_mode(folder, 0o700).map_err(RestoreError::writing)?;
    for entry in fs_err::read_dir(folder).map_err(RestoreError::Io)? {
        let entry = entry.map_err(RestoreError::Io)?;
        if entry.file_type().map_err(RestoreError::Io)?.is_dir() {
            unlock(&entry.path())?;
        }
    }
    Ok(())
}

/// The numbers of files by their places in the bundle.
fn numbers(files: &[FileEntry]) -> HashMap<&str, usize> {
    files.iter().enumerate().map(|(number, file)| (file.path.as_str(), number)).collect()
}

/// There is nothing, or an empty folder.
fn is_free(path: &Path) -> bool {
    match std::fs::symlink_metadata(path) {
        Err(_) => true,
        Ok(metadata) => metadata.is_dir() && fs_err::read_dir(path).is_ok_and(|mut entries| entries.next().is_none()),
    }
}

/// A restoration was interrupted before it wrote down whose it is.
fn only_begun(folder: &Path) -> bool {
    let known =
        |name: &std::ffi::OsStr| [layout::HOME_LOCK, CONTENTS, "bundle.part"].iter().any(|known| *known == name);
    let empty = is_free(&folder.join(CONTENTS));
    empty && fs_err::read_dir(folder).is_ok_and(|entries| entries.flatten().all(|entry| known(&entry.file_name())))
}

fn of_install(error: InstallError) -> RestoreError {
    match error {
        InstallError::Full(error) => RestoreError::Full(error),
        InstallError::Io(error) => RestoreError::Io(error),
        other => RestoreError::Io(std::io::Error::other(other.to_string())),
    }
}
