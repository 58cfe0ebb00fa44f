//! The one database of the server: an index of the pictures and the queue.
//!
//! The PNG files remain the record of the pictures: a database that is damaged, foreign or newer than this program is
//! renamed, and a new one is filled from the folder. Only stars and waiting jobs are known to it alone.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use fs_err as fs;
use rusqlite::{Connection, ErrorCode};

use crate::clock;
use crate::lock::lock;
use crate::remarks::Remarks;

/// The file's name inside the folder of what the server keeps.
const FILE: &str = "fieldforge.sqlite3";
/// Marks a database as ours: "FFge" in its header.
const APPLICATION: i32 = 0x4646_6765;
/// What turns version n into version n + 1; the first one starts from an empty file.
const MIGRATIONS: [&str; 1] = [include_str!("schema.sql")];
/// How long a database that another program looks at is waited for.
const BUSY: Duration = Duration::from_millis(500);

/// An open database; this process alone uses it.
pub(crate) struct Database {
    connection: Mutex<Connection>,
}

/// Why a database file is not used.
enum Unfit {
    /// Another server has it open.
    InUse,
    /// The system does not let us write it.
    Refused(String),
    /// It is damaged, foreign or newer; says which.
    Wrong(String),
}

impl Database {
    /// Opens the database in `folder`, or makes it. Where that cannot be done the database lives in memory only; every
    /// such turn is remarked.
    ///
    /// # Errors
    /// When not even a database in memory can be had.
    pub(crate) fn open(folder: &Path, remarks: &Remarks) -> rusqlite::Result<Self> {
        let path = folder.join(FILE);
        // What is missing shows when the file is opened.
        let _ = fs::create_dir_all(folder);
        let mut opened = open_file(&path);
        if let Err(Unfit::Wrong(why)) = &opened {
            match set_aside(&path) {
                Ok(kept) => {
                    remarks.note(format!(
                        "the database `{}` {why}: it was renamed to `{}`, and a new one is made from the pictures; stars \
                         and waiting jobs of the old one are not in it",
                        path.display(),
                        kept.display()
                    ));
                    opened = open_file(&path);
                }
                Err(error) => opened = Err(Unfit::Refused(format!("it {why} and cannot be renamed: {error}"))),
            }
        }
        let why = match opened {
            Ok(connection) => return Ok(Self { connection: Mutex::new(connection) }),
            Err(Unfit::InUse) => "another server has it open".to_owned(),
            Err(Unfit::Refused(why) | Unfit::Wrong(why)) => why,
        };
        remarks.note(format!(
            "the database `{}` is not used ({why}): pictures are kept, but stars and waiting jobs are forgotten when this \
             server stops",
            path.display()
        ));
        Self::in_memory()
    }

    /// A database that nobody finds again.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub(crate) fn in_memory() -> rusqlite::Result<Self> {
        let mut connection = Connection::open_in_memory()?;
        migrate(&mut connection, 0)?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// Ends the use of the file, whoever still holds the database: the log is written back and the next server may have it.
    pub(crate) fn close(&self) {
        if let Ok(nothing) = Connection::open_in_memory() {
            drop(std::mem::replace(&mut *self.lock(), nothing));
        }
    }

    /// The connection, for a few statements.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Connection> {
        lock(&self.connection)
    }
}

fn open_file(path: &Path) -> Result<Connection, Unfit> {
    // A clean end leaves no log; what a killed program left is looked at more closely.
    let unclean = beside(path, "-wal").symlink_metadata().is_ok();
    let mut connection = Connection::open(path).map_err(unfit)?;
    connection.busy_timeout(BUSY).map_err(unfit)?;
    // Exclusive from the start: no memory is shared, and a second server finds the database taken.
    connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE; PRAGMA trusted_schema = OFF").map_err(unfit)?;
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(unfit);
    let application = number("PRAGMA application_id")?;
    let version = number("PRAGMA user_version")?;
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    let latest = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if application != i64::from(APPLICATION) && (application, version, tables) != (0, 0, 0) {
        return Err(Unfit::Wrong("belongs to another program".to_owned()));
    }
    if version > latest {
        return Err(Unfit::Wrong("was made by a newer version of this program".to_owned()));
    }
    if unclean && tables > 0 {
        let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(unfit)?;
        if verdict != "ok" {
            return Err(Unfit::Wrong(format!("is damaged ({verdict})")));
        }
    }
    // Only now: what is not ours stays as it is.
    let settings = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY;
                    PRAGMA cache_size = -16000";
    connection.execute_batch(settings).map_err(unfit)?;
    migrate(&mut connection, usize::try_from(version).unwrap_or(0)).map_err(unfit)?;
    Ok(connection)
}

