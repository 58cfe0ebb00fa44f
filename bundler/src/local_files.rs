//! Files that somebody carried here by hand, found by their content.

use crate::cache::CachedFile;
use crate::progress::Progress;
use crate::readings::{Place, Readings};
use crate::{FetchError, Trouble};
use manifest::Sha256;
use std::io;
use std::path::{Path, PathBuf};

/// Every file below some folders. Nothing is ever changed there.
#[derive(Debug, Default)]
pub(crate) struct LocalFiles {
    files: Vec<(PathBuf, u64)>,
}

/// Folders are not entered deeper than this.
const DEEPEST: usize = 12;

impl LocalFiles {
    /// Looks at every file below `folders`; a plain file among them counts as itself.
    pub(crate) fn list(folders: &[PathBuf]) -> Result<Self, FetchError> {
        let mut found = Self::default();
        for folder in folders {
            let refuse = |reason| FetchError::From { folder: folder.clone(), reason };
            let metadata = fs_err::metadata(folder).map_err(refuse)?;
            match metadata.is_file() {
                true => found.files.push((folder.clone(), metadata.len())),
                false => found.enter(folder, 0).map_err(refuse)?,
            }
        }
        Ok(found)
    }

    fn enter(&mut self, folder: &Path, depth: usize) -> io::Result<()> {
        for entry in fs_err::read_dir(folder)? {
            let path = entry?.path();
            // A link counts as what it leads to, except that it is not entered as a folder.
            let Ok(metadata) = fs_err::metadata(&path) else { continue };
            if metadata.is_file() {
                self.files.push((path, metadata.len()));
            } else if metadata.is_dir() && !path.is_symlink() && depth < DEEPEST {
                // A folder that may not be read holds nothing for us.
                let _ = self.enter(&path, depth + 1);
            }
        }
        Ok(())
    }

    /// The file with this digest, and what is known of it. Its size, when known, saves looking at all others.
    pub(crate) fn find(
        &self,
        sha256: Sha256,
        size: Option<u64>,
        readings: &Readings,
        place: Place<'_>,
        progress: &Progress<'_>,
    ) -> Result<Option<CachedFile>, Trouble> {
        for (path, _) in self.files.iter().filter(|(_, length)| size.is_none_or(|size| size == *length)) {
            let (size, surveyed) = readings.read(path, place, progress)?;
            if surveyed.sha256() == sha256 {
                return Ok(Some(CachedFile { path: path.clone(), size, surveyed }));
            }
        }
        Ok(None)
    }
}
