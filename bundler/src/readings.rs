//! What reading a whole file found out, kept for as long as the file stays as it is.

use crate::progress::Progress;
use crate::{Content, PackError, PackFile, SurveyedFile, Trouble, survey_unknown};
use manifest::{BundlePath, ComponentId, Event, Reporter, Sha256};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// A file that was changed so short a time before it was read may have changed again without its times telling so.
const SETTLED: Duration = Duration::from_secs(2);
/// Threads that read one file: one reads and takes the whole digest, the other one those of the chunks.
const THREADS: usize = 2;

/// Digests of files that were read before, so that checkpoints of many gigabytes are not read whole again and again.
///
/// A file counts as unchanged while its size, its times (also that of the inode, which programs cannot set), its inode
/// and its disk are the same. Packing compares every chunk with a checksum anyway, so a disk that lost bytes silently
/// is found out.
#[derive(Clone, Debug)]
pub(crate) struct Readings {
    folder: PathBuf,
    /// Those of this run, by the name of their record; also of files that have not settled.
    now: Arc<Mutex<HashMap<Sha256, Seen>>>,
}

/// What a file is going to be in the bundle: its path there decides how it is cut into chunks.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) path: &'a BundlePath,
    pub(crate) component: &'a ComponentId,
}

type Seen = (Stamp, Arc<SurveyedFile>);

#[derive(Serialize, Deserialize)]
struct Kept {
    program: String,
    stamp: Stamp,
    surveyed: SurveyedFile,
}

/// What tells whether a file changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    size: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
    disk: u64,
    inode: u64,
}

impl Readings {
    /// Keeps them in `folder`, which exists.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, now: Arc::default() }
    }

    /// Size and digests of a file: those of an earlier reading if it is unchanged since, else it is read now.
    pub(crate) fn read(
        &self,
        path: &Path,
        place: Place<'_>,
        progress: &Progress<'_>,
    ) -> Result<(u64, Arc<SurveyedFile>), Trouble> {
        let path = fs_err::canonicalize(path)?;
        let before = Stamp::of(&path)?;
        let weights = place.path.as_str().ends_with(".safetensors");
        let name = Sha256::of(format!("{weights} {}", path.display()).as_bytes());
        let record = self.folder.join(format!("{name}.json"));
        if let Some(surveyed) = self.known(name, &record, before) {
            return Ok((before.size, surveyed));
        }
        let surveyed = Arc::new(survey_whole(&path, before.size, place, progress)?);
        if Stamp::of(&path)? == before {
            self.remember(name, before, &surveyed);
            if SystemTime::now().checked_sub(SETTLED).is_some_and(|then| before.is_older_than(then)) {
                let program = env!("CARGO_PKG_VERSION").to_owned();
                // Without a record the next reading takes longer, nothing else.
                let _ = keep(&record, &Kept { program, stamp: before, surveyed: (*surveyed).clone() });
            }
        }
        Ok((before.size, surveyed))
    }

    fn known(&self, name: Sha256, record: &Path, stamp: Stamp) -> Option<Arc<SurveyedFile>> {
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, surveyed)) = now.get(&name).filter(|(before, _)| *before == stamp) {
            return Some(Arc::clone(surveyed));
        }
        drop(now);
        let kept: Kept = serde_json::from_slice(&fs_err::read(record).ok()?).ok()?;
        (kept.stamp == stamp && kept.program == env!("CARGO_PKG_VERSION")).then(|| Arc::new(kept.surveyed))
    }

    fn remember(&self, name: Sha256, stamp: Stamp, surveyed: &Arc<SurveyedFile>) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.insert(name, (stamp, Arc::clone(surveyed)));
    }
}

fn survey_whole(path: &Path, size: u64, place: Place<'_>, progress: &Progress<'_>) -> Result<SurveyedFile, Trouble> {
    let file = PackFile {
        path: place.path.clone(),
        component: place.component.clone(),
        content: Content::Disk(path.to_path_buf()),
        size,
        sha256: Sha256::from_bytes([0; 32]),
        surveyed: None,
    };
    progress.set(0);
    let listener = Listener { progress, told: AtomicU64::new(0) };
    let mut surveyed = survey_unknown(&[file], THREADS, &listener).map_err(|error| match error {
        PackError::Stopped(_) => Trouble::Stopped,
        PackError::Source { source, .. } => Trouble::Disk(source),
        other => Trouble::Disk(io::Error::other(other.to_string())),
    })?;
    surveyed.pop().ok_or_else(|| Trouble::Disk(io::Error::other("it changed while it was being read")))
}

