//! What an interrupted import has copied already.

use super::found::FoundFile;
use crate::InstallError;
use crate::files::check_files;
use manifest::{BundlePath, ComponentId, FileEntry, Reporter, layout};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// One line for every file that is complete. A line counts only if the file there has not changed since, and the copy
/// here still has the digests that the line says.
pub(crate) struct Journal {
    file: fs_err::File,
    lines: BTreeMap<BundlePath, Line>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    from: String,
    modified: u64,
    entry: FileEntry,
}

impl Journal {
    /// Opens the journal in `staging`, or begins it.
    pub(crate) fn open(staging: &Path) -> Result<Self, InstallError> {
        let path = staging.join(layout::IMPORT_JOURNAL);
        let text = fs_err::read_to_string(&path).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
        let lines = lines.map(|line| (line.entry.path.clone(), line)).collect();
        let file = fs_err::OpenOptions::new().create(true).append(true).open(&path).map_err(InstallError::writing)?;
        Ok(Self { file, lines })
    }

    /// Notes a complete copy.
    pub(crate) fn note(&mut self, file: &FoundFile, entry: &FileEntry) -> Result<(), InstallError> {
        let line = Line { from: from(file), modified: modified(file), entry: entry.clone() };
        let mut text = serde_json::to_vec(&line).map_err(|error| InstallError::Io(error.into()))?;
        text.push(b'\n');
        self.file.write_all(&text).map_err(InstallError::writing)
    }

    /// The copies of `files` that are still right, by place. They are read and compared.
    pub(crate) fn copied(
        &mut self,
        files: &[(&ComponentId, &FoundFile)],
        staging: &Path,
        reporter: &dyn Reporter,
    ) -> Result<BTreeMap<BundlePath, FileEntry>, InstallError> {
        let mut found = BTreeMap::new();
        for (component, file) in files {
            let Some(line) = self.lines.remove(&file.to) else { continue };
            let unchanged = line.from == from(file) && line.modified == modified(file) && line.entry.size == file.size;
            if unchanged && line.entry.component == **component && line.entry.carried.is_none() {
                found.insert(file.to.clone(), line.entry);
            }
        }
        if found.is_empty() {
            return Ok(found);
        }
        let on_disk: Vec<_> = found.values().map(|entry| (entry.path.below(staging), entry)).collect();
        let wrong = check_files(&on_disk, ordered::default_threads(), reporter, "files that were copied already")?;
        found.retain(|path, _| !wrong.iter().any(|finding| finding.subject == path.as_str()));
        Ok(found)
    }
}

fn from(file: &FoundFile) -> String {
    file.from.to_string_lossy().into_owned()
}

/// Nanoseconds from 1970 to the file's last change.
fn modified(file: &FoundFile) -> u64 {
    let time = fs_err::metadata(&file.from).and_then(|metadata| metadata.modified()).ok();
    let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
