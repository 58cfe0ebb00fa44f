//! The pictures made so far: nothing but the PNG files in one folder, and an index in memory.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufReader};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use fs_err as fs;
use serde::Serialize;

use crate::events::Events;
use crate::happening::Happening;
use crate::lock::lock;
use crate::picture::{Picture, read_png};
use crate::{clock, store};

/// Most unreadable files that are named.
const MAX_UNREADABLE: usize = 100;
/// How long a request waits for the first reading of the folder.
const SCAN_PATIENCE: Duration = Duration::from_secs(20);

/// The history. Its order is time of making, then name; newest first.
pub(crate) struct History {
    folder: PathBuf,
    index: Mutex<Index>,
    scanned: Condvar,
    events: Arc<Events>,
}

#[derive(Default)]
struct Index {
    ready: bool,
    by_time: BTreeMap<(u64, String), Picture>,
    created: HashMap<String, u64>,
    unreadable: Vec<Unreadable>,
}

/// A file that looks like a picture by name and is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Unreadable {
    pub(crate) file: String,
    pub(crate) reason: String,
}

/// One page of the history.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct PageOfPictures {
    pub(crate) pictures: Vec<Picture>,
    /// Whether older ones follow.
    pub(crate) more: bool,
    pub(crate) unreadable: Vec<Unreadable>,
}

impl History {
    pub(crate) fn new(folder: PathBuf, events: Arc<Events>) -> Self {
        Self { folder, index: Mutex::default(), scanned: Condvar::new(), events }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Reads the folder once; pictures saved meanwhile are kept.
    pub(crate) fn scan(&self) {
        let mut found = Vec::new();
        let mut unreadable = Vec::new();
        // A part file that cannot be removed harms nobody.
        let _ = store::sweep(&self.folder);
        match fs::read_dir(&self.folder) {
            Ok(entries) => {
                for entry in entries {
                    match entry.and_then(|entry| Ok((entry.file_name(), entry.file_type()?))) {
                        Ok((name, kind)) => {
                            let looks_right = name.to_string_lossy().to_ascii_lowercase().ends_with(".png");
                            let hidden = name.to_string_lossy().starts_with('.');
                            let reason = match store::id_of(&name) {
                                Some(id) if kind.is_file() => match self.read_safely(id) {
                                    Ok(entry) => {
                                        found.push(entry);
                                        continue;
                                    }
                                    Err(reason) => reason,
                                },
                                Some(_) if kind.is_dir() => continue,
                                Some(_) => "it is a link or no plain file".to_owned(),
                                None if looks_right && !hidden => "its name cannot be used in an address".to_owned(),
                                None => continue,
                            };
                            unreadable.push(Unreadable { file: name.to_string_lossy().into_owned(), reason });
                        }
                        Err(error) => {
                            unreadable.push(Unreadable { file: String::new(), reason: error.to_string() });
                        }
                    }
                }
            }
            Err(error) => unreadable.push(Unreadable { file: String::new(), reason: error.to_string() }),
        }
        unreadable.sort_by(|a, b| a.file.cmp(&b.file));
        unreadable.truncate(MAX_UNREADABLE);
        let mut index = lock(&self.index);
        for (created, picture) in found {
            index.insert(created, picture);
        }
        index.unreadable = unreadable;
        index.ready = true;
        self.scanned.notify_all();
    }

    /// [`History::read`], also for files that make the PNG reader panic.
    fn read_safely(&self, id: &str) -> Result<(u64, Picture), String> {
        catch_unwind(AssertUnwindSafe(|| self.read(id))).unwrap_or_else(|_| Err("the PNG reader gave up".to_owned()))
    }

    /// Reads one picture file: seconds of its making and what it says about itself.
    fn read(&self, id: &str) -> Result<(u64, Picture), String> {
        let file = fs::File::open(self.folder.join(format!("{id}.png"))).map_err(|error| error.to_string())?;
        let modified = || file.metadata().and_then(|metadata| metadata.modified()).map(clock::seconds).unwrap_or(0);
        let created = clock::from_name(id).unwrap_or_else(modified);
        let facts = read_png(BufReader::new(file))?;
        Ok((created, facts.named(id, created)))
    }

    /// Saves a finished picture and tells everybody.
    ///
    /// # Errors
    /// A message that names the file and the reason; nothing is left under the final name.
    pub(crate) fn save(&self, png: &[u8]) -> Result<Picture, String> {
        let facts = read_png(io::Cursor::new(png)).map_err(|why| format!("the engine's picture is damaged: {why}"))?;
        fs::create_dir_all(&self.folder).map_err(|error| error.to_string())?;
        let id = store::save(&self.folder, png).map_err(|error| error.to_string())?;
        let created = clock::from_name(&id).unwrap_or_else(clock::now);
        let picture = facts.named(&id, created);
        let mut index = lock(&self.index);
        index.insert(created, picture.clone());
        self.events.send(Happening::Picture(picture.clone()));
        Ok(picture)
    }

    /// Up to `limit` pictures older than `before`, newest first. An unknown `before` that carries
    /// its time (a deleted picture) still marks a place; any other gives `None`.
    pub(crate) fn page(&self, before: Option<&str>, limit: usize) -> Option<PageOfPictures> {
        let index = self.ready();
        let end = match before {
            None => None,
            Some(id) => Some((index.created.get(id).copied().or_else(|| clock::from_name(id))?, id.to_owned())),
        };
        let mut older = match end {
            Some(end) => index.by_time.range(..end),
            None => index.by_time.range::<(u64, String), _>(..),
        }
        .rev();
        let pictures: Vec<Picture> = older.by_ref().take(limit).map(|(_, picture)| picture.clone()).collect();
        let more = older.next().is_some();
        let unreadable = if before.is_none() { index.unreadable.clone() } else { Vec::new() };
        Some(PageOfPictures { pictures, more, unreadable })
    }

    /// Opens a picture of the index; the second value is its length in bytes.
    pub(crate) fn open(&self, id: &str) -> Option<io::Result<(fs::File, u64)>> {
        if !self.ready().created.contains_key(id) {
            return None;
        }
        Some(fs::File::open(self.folder.join(format!("{id}.png"))).and_then(|file| {
            let length = file.metadata()?.len();
            Ok((file, length))
        }))
    }

    /// Whether there is a picture of that name.
    pub(crate) fn contains(&self, id: &str) -> bool {
        self.ready().created.contains_key(id)
    }

    /// The file of a picture of the index.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when there is none of that name.
    pub(crate) fn bytes(&self, id: &str) -> io::Result<Vec<u8>> {
        if !self.contains(id) {
            return Err(io::ErrorKind::NotFound.into());
        }
        fs::read(self.folder.join(format!("{id}.png")))
    }

    /// Moves a picture into the trash; `None` if there is none of that name.
    pub(crate) fn remove(&self, id: &str) -> Option<io::Result<()>> {
        let mut index = self.ready();
        let created = index.created.get(id).copied()?;
        match store::discard(&self.folder, id) {
            // A file that somebody else took away is gone from the history as well.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Some(Err(error)),
            _ => {}
        }
        index.created.remove(id);
        index.by_time.remove(&(created, id.to_owned()));
        self.events.send(Happening::Removed(id.to_owned()));
        Some(Ok(()))
    }

    /// Brings a picture back from the trash.
    pub(crate) fn restore(&self, id: &str) -> io::Result<Picture> {
        let mut index = self.ready();
        if !store::is_id(id) {
            return Err(io::ErrorKind::NotFound.into());
        }
        store::restore(&self.folder, id)?;
        let (created, picture) = self
            .read_safely(id)
            .map_err(|why| io::Error::new(io::ErrorKind::InvalidData, format!("`{id}.png`: {why}")))?;
        index.insert(created, picture.clone());
        self.events.send(Happening::Picture(picture.clone()));
        Ok(picture)
    }

    /// The index, after the first reading of the folder or a long wait for it.
    fn ready(&self) -> std::sync::MutexGuard<'_, Index> {
        let index = lock(&self.index);
        self.scanned
            .wait_timeout_while(index, SCAN_PATIENCE, |index| !index.ready)
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }
}

