//! The pictures made so far: PNG files in one folder, and an index of them in the database.

use std::collections::HashSet;
use std::io::{self, BufReader};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use fs_err as fs;
use serde::Serialize;

use crate::database::Database;
use crate::events::Events;
use crate::happening::Happening;
use crate::lock::lock;
use crate::picture::{Picture, PngFacts, read_png};
use crate::picture_table::{self as table, Filter, Place, Stamp};
use crate::{clock, store};

/// Most unreadable files that are named.
const MAX_UNREADABLE: usize = 100;
/// How long a request waits for the first reading of a folder that nothing is known about.
const SCAN_PATIENCE: Duration = Duration::from_secs(20);
/// How long it waits where the index already tells something.
const KNOWN_PATIENCE: Duration = Duration::from_secs(1);
/// Pictures that are written to the database at once.
const BATCH: usize = 200;

/// The history. Its order is time of making, then name; newest first.
pub(crate) struct History {
    folder: PathBuf,
    database: Arc<Database>,
    /// Held while files move, so that files and index agree.
    moving: Mutex<()>,
    scan: Mutex<Scan>,
    scanned: Condvar,
    events: Arc<Events>,
}

/// What the reading of the folder found.
#[derive(Default)]
struct Scan {
    ready: bool,
    /// Whether the database knew pictures before.
    known: bool,
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
    /// All that match, on this page or not.
    pub(crate) total: u64,
    pub(crate) unreadable: Vec<Unreadable>,
}

impl History {
    pub(crate) fn new(folder: PathBuf, database: Arc<Database>, events: Arc<Events>) -> Self {
        let known = !table::ids(&database.lock(), Place::Folder).unwrap_or_default().is_empty();
        let scan = Mutex::new(Scan { known, ..Scan::default() });
        Self { folder, database, moving: Mutex::default(), scan, scanned: Condvar::new(), events }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Reads what is new in the folder and its trash, and forgets what is gone.
    pub(crate) fn scan(&self) {
        let mut unreadable = Vec::new();
        // A part file that cannot be removed harms nobody.
        let _ = store::sweep(&self.folder);
        self.scan_place(Place::Folder, &mut unreadable);
        let mut in_trash = Vec::new();
        if self.path(Place::Trash).is_dir() {
            self.scan_place(Place::Trash, &mut in_trash);
        }
        unreadable.sort_by(|a: &Unreadable, b| a.file.cmp(&b.file));
        unreadable.truncate(MAX_UNREADABLE);
        let mut scan = lock(&self.scan);
        scan.unreadable = unreadable;
        scan.ready = true;
        self.scanned.notify_all();
    }

    fn scan_place(&self, place: Place, unreadable: &mut Vec<Unreadable>) {
        let folder = self.path(place);
        let known = table::stamps(&self.database.lock(), place).unwrap_or_default();
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            // The disk may be back next time: nothing is forgotten.
            Err(error) => return unreadable.push(Unreadable { file: String::new(), reason: error.to_string() }),
        };
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        for entry in entries {
            let (name, metadata) = match entry.and_then(|entry| Ok((entry.file_name(), entry.metadata()?))) {
                Ok(entry) => entry,
                Err(error) => {
                    unreadable.push(Unreadable { file: String::new(), reason: error.to_string() });
                    continue;
                }
            };
            let looks_right = name.to_string_lossy().to_ascii_lowercase().ends_with(".png");
            let hidden = name.to_string_lossy().starts_with('.');
            let reason = match store::id_of(&name) {
                Some(id) if metadata.is_file() => {
                    if known.get(id) == Some(&stamp(&metadata)) {
                        seen.insert(id.to_owned());
                        continue;
                    }
                    match self.read_safely(place, id) {
                        Ok(facts) => {
                            seen.insert(id.to_owned());
                            found.push((id.to_owned(), created(id, &metadata), stamp(&metadata), facts));
                            if found.len() >= BATCH {
                                self.put_all(place, &mut found);
                            }
                            continue;
                        }
                        Err(reason) => reason,
                    }
                }
                Some(_) if metadata.is_dir() => continue,
                Some(_) => "it is a link or no plain file".to_owned(),
                None if looks_right && !hidden => "its name cannot be used in an address".to_owned(),
                None => continue,
            };
            unreadable.push(Unreadable { file: name.to_string_lossy().into_owned(), reason });
        }
        self.put_all(place, &mut found);
        let _moving = lock(&self.moving);
        let database = self.database.lock();
        for id in known.keys().filter(|id| !seen.contains(*id)) {
            // It may have come back since the folder was read; what cannot be forgotten is asked for again next time.
            if !self.is_readable(place, id) {
                let _ = table::forget(&database, place, id);
            }
        }
    }