fn migrate(connection: &mut Connection, version: usize) -> rusqlite::Result<()> {
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(version) {
        let change = connection.transaction()?;
        change.execute_batch(migration)?;
        change.pragma_update(None, "application_id", APPLICATION)?;
        change.pragma_update(None, "user_version", i64::try_from(index + 1).unwrap_or(i64::MAX))?;
        change.commit()?;
    }
    // Writes now, so that a file that cannot be written is noticed now.
    connection.execute("INSERT OR REPLACE INTO facts(name, value) VALUES('opened', ?1)", [clock::iso(clock::now())])?;
    Ok(())
}

fn unfit(error: rusqlite::Error) -> Unfit {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Unfit::InUse,
        Some(
            ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::SystemIoFailure
            | ErrorCode::DiskFull
            | ErrorCode::OutOfMemory,
        ) => Unfit::Refused(error.to_string()),
        _ => Unfit::Wrong(format!("is damaged ({error})")),
    }
}

/// Renames a database and its log; gives the new name.
fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let stamp = format!("-set-aside-{}", clock::name_stamp(clock::now()));
    let kept = beside(path, &stamp);
    fs::rename(path, &kept)?;
    for end in ["-wal", "-shm", "-journal"] {
        match fs::rename(beside(path, end), beside(&kept, end)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(kept)
}

/// The path with `end` behind its file name.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn open(folder: &Path) -> (Database, Vec<String>) {
        let remarks = Remarks::default();
        let database = Database::open(folder, &remarks).expect("opens");
        (database, remarks.all())
    }

    #[test]
    fn a_database_is_made_once_and_found_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let (database, remarks) = open(folder.path());
        assert_eq!(remarks, [""; 0]);
        database.lock().execute("INSERT INTO facts(name, value) VALUES('a', 'b')", []).expect("written");
        drop(database);
        assert_eq!(names(folder.path()), [FILE]);
        let (database, remarks) = open(folder.path());
        assert_eq!(remarks, [""; 0]);
        let value: String =
            database.lock().query_row("SELECT value FROM facts WHERE name = 'a'", [], |row| row.get(0)).expect("there");
        assert_eq!(value, "b");
    }

    #[test]
    fn what_is_no_database_of_ours_is_set_aside_and_told() {
        let foreign = |path: &Path| {
            let other = Connection::open(path).expect("opens");
            other.execute_batch("CREATE TABLE theirs(a)").expect("written");
        };
        let newer = |path: &Path| {
            let other = Connection::open(path).expect("opens");
            other.pragma_update(None, "application_id", APPLICATION).expect("written");
            other.pragma_update(None, "user_version", 99).expect("written");
        };
        let rubbish = |path: &Path| fs::write(path, b"this is no database at all".repeat(100)).expect("written");
        type Make<'a> = &'a dyn Fn(&Path);
        let makers: [(Make<'_>, &str); 3] =
            [(&foreign, "another program"), (&newer, "newer version"), (&rubbish, "damaged")];
        for (make, word) in makers {
            let folder = tempfile::tempdir().expect("a folder");
            make(&folder.path().join(FILE));
            let before = fs::read(folder.path().join(FILE)).expect("read");
            let (database, remarks) = open(folder.path());
            assert_eq!(remarks.len(), 1, "{remarks:?}");
            assert!(remarks[0].contains(word) && remarks[0].contains("set-aside"), "{remarks:?}");
            drop(database);
            let names = names(folder.path());
            assert_eq!(names.len(), 2, "{names:?}");
            assert_eq!(fs::read(folder.path().join(&names[1])).expect("kept"), before, "{word}");
            assert_eq!(open(folder.path()).1, [""; 0], "the new one is good");
        }
    }

    #[test]
    fn damage_after_a_kill_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let (database, _) = open(folder.path());
        for index in 0..500 {
            let text = "x".repeat(200);
            database.lock().execute("INSERT INTO facts VALUES(?1, ?2)", (index.to_string(), text)).expect("written");
        }
        drop(database);
        let path = folder.path().join(FILE);
        let mut bytes = fs::read(&path).expect("read");
        let middle = bytes.len() / 2;
        bytes[middle..].fill(0x55);
        fs::write(&path, bytes).expect("written");
        fs::write(beside(&path, "-wal"), b"").expect("written");
        let (_database, remarks) = open(folder.path());
        assert!(remarks[0].contains("damaged"), "{remarks:?}");
    }

    #[test]
    fn a_second_server_works_in_memory_and_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let (_first, _) = open(folder.path());
        let (second, remarks) = open(folder.path());
        assert!(remarks[0].contains("another server has it open"), "{remarks:?}");
        second.lock().execute("INSERT INTO facts VALUES('a', 'b')", []).expect("written");
        let blocked = folder.path().join("file");
        fs::write(&blocked, b"").expect("written");
        assert_eq!(open(&blocked).1.len(), 1);
    }
}