impl Index {
    fn insert(&mut self, created: u64, picture: Picture) {
        self.created.insert(picture.id.clone(), created);
        self.by_time.insert((created, picture.id.clone()), picture);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::tests::png_with;

    fn history(folder: &Path) -> History {
        let history = History::new(folder.to_owned(), Arc::new(Events::default()));
        history.scan();
        history
    }

    fn ids(page: &PageOfPictures) -> Vec<&str> {
        page.pictures.iter().map(|picture| picture.id.as_str()).collect()
    }

    #[test]
    fn pages_go_from_new_to_old_and_survive_a_deletion() {
        let folder = tempfile::tempdir().expect("a folder");
        for second in 0..7 {
            let path = folder.path().join(format!("20261123-14150{second}-0001.png"));
            fs::write(path, png_with(8, 8, &[])).expect("written");
        }
        let history = history(folder.path());
        let first = history.page(None, 3).expect("a page");
        assert_eq!(ids(&first), ["20261123-141506-0001", "20261123-141505-0001", "20261123-141504-0001"]);
        assert!(first.more);
        history.remove("20261123-141504-0001").expect("known").expect("removed");
        let second = history.page(Some("20261123-141504-0001"), 3).expect("a page");
        assert_eq!(ids(&second), ["20261123-141503-0001", "20261123-141502-0001", "20261123-141501-0001"]);
        let last = history.page(Some("20261123-141501-0001"), 3).expect("a page");
        assert_eq!((ids(&last), last.more), (vec!["20261123-141500-0001"], false));
        assert_eq!(history.page(Some("nobody"), 3), None);
        assert_eq!(history.restore("20261123-141504-0001").expect("restored").created, "2026-11-23T14:15:04Z");
        assert_eq!(ids(&history.page(None, 9).expect("a page")).len(), 7);
    }

    #[test]
    fn foreign_and_damaged_files_do_no_harm() {
        let folder = tempfile::tempdir().expect("a folder");
        let put = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).expect("written");
        put("ein Käse.png", &png_with(8, 8, &[("parameters", "Käse")]));
        put("broken.png", b"not a picture");
        put("notes.txt", b"hello");
        put("x.png.part", b"half");
        fs::create_dir_all(folder.path().join("folder.png")).expect("made");
        #[cfg(unix)]
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link.png")).expect("linked");
        let page = history(folder.path()).page(None, 9).expect("a page");
        assert_eq!(ids(&page), ["ein Käse"]);
        assert_eq!(page.pictures[0].url, "/outputs/ein%20K%C3%A4se.png");
        let files: Vec<&str> = page.unreadable.iter().map(|file| file.file.as_str()).collect();
        assert_eq!(files, if cfg!(unix) { vec!["broken.png", "link.png"] } else { vec!["broken.png"] });
    }

    #[test]
    fn a_missing_folder_is_reported_not_fatal() {
        let folder = tempfile::tempdir().expect("a folder");
        let page = history(&folder.path().join("none")).page(None, 9).expect("a page");
        assert!(page.pictures.is_empty());
        assert!(page.unreadable[0].reason.contains("none"), "{:?}", page.unreadable);
    }
}
