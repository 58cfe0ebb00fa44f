//! Telling whether two files have the same bytes, reading as little as that takes.

use super::walk::Seen;
use crate::Generation;
use crate::files::digest_of;
use manifest::Sha256;
use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// How much of both ends is compared first.
const ENDS: u64 = 1 << 20;

/// Files whose content is known, by size: only files of equal size can be equal.
#[derive(Debug, Default)]
pub(crate) struct Known {
    by_size: BTreeMap<u64, Vec<Other>>,
}

#[derive(Debug)]
struct Other {
    path: PathBuf,
    label: String,
    /// Computed when it is first needed, unless it is written down.
    sha256: Option<Sha256>,
}

impl Known {
    /// The files of an installation.
    pub(crate) fn of(current: Option<&Generation>) -> Self {
        let mut known = Self::default();
        for (current, entry) in
            current.iter().flat_map(|current| current.manifest.files.iter().map(move |entry| (current, entry)))
        {
            known.by_size.entry(entry.size).or_default().push(Other {
                path: entry.path.below(&current.folder),
                label: format!("the installed `{}`", entry.path),
                sha256: Some(entry.sha256),
            });
        }
        known
    }

    /// Remembers a file.
    pub(crate) fn add(&mut self, file: &Seen) {
        let label = format!("`{}`", file.path.display());
        self.by_size.entry(file.size).or_default().push(Other { path: file.path.clone(), label, sha256: None });
    }

    /// The known file with the same bytes. A file that cannot be read is like no other.
    pub(crate) fn find(&mut self, file: &Seen) -> Option<String> {
        let others = self.by_size.get_mut(&file.size)?;
        let mine = ends(&file.path, file.size)?;
        let mut whole = None;
        for other in others.iter_mut().filter(|other| ends(&other.path, file.size).as_ref() == Some(&mine)) {
            let digest = |path: &Path| digest_of(path).ok().map(|(_, sha256)| sha256);
            whole = whole.or_else(|| digest(&file.path));
            other.sha256 = other.sha256.or_else(|| digest(&other.path));
            if whole.is_some() && whole == other.sha256 {
                return Some(other.label.clone());
            }
        }
        None
    }
}

/// Both ends of a file.
fn ends(path: &Path, size: u64) -> Option<Vec<u8>> {
    let mut file = fs_err::File::open(path).ok()?;
    let mut bytes = Vec::new();
    std::io::Read::by_ref(&mut file).take(ENDS).read_to_end(&mut bytes).ok()?;
    if size > ENDS {
        file.seek(SeekFrom::Start(size.saturating_sub(ENDS))).ok()?;
        file.take(ENDS).read_to_end(&mut bytes).ok()?;
    }
    Some(bytes)
}
