//! Files by their content, kept between fetches.

use crate::progress::Progress;
use crate::readings::{Place, Readings};
use crate::{FetchError, SurveyedFile, Trouble};
use manifest::Sha256;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A folder of verified files, each under its digest.
///
/// ```text
/// cache/
/// ├── sha256/HEX         finished
/// ├── known/HEX          digest of what a source without one gave (the name is made from the source)
/// ├── readings/KEY.json  what reading a whole file found out, also of files elsewhere
/// └── partial/KEY.part   unfinished, with KEY.journal and KEY.lock
/// ```
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
    readings: Readings,
}

/// A file, of the cache or elsewhere, that has the digest that was asked for.
pub(crate) struct CachedFile {
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    pub(crate) surveyed: Arc<SurveyedFile>,
}

impl Cache {
    /// Opens a cache and makes it if there is none.
    pub(crate) fn open(folder: &Path) -> Result<Self, FetchError> {
        let refuse = |reason| FetchError::Cache { folder: folder.to_path_buf(), reason };
        for part in ["sha256", "known", "readings", "partial"] {
            fs_err::create_dir_all(folder.join(part)).map_err(refuse)?;
        }
        let folder = fs_err::canonicalize(folder).map_err(refuse)?;
        let readings = Readings::new(folder.join("readings"));
        Ok(Self { folder, readings })
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where unfinished files are.
    pub(crate) fn partial(&self) -> PathBuf {
        self.folder.join("partial")
    }

    /// What is known of files that were read before.
    pub(crate) const fn readings(&self) -> &Readings {
        &self.readings
    }

    /// The finished file with this digest, verified. A damaged one is removed.
    pub(crate) fn get(
        &self,
        sha256: Sha256,
        place: Place<'_>,
        progress: &Progress<'_>,
    ) -> Result<Option<CachedFile>, Trouble> {
        let path = self.path(sha256);
        if !path.is_file() {
            return Ok(None);
        }
        let (size, surveyed) = self.readings.read(&path, place, progress)?;
        if surveyed.sha256() == sha256 {
            return Ok(Some(CachedFile { path, size, surveyed }));
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
