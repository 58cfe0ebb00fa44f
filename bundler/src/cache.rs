//! Files by their content, kept between fetches.

use crate::hasher::Hasher;
use crate::offer::Digests;
use crate::progress::Progress;
use crate::{FetchError, Trouble};
use manifest::Sha256;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A folder of verified files, each under its digest.
///
/// ```text
/// cache/
/// ├── sha256/HEX         finished
/// ├── known/HEX          digest of what a source without one gave (the name is made from the source)
/// └── partial/KEY.part   unfinished, with KEY.journal and KEY.lock
/// ```
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// Opens a cache and makes it if there is none.
    pub(crate) fn open(folder: &Path) -> Result<Self, FetchError> {
        let refuse = |reason| FetchError::Cache { folder: folder.to_path_buf(), reason };
        for part in ["sha256", "known", "partial"] {
            fs_err::create_dir_all(folder.join(part)).map_err(refuse)?;
        }
        let folder = fs_err::canonicalize(folder).map_err(refuse)?;
        Ok(Self { folder })
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where unfinished files are.
    pub(crate) fn partial(&self) -> PathBuf {
        self.folder.join("partial")
    }

    /// The finished file with this digest, verified again. A damaged one is removed.
    pub(crate) fn get(&self, sha256: Sha256, progress: &Progress<'_>) -> Result<Option<(PathBuf, u64)>, Trouble> {
        let path = self.path(sha256);
        if !path.is_file() {
            return Ok(None);
        }
        let (found, size) = digest_of(&path, progress)?;
        if found == sha256 {
            return Ok(Some((path, size)));
        }
        fs_err::remove_file(&path)?;
        Ok(None)
    }

    /// Whether there is a finished file with this digest, damaged or not.
    pub(crate) fn has(&self, sha256: Sha256) -> bool {
        self.path(sha256).is_file()
    }

    fn path(&self, sha256: Sha256) -> PathBuf {
        self.folder.join("sha256").join(sha256.to_string())
    }

    /// Gives a verified, complete file its final name.
    pub(crate) fn keep(&self, part: &Path, sha256: Sha256) -> io::Result<PathBuf> {
        let path = self.path(sha256);
        fs_err::OpenOptions::new().write(true).open(part)?.sync_all()?;
        fs_err::rename(part, &path)?;
        sync_folder(&self.folder.join("sha256"))?;
        Ok(path)
    }

    /// The digest of what `source` once gave.
    pub(crate) fn known(&self, source: &str) -> Option<Sha256> {
        let name = Sha256::of(source.as_bytes()).to_string();
        fs_err::read_to_string(self.folder.join("known").join(name)).ok()?.trim().parse().ok()
    }

    /// Remembers what `source` gave. Whoever calls this holds the lock of that source's unfinished file.
    pub(crate) fn remember(&self, source: &str, sha256: Sha256) -> io::Result<()> {
        let folder = self.folder.join("known");
        let name = Sha256::of(source.as_bytes()).to_string();
        let beside = folder.join(format!("{name}.part"));
        fs_err::write(&beside, format!("{sha256}\n"))?;
        fs_err::rename(&beside, folder.join(name))
    }
}

/// Digest and size of a file on disk.
pub(crate) fn digest_of(path: &Path, progress: &Progress<'_>) -> Result<(Sha256, u64), Trouble> {
    let digests = Digests::default();
    let mut hasher = Hasher::new(&digests);
    let mut file = fs_err::File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    let mut size = 0;
    progress.set(0);
    loop {
        progress.go_on()?;
        match file.read(&mut buffer)? {
            0 => break,
            read => {
                hasher.update(buffer.get(..read).unwrap_or_default());
                size += read as u64;
                progress.add(read as u64);
            }
        }
    }
    Ok((hasher.finish(&digests)?, size))
}

/// Makes new names in a folder survive a power cut.
#[cfg(unix)]
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    fs_err::File::open(folder)?.sync_all()
}

/// Elsewhere the file system does so on its own.
#[cfg(not(unix))]
pub(crate) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