    fn is_readable(&self, place: Place, id: &str) -> bool {
        self.file(place, id).symlink_metadata().is_ok() && self.read_safely(place, id).is_ok()
    }

    fn put_all(&self, place: Place, found: &mut Vec<(String, u64, Stamp, PngFacts)>) {
        let _moving = lock(&self.moving);
        let mut database = self.database.lock();
        // What cannot be written now is read again at the next start.
        if let Ok(change) = database.transaction() {
            for (id, created, stamp, facts) in found.drain(..) {
                if self.file(place, &id).symlink_metadata().is_ok() {
                    let _ = table::put(&change, place, &id, created, stamp, &facts);
                }
            }
            let _ = change.commit();
        }
    }

    fn path(&self, place: Place) -> PathBuf {
        match place {
            Place::Folder => self.folder.clone(),
            Place::Trash => self.folder.join(store::TRASH),
        }
    }

    fn file(&self, place: Place, id: &str) -> PathBuf {
        self.path(place).join(format!("{id}.png"))
    }

    /// Reads one picture file, also one that makes the PNG reader panic.
    fn read_safely(&self, place: Place, id: &str) -> Result<PngFacts, String> {
        let read = || {
            let file = fs::File::open(self.file(place, id)).map_err(|error| error.to_string())?;
            read_png(BufReader::new(file))
        };
        catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err("the PNG reader gave up".to_owned()))
    }

    /// Saves a finished picture and tells everybody.
    ///
    /// # Errors
    /// A message that names the file and the reason; nothing is left under the final name.
    pub(crate) fn save(&self, png: &[u8]) -> Result<Picture, String> {
        let facts = read_png(io::Cursor::new(png)).map_err(|why| format!("the engine's picture is damaged: {why}"))?;
        let _moving = lock(&self.moving);
        fs::create_dir_all(&self.folder).map_err(|error| error.to_string())?;
        let id = store::save(&self.folder, png).map_err(|error| error.to_string())?;
        let metadata = fs::metadata(self.file(Place::Folder, &id)).map_err(|error| error.to_string())?;
        let created = clock::from_name(&id).unwrap_or_else(clock::now);
        // The file is what counts; an index that cannot be written finds it at the next start.
        let _ = self.index(&id, created, stamp(&metadata), &facts);
        let picture = facts.named(&id, created);
        self.events.send(Happening::Picture(picture.clone()));
        Ok(picture)
    }

    fn index(&self, id: &str, created: u64, stamp: Stamp, facts: &PngFacts) -> rusqlite::Result<()> {
        let mut database = self.database.lock();
        let change = database.transaction()?;
        table::put(&change, Place::Folder, id, created, stamp, facts)?;
        change.commit()
    }

    /// Up to `limit` matching pictures older than `before`, newest first. An unknown `before` that carries its time (a
    /// deleted picture) still marks a place; any other gives `None`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(crate) fn page(
        &self,
        filter: &Filter,
        before: Option<&str>,
        limit: usize,
    ) -> rusqlite::Result<Option<PageOfPictures>> {
        let unreadable = self.scanned();
        let place = if filter.deleted { Place::Trash } else { Place::Folder };
        let database = self.database.lock();
        let end = match before {
            None => None,
            Some(id) => match table::time_of(&database, place, id)? {
                Some(created) => Some((created, id)),
                None => return Ok(None),
            },
        };
        let (pictures, more, total) = table::page(&database, filter, end, limit)?;
        let unreadable = if before.is_none() && !filter.deleted { unreadable } else { Vec::new() };
        Ok(Some(PageOfPictures { pictures, more, total, unreadable }))
    }

    /// A picture by its id, in the folder or else in the trash.
    pub(crate) fn find(&self, id: &str) -> Option<Picture> {
        let find = |place| table::find(&self.database.lock(), place, id).ok().flatten();
        find(Place::Folder).or_else(|| {
            self.scanned();
            find(Place::Folder).or_else(|| find(Place::Trash))
        })
    }

    /// Opens a picture of the index; the second value is its length in bytes.
    pub(crate) fn open(&self, place: Place, id: &str) -> Option<io::Result<(fs::File, u64)>> {
        if !self.has(place, id) {
            return None;
        }
        Some(fs::File::open(self.file(place, id)).and_then(|file| {
            let length = file.metadata()?.len();
            Ok((file, length))
        }))
    }

    /// Whether there is a picture of that name that is not deleted.
    pub(crate) fn contains(&self, id: &str) -> bool {
        self.has(Place::Folder, id)
    }

    fn has(&self, place: Place, id: &str) -> bool {
        let known = || table::contains(&self.database.lock(), place, id).unwrap_or(false);
        known() || {
            self.scanned();
            known()
        }
    }

    /// The file of a picture of the index.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when there is none of that name.
    pub(crate) fn bytes(&self, id: &str) -> io::Result<Vec<u8>> {
        if !self.contains(id) {
            return Err(io::ErrorKind::NotFound.into());
        }
        fs::read(self.file(Place::Folder, id))
    }

    /// Sets or takes away a star and tells everybody; `None` if there is none of that name.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub(crate) fn star(&self, id: &str, starred: bool) -> rusqlite::Result<Option<Picture>> {
        if !self.contains(id) {
            return Ok(None);
        }
        let picture = {
            let database = self.database.lock();
            table::star(&database, id, starred)?;
            table::find(&database, Place::Folder, id)?
        };
        if let Some(picture) = &picture {
            self.events.send(Happening::Picture(picture.clone()));
        }
        Ok(picture)
    }

    /// Moves a picture into the trash; `None` if there is none of that name.
    pub(crate) fn remove(&self, id: &str) -> Option<io::Result<()>> {
        if !self.contains(id) {
            return None;
        }
        let _moving = lock(&self.moving);
        let database = self.database.lock();
        let done = match store::discard(&self.folder, id) {
            Ok(older) => {
                if let Some(older) = older {
                    let _ = table::renamed(&database, Place::Trash, id, &older);
                }
                table::moved(&database, id, Place::Folder, Place::Trash)
            }
            // A file that somebody else took away is gone from the history as well.
            Err(error) if error.kind() == io::ErrorKind::NotFound => table::forget(&database, Place::Folder, id),
            Err(error) => return Some(Err(error)),
        };
        drop(database);
        self.events.send(Happening::Removed(id.to_owned()));
        Some(done.map_err(io::Error::other))
    }

    /// Brings a picture back from the trash.
    pub(crate) fn restore(&self, id: &str) -> io::Result<Picture> {
        if !store::is_id(id) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.scanned();
        let _moving = lock(&self.moving);
        store::restore(&self.folder, id)?;
        let unusable = |why: String| io::Error::new(io::ErrorKind::InvalidData, format!("`{id}.png`: {why}"));
        let facts = self.read_safely(Place::Folder, id).map_err(unusable)?;
        let metadata = fs::metadata(self.file(Place::Folder, id))?;
        let database = self.database.lock();
        table::moved(&database, id, Place::Trash, Place::Folder)
            .and_then(|()| table::put(&database, Place::Folder, id, created(id, &metadata), stamp(&metadata), &facts))
            .map_err(io::Error::other)?;
        let picture = table::find(&database, Place::Folder, id)
            .map_err(io::Error::other)?
            .unwrap_or_else(|| facts.named(id, created(id, &metadata)));
        drop(database);
        self.events.send(Happening::Picture(picture.clone()));
        Ok(picture)
    }

    /// Removes every deleted picture for good; gives each with its reason if it stays.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(crate) fn empty_trash(&self) -> rusqlite::Result<Vec<(String, io::Result<()>)>> {
        self.scanned();
        let _moving = lock(&self.moving);
        let database = self.database.lock();
        let mut all = Vec::new();
        for id in table::ids(&database, Place::Trash)? {
            let removed = match fs::remove_file(self.file(Place::Trash, &id)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => table::forget(&database, Place::Trash, &id).map_err(io::Error::other),
            };
            all.push((id, removed));
        }
        Ok(all)
    }

    /// What could not be read, after the first reading of the folder or a wait for it.
    fn scanned(&self) -> Vec<Unreadable> {
        let scan = lock(&self.scan);
        let patience = if scan.known { KNOWN_PATIENCE } else { SCAN_PATIENCE };
        let scan = self.scanned.wait_timeout_while(scan, patience, |scan| !scan.ready);
        scan.unwrap_or_else(PoisonError::into_inner).0.unreadable.clone()
    }
}

