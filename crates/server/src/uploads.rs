//! Pictures that somebody sent to start from: plain files named by their digest.

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use fs_err as fs;
use sha2::{Digest, Sha256};

use crate::PictureRef;

/// How long an upload is kept that no job needs.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// A folder of uploaded pictures. The same bytes are kept once.
pub(crate) struct Uploads {
    folder: PathBuf,
}

impl Uploads {
    /// Keeps pictures in `folder`, which is made when the first one comes.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Keeps a picture file: written beside, synced, renamed.
    ///
    /// # Errors
    /// Names the file and the reason.
    pub(crate) fn keep(&self, bytes: &[u8]) -> io::Result<PictureRef> {
        let digest: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let target = self.folder.join(&digest);
        if target.is_file() {
            // Its week begins again.
            fs::File::open(&target)?.file().set_modified(SystemTime::now())?;
        } else {
            fs::create_dir_all(&self.folder)?;
            let part = self.folder.join(format!("{digest}.{:?}.part", std::thread::current().id()));
            let written = fs::File::create(&part)
                .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
                .and_then(|()| fs::rename(&part, &target));
            if let Err(error) = written {
                // The disk may be gone; nothing better can be done here.
                let _ = fs::remove_file(&part);
                return Err(error);
            }
        }
        Ok(PictureRef::Upload(digest))
    }

    /// Removes pictures that came more than a week ago and that no job needs any more.
    pub(crate) fn sweep(&self, in_use: impl Fn() -> HashSet<String>) {
        // No folder, no uploads; what cannot be removed now is tried again.
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            let old = modified.is_ok_and(|time| SystemTime::now().duration_since(time).is_ok_and(|age| age > KEPT));
            // Asked for each file, because orders come while this runs.
            if old && entry.file_name().to_str().is_some_and(|name| !in_use().contains(name)) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Whether a picture of that digest was sent.
    pub(crate) fn contains(&self, digest: &str) -> bool {
        self.folder.join(digest).is_file()
    }

    /// The bytes of an uploaded picture.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if it was never sent or was removed.
    pub(crate) fn read(&self, digest: &str) -> io::Result<Vec<u8>> {
        fs::read(self.folder.join(digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_are_kept_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let uploads = Uploads::new(folder.path().join("uploads"));
        let first = uploads.keep(b"abc").expect("kept");
        assert_eq!(first, uploads.keep(b"abc").expect("kept"));
        let PictureRef::Upload(digest) = &first else { panic!("an upload") };
        assert_eq!(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(uploads.read(digest).expect("read"), b"abc");
        assert_eq!(fs::read_dir(folder.path().join("uploads")).expect("a folder").count(), 1);
        assert!(uploads.read(&"0".repeat(64)).is_err());
    }

    #[test]
    fn only_old_uploads_that_no_job_needs_are_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let uploads = Uploads::new(folder.path().join("uploads"));
        let keep = |bytes: &[u8], days: u64| {
            let PictureRef::Upload(digest) = uploads.keep(bytes).expect("kept") else { panic!("an upload") };
            let file = fs::File::open(folder.path().join("uploads").join(&digest)).expect("opens");
            let then = SystemTime::now() - Duration::from_secs(days * 24 * 3600);
            file.file().set_modified(then).expect("set");
            digest
        };
        let (new, old, needed) = (keep(b"new", 6), keep(b"old", 8), keep(b"needed", 8));
        uploads.sweep(|| HashSet::from([needed.clone()]));
        assert_eq!([&new, &old, &needed].map(|digest| uploads.contains(digest)), [true, false, true]);
    }
}