/// Passes on how far the reading of one file has come.
struct Listener<'a> {
    progress: &'a Progress<'a>,
    told: AtomicU64,
}

impl Reporter for Listener<'_> {
    fn event(&self, event: &Event<'_>) {
        if let Event::TaskProgress { bytes, .. } = event {
            self.progress.add(bytes.saturating_sub(self.told.swap(*bytes, Ordering::Relaxed)));
        }
    }

    fn stopping(&self) -> bool {
        self.progress.go_on().is_err()
    }
}

fn keep(record: &Path, kept: &Kept) -> io::Result<()> {
    let beside = record.with_extension(std::process::id().to_string());
    fs_err::write(&beside, serde_json::to_vec(kept)?)?;
    fs_err::rename(&beside, record)
}

impl Stamp {
    #[cfg(unix)]
    fn of(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt as _;
        let data = fs_err::metadata(path)?;
        Ok(Self {
            size: data.len(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
            disk: data.dev(),
            inode: data.ino(),
        })
    }

    #[cfg(not(unix))]
    fn of(path: &Path) -> io::Result<Self> {
        let data = fs_err::metadata(path)?;
        let since = data.modified()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let modified = (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), i64::from(since.subsec_nanos()));
        Ok(Self { size: data.len(), modified, changed: modified, disk: 0, inode: 0 })
    }

    fn is_older_than(&self, then: SystemTime) -> bool {
        let then = then.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let latest = self.modified.0.max(self.changed.0);
        u64::try_from(latest).map_or(true, |latest| latest < then)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Overall;
    use manifest::Silent;

    /// As another run of the program would.
    fn read(folder: &Path, path: &Path) -> (u64, Arc<SurveyedFile>) {
        let readings = Readings::new(folder.to_path_buf());
        let (path_there, component) = ("parts/x/x.bin".parse().unwrap(), "x".parse().unwrap());
        let overall = Overall::start(&Silent, [None].into_iter());
        let progress = Progress::start(&Silent, "x", None, &overall);
        readings.read(path, Place { path: &path_there, component: &component }, &progress).unwrap()
    }

    #[test]
    fn an_unchanged_file_is_read_once_and_a_changed_one_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        fs_err::write(&path, b"first").unwrap();
        // Just written: it may still change without a trace, so nothing is kept of it.
        assert_eq!(read(folder.path(), &path).1.sha256(), Sha256::of(b"first"));
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1);
        std::thread::sleep(SETTLED + Duration::from_millis(1100));
        assert_eq!(read(folder.path(), &path).1.sha256(), Sha256::of(b"first"));
        let record = fs_err::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let record = record.into_iter().find(|record| *record != path).unwrap();
        // What is kept is what is answered, and a record that is broken is none.
        let text = fs_err::read_to_string(&record).unwrap();
        let other = text.replace(&Sha256::of(b"first").to_string(), &Sha256::of(b"kept").to_string());
        fs_err::write(&record, other).unwrap();
        assert_eq!(read(folder.path(), &path).1.sha256(), Sha256::of(b"kept"));
        fs_err::write(&record, "{").unwrap();
        assert_eq!(read(folder.path(), &path).1.sha256(), Sha256::of(b"first"));
        // Same size, same time of modification: the time of the inode gives it away.
        let modified = fs_err::metadata(&path).unwrap().modified().unwrap();
        fs_err::write(&path, b"other").unwrap();
        fs_err::File::options().write(true).open(&path).unwrap().file().set_modified(modified).unwrap();
        assert_eq!(read(folder.path(), &path), read(folder.path(), &path));
        assert_eq!(read(folder.path(), &path).1.sha256(), Sha256::of(b"other"));
    }
}
