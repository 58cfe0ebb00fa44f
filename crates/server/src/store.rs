//! Putting a picture file in its place, whole or not at all.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fs_err as fs;

use crate::clock;

/// The folder of deleted pictures, inside the folder of pictures.
pub(crate) const TRASH: &str = ".trash";
/// The end of the name of a file that is being written.
const PART: &str = ".png.part";
/// A part file older than this was left by a program that died.
const STALE: Duration = Duration::from_secs(3600);

/// A file that is written but not yet named; dropping it removes it.
struct Part {
    path: PathBuf,
    named: bool,
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.named {
            // The disk may be gone; nothing better can be done here.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Writes `png` under the first free name of this second and returns the name without `.png`:
/// beside it, synced, renamed, the folder synced.
///
/// # Errors
/// Names the file and the reason; no file of that name exists then.
pub(crate) fn save(folder: &Path, png: &[u8]) -> io::Result<String> {
    let stamp = clock::name_stamp(clock::now());
    for number in 1..=9999 {
        let id = format!("{stamp}-{number:04}");
        let target = folder.join(format!("{id}.png"));
        let path = folder.join(format!("{id}{PART}"));
        // Whoever creates the part file owns the name.
        let mut file = match fs::OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(error),
        };
        let mut part = Part { path, named: false };
        if target.symlink_metadata().is_ok() || folder.join(TRASH).join(format!("{id}.png")).symlink_metadata().is_ok()
        {
            continue;
        }
        file.write_all(png)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&part.path, &target)?;
        part.named = true;
        sync_folder(folder)?;
        return Ok(id);
    }
    Err(io::Error::new(
        io::ErrorKind::AlreadyExists,
        format!("`{}` already holds 9999 pictures of this second", folder.display()),
    ))
}

/// Moves a picture into the trash. An older deleted picture of the same name is kept under a
/// longer one, which is given.
pub(crate) fn discard(folder: &Path, id: &str) -> io::Result<Option<String>> {
    let trash = folder.join(TRASH);
    fs::create_dir_all(&trash)?;
    let target = trash.join(format!("{id}.png"));
    let mut kept = None;
    if target.symlink_metadata().is_ok() {
        let older = (1..=9999)
            .map(|number| format!("{id}~{number}"))
            .find(|older| trash.join(format!("{older}.png")).symlink_metadata().is_err())
            .ok_or_else(|| {
                io::Error::new(io::ErrorKind::AlreadyExists, format!("`{}` is full of `{id}`", trash.display()))
            })?;
        fs::rename(&target, trash.join(format!("{older}.png")))?;
        kept = Some(older);
    }
    fs::rename(folder.join(format!("{id}.png")), target)?;
    sync_folder(&trash)?;
    sync_folder(folder)?;
    Ok(kept)
}

/// Moves a picture back out of the trash.
///
/// # Errors
/// [`io::ErrorKind::NotFound`] if it is not in the trash, [`io::ErrorKind::AlreadyExists`] if a
/// picture of that name is there again.
pub(crate) fn restore(folder: &Path, id: &str) -> io::Result<()> {
    let trash = folder.join(TRASH);
    let target = folder.join(format!("{id}.png"));
    if target.symlink_metadata().is_ok() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("`{}` is there again", target.display())));
    }
    fs::rename(trash.join(format!("{id}.png")), target)?;
    sync_folder(folder)?;
    sync_folder(&trash)
}

/// Removes part files that a killed program left an hour ago or earlier.
pub(crate) fn sweep(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().to_str().is_some_and(|name| name.ends_with(PART)) {
            continue;
        }
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let stale = modified.is_ok_and(|time| SystemTime::now().duration_since(time).is_ok_and(|age| age > STALE));
        if stale && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The picture's name if this is a name for one: `*.png`, not hidden, UTF-8.
pub(crate) fn id_of(file_name: &OsStr) -> Option<&str> {
    let id = file_name.to_str()?.strip_suffix(".png")?;
    is_id(id).then_some(id)
}

/// Whether this can be the name of a picture: one plain file name on every system.
pub(crate) fn is_id(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= 200
        && !id.starts_with('.')
        && !id.chars().any(|letter| letter.is_control() || "/\\:*?\"<>|".contains(letter))
}

/// Makes a rename last through a power cut.
fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    fs::File::open(folder)?.sync_all()?;
    // Windows opens no folder as a file; NTFS journals the rename itself.
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn names_are_unique_and_sorted() {
        let folder = tempfile::tempdir().expect("a folder");
        let ids: Vec<String> = (0..30).map(|_| save(folder.path(), b"x").expect("saved")).collect();
        let mut sorted = ids.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(ids, sorted);
        assert_eq!(names(folder.path()), ids.iter().map(|id| format!("{id}.png")).collect::<Vec<_>>());
        assert!(ids.iter().all(|id| clock::from_name(id).is_some()));
    }

    #[test]
    fn the_trash_gives_back_and_keeps_both() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        fs::write(path.join("cat.png"), b"one").expect("written");
        assert_eq!(discard(path, "cat").expect("discarded"), None);
        assert_eq!(names(path), [TRASH]);
        fs::write(path.join("cat.png"), b"two").expect("written");
        assert_eq!(restore(path, "cat").expect_err("taken").kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(discard(path, "cat").expect("discarded").as_deref(), Some("cat~1"));
        assert_eq!(names(&path.join(TRASH)), ["cat.png", "cat~1.png"]);
        restore(path, "cat").expect("restored");
        assert_eq!(fs::read(path.join("cat.png")).expect("read"), b"two");
        assert_eq!(restore(path, "dog").expect_err("unknown").kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_failing_write_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let blocked = folder.path().join("outputs");
        fs::write(&blocked, b"a file, not a folder").expect("written");
        let error = save(&blocked, b"x").expect_err("no folder");
        assert!(error.to_string().contains("outputs"), "{error}");
        assert_eq!(names(folder.path()), ["outputs"]);
    }

    #[test]
    fn only_plain_names_are_pictures() {
        for (name, id) in [
            ("a.png", Some("a")),
            ("ein Käse.png", Some("ein Käse")),
            (".png", None),
            ("..png", None),
            (".hidden.png", None),
            ("a.png.part", None),
            ("a.jpg", None),
            ("a:b.png", None),
        ] {
            assert_eq!(id_of(OsStr::new(name)), id, "{name}");
        }
        assert!(!is_id("../x") && !is_id("a\\b") && !is_id(&"x".repeat(201)));
    }
}