fn stamp(metadata: &std::fs::Metadata) -> Stamp {
    let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    Stamp {
        modified: i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        size: i64::try_from(metadata.len()).unwrap_or(i64::MAX),
    }
}

/// When a picture was made: its name tells it, or its file.
fn created(id: &str, metadata: &std::fs::Metadata) -> u64 {
    clock::from_name(id).unwrap_or_else(|| metadata.modified().map(clock::seconds).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::tests::png_with;

    fn history(folder: &Path) -> History {
        let database = Arc::new(Database::in_memory().expect("a database"));
        let history = History::new(folder.to_owned(), database, Arc::new(Events::default()));
        history.scan();
        history
    }

    fn page(history: &History, before: Option<&str>, limit: usize) -> Option<PageOfPictures> {
        history.page(&Filter::default(), before, limit).expect("the database answers")
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
        let first = page(&history, None, 3).expect("a page");
        assert_eq!(ids(&first), ["20261123-141506-0001", "20261123-141505-0001", "20261123-141504-0001"]);
        assert!(first.more);
        history.remove("20261123-141504-0001").expect("known").expect("removed");
        let second = page(&history, Some("20261123-141504-0001"), 3).expect("a page");
        assert_eq!(ids(&second), ["20261123-141503-0001", "20261123-141502-0001", "20261123-141501-0001"]);
        let last = page(&history, Some("20261123-141501-0001"), 3).expect("a page");
        assert_eq!((ids(&last), last.more), (vec!["20261123-141500-0001"], false));
        assert_eq!(page(&history, Some("nobody"), 3), None);
        assert_eq!(history.restore("20261123-141504-0001").expect("restored").created, "2026-11-23T14:15:04Z");
        assert_eq!(ids(&page(&history, None, 9).expect("a page")).len(), 7);
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
        let page = page(&history(folder.path()), None, 9).expect("a page");
        assert_eq!(ids(&page), ["ein Käse"]);
        assert_eq!(page.pictures[0].url, "/outputs/ein%20K%C3%A4se.png");
        let files: Vec<&str> = page.unreadable.iter().map(|file| file.file.as_str()).collect();
        assert_eq!(files, if cfg!(unix) { vec!["broken.png", "link.png"] } else { vec!["broken.png"] });
    }

    #[test]
    fn a_missing_folder_is_reported_not_fatal() {
        let folder = tempfile::tempdir().expect("a folder");
        let page = page(&history(&folder.path().join("none")), None, 9).expect("a page");
        assert!(page.pictures.is_empty());
        assert!(page.unreadable[0].reason.contains("none"), "{:?}", page.unreadable);
    }
}
