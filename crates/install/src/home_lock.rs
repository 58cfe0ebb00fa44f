//! One installation at a time.

use crate::InstallError;
use manifest::layout;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

/// Held while a home is being changed. The operating system releases it when the program ends, however it ends, so a
/// file that was left behind never blocks anybody.
#[derive(Debug)]
pub(crate) struct HomeLock {
    _file: fs_err::File,
}

impl HomeLock {
    pub(crate) fn take(home: &Path) -> Result<Self, InstallError> {
        let path = home.join(layout::HOME_LOCK);
        let mut options = fs_err::OpenOptions::new();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).open(&path).map_err(InstallError::writing)?;
        match file.file().try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = std::io::Read::by_ref(&mut file).take(20).read_to_string(&mut holder);
                return Err(InstallError::Locked { home: home.to_path_buf(), holder: holder.trim().to_owned() });
            }
            // A file system without locks (some network ones): better without than not at all.
            Err(std::fs::TryLockError::Error(_)) => {}
        }
        let note = format!("{}\n", std::process::id());
        let noted = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(note.as_bytes()));
        noted.map_err(InstallError::writing)?;
        Ok(Self { _file: file })
    }
}
