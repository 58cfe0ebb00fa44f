//! Files that the frontend keeps for its user: settings and workflows.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use fs_err as fs;
use serde_json::{Value, json};

/// Most files that are kept.
const MAX_FILES: usize = 5000;
/// Largest file.
pub(crate) const MAX_FILE: u64 = 16 << 20;
/// Deepest folder.
const MAX_PARTS: usize = 8;

/// A folder of small files. Every name is checked before it becomes a path.
#[derive(Debug)]
pub(crate) struct Userdata {
    folder: PathBuf,
}

/// One kept file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// Below the folder that was listed, with slashes.
    pub(crate) path: String,
    pub(crate) size: u64,
    /// Milliseconds since 1970.
    pub(crate) modified: u64,
}

impl Entry {
    pub(crate) fn json(&self) -> Value {
        json!({ "path": self.path, "size": self.size, "modified": self.modified, "created": self.modified })
    }
}

impl Userdata {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The path of a name such as `workflows/cat.json`; `None` for a name that is not kept here.
    fn path(&self, name: &str) -> Option<PathBuf> {
        let parts: Vec<&str> = name.split('/').collect();
        let good = parts.len() <= MAX_PARTS && parts.iter().all(|part| is_name(part));
        good.then(|| parts.iter().fold(self.folder.clone(), |path, part| path.join(part)))
    }

    pub(crate) fn read(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.path(name)?).ok()
    }

    /// All files below a folder, sorted; only its own ones without `recurse`.
    pub(crate) fn list(&self, folder: &str, recurse: bool) -> Option<Vec<Entry>> {
        let folder = if folder.is_empty() { self.folder.clone() } else { self.path(folder)? };
        let mut entries = Vec::new();
        collect(&folder, "", if recurse { MAX_PARTS } else { 1 }, &mut entries);
        entries.sort_by(|one, other| one.path.cmp(&other.path));
        Some(entries)
    }

    /// Keeps a file: written beside, synced, renamed.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for a name that cannot be kept, [`io::ErrorKind::AlreadyExists`] when it is
    /// there and must not be replaced, [`io::ErrorKind::StorageFull`] when there are too many; else the disk's reason.
    pub(crate) fn write(&self, name: &str, bytes: &[u8], overwrite: bool) -> io::Result<Entry> {
        let path = self.path(name).ok_or(io::ErrorKind::InvalidInput)?;
        if path.exists() {
            if !overwrite || path.is_dir() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
        } else if self.list("", true).is_some_and(|all| all.len() >= MAX_FILES) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        write(&path, bytes)?;
        Ok(entry(&path, name))
    }

    /// # Errors
    /// [`io::ErrorKind::NotFound`] when it is not there.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name).ok_or(io::ErrorKind::NotFound)?)
    }

    /// # Errors
    /// As [`Userdata::write`], and [`io::ErrorKind::NotFound`].
    pub(crate) fn rename(&self, from: &str, to: &str, overwrite: bool) -> io::Result<Entry> {
        let source = self.path(from).ok_or(io::ErrorKind::NotFound)?;
        let target = self.path(to).ok_or(io::ErrorKind::InvalidInput)?;
        if target.exists() && !overwrite {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::rename(source, &target)?;
        Ok(entry(&target, to))
    }
}

fn entry(path: &Path, name: &str) -> Entry {
    let metadata = fs::metadata(path).ok();
    let modified = metadata.as_ref().and_then(|metadata| metadata.modified().ok());
    let modified = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    Entry {
        path: name.to_owned(),
        size: metadata.map_or(0, |metadata| metadata.len()),
        modified: u64::try_from(modified.as_millis()).unwrap_or_default(),
    }
}

fn collect(folder: &Path, below: &str, depth: usize, entries: &mut Vec<Entry>) {
    let Ok(all) = fs::read_dir(folder) else { return };
    for file in all.flatten() {
        let Ok(name) = file.file_name().into_string() else { continue };
        let Ok(kind) = file.file_type() else { continue };
        if !is_name(&name) || entries.len() >= MAX_FILES {
            continue;
        }
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        if kind.is_dir() && depth > 1 {
            collect(&file.path(), &path, depth - 1, entries);
        } else if kind.is_file() {
            entries.push(entry(&file.path(), &path));
        }
    }
}

/// Whether this is one plain name on every system.
pub(crate) fn is_name(name: &str) -> bool {
    let strange = |letter: char| letter.is_control() || "/\\:*?\"<>|".contains(letter);
    !name.is_empty()
        && name.len() <= 200
        && !name.starts_with('.')
        && !name.ends_with([' ', '.'])
        && !name.contains(strange)
}

/// Writes a file whole or not at all; makes its folder.
///
/// # Errors
/// Names the file and the reason.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let part = path.with_file_name(format!(".{name}.{:?}.part", std::thread::current().id()));
    let written = fs::File::create(&part)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&part, path));
    if written.is_err() {
        // The disk may be gone; nothing better can be done here.
        let _ = fs::remove_file(&part);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_kept_below_the_folder_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = Userdata::new(folder.path().join("user"));
        for name in
            ["", "..", "../x", "a/../../x", "/etc/passwd", "a\\b", "a//b", "con:", ".hidden", "a/b/c/d/e/f/g/h/i"]
        {
            let refused = data.write(name, b"x", true).expect_err(name);
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{name}");
            assert_eq!(data.read(name), None);
        }
        data.write("workflows/cat.json", b"{}", false).expect("kept");
        assert_eq!(
            data.write("workflows/cat.json", b"", false).expect_err("taken").kind(),
            io::ErrorKind::AlreadyExists
        );
        data.write("workflows/deep/dog.json", b"[]", false).expect("kept");
        let names = |recurse| {
            let entries = data.list("workflows", recurse).expect("a folder");
            entries.into_iter().map(|entry| (entry.path, entry.size)).collect::<Vec<_>>()
        };
        assert_eq!(names(false), [("cat.json".to_owned(), 2)]);
        assert_eq!(names(true), [("cat.json".to_owned(), 2), ("deep/dog.json".to_owned(), 2)]);
        data.rename("workflows/cat.json", "workflows/tom.json", false).expect("moved");
        assert_eq!(data.read("workflows/tom.json").as_deref(), Some(&b"{}"[..]));
        data.remove("workflows/tom.json").expect("removed");
        assert_eq!(data.remove("workflows/tom.json").expect_err("gone").kind(), io::ErrorKind::NotFound);
    }
}
