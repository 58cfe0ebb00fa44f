//! Files that are there whole or not at all.

use crate::failure::Outcome;
use manifest::layout;
use std::io::Write as _;
use std::path::Path;

/// Writes beside, syncs, renames, syncs the folder: under `path` stands the old file or the new one, never half of one.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Outcome {
    put(path, bytes, fs_err::OpenOptions::new().write(true).create(true).truncate(true))
}

/// The same, for this account's eyes only.
pub(crate) fn write_secret(path: &Path, bytes: &[u8]) -> Outcome {
    let mut options = fs_err::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use fs_err::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    put(path, bytes, &options)
}

fn put(path: &Path, bytes: &[u8], options: &fs_err::OpenOptions) -> Outcome {
    let partial = layout::partial(path);
    let written = (|| {
        let mut file = options.open(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        fs_err::rename(&partial, path)
    })();
    if let Err(error) = written {
        let _ = fs_err::remove_file(&partial);
        return Err(error.into());
    }
    sync_folder(path);
    Ok(())
}

/// Makes the rename itself durable where the system can do that.
fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(folder) = fs_err::File::open(folder) {
        let _ = folder.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_whole_files_and_leaves_nothing_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs_err::read(&path).unwrap(), b"two");
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1);
        assert!(write(&folder.path().join("no such folder/file"), b"x").is_err());
    }
}
