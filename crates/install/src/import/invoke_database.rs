//! What only InvokeAI's database tells: how its models are called and where those lie that it uses in place, and of its
//! pictures the settings, the board, and which ones are only steps on the way.
//!
//! The file is never written to, and nothing is made beside it: a database whose program did not close it is copied to
//! the folder for temporary files with its log, and read there.

use super::settings::resolve;
use manifest::ComponentKind;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What the database says.
#[derive(Debug, Default)]
pub(crate) struct InvokeDatabase {
    /// Its models, by the true paths of their files or folders.
    models: BTreeMap<PathBuf, InvokeModel>,
    /// Those that do not lie in its own folder, whether they are there or not.
    pub(crate) elsewhere: Vec<PathBuf>,
    /// Its pictures, by file name.
    pub(crate) pictures: BTreeMap<String, InvokePicture>,
}

/// A model as the database knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InvokeModel {
    /// What people call it.
    pub(crate) name: String,
    /// What it is for, if this program has a use for such.
    pub(crate) kind: Option<ComponentKind>,
}

/// A picture as the database knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct InvokePicture {
    /// How it was drawn: JSON text.
    pub(crate) metadata: Option<String>,
    /// The name of its board.
    pub(crate) board: Option<String>,
    /// A step on the way to another picture, which InvokeAI does not show.
    pub(crate) is_intermediate: bool,
}

/// SQLite keeps what is not yet in the database itself in files of these endings beside it.
const LOGS: [&str; 2] = ["-wal", "-journal"];

impl InvokeDatabase {
    /// Reads `database`; `models` is the folder that its paths count from. Nothing when there is no such file.
    ///
    /// # Errors
    /// When it cannot be read, or is no database of InvokeAI; in one clause.
    pub(crate) fn read(database: &Path, models: &Path) -> Result<Option<Self>, String> {
        if !database.is_file() {
            return Ok(None);
        }
        let open = Opened::open(database)?;
        let said = |error: rusqlite::Error| format!("it is no database of InvokeAI that can be read: {error}");
        let tables = open.tables().map_err(said)?;
        let has = |name: &str| tables.iter().any(|table| table == name);
        let mut found = Self::default();
        // Version 3 of InvokeAI called the table otherwise.
        if let Some(table) = ["models", "model_config"].into_iter().find(|table| has(table)) {
            let configs = open.texts(&format!("SELECT config FROM {table} ORDER BY id")).map_err(said)?;
            for (path, model) in configs.iter().filter_map(|[config]| model(config.as_deref()?)) {
                let path = resolve(models, &path);
                let whole = fs_err::canonicalize(&path);
                if whole.is_err() || !path.starts_with(models) {
                    found.elsewhere.push(path);
                }
                found.models.extend(whole.ok().map(|whole| (whole, model)));
            }
        }
        if has("images") {
            let rows = "SELECT image_name, metadata, is_intermediate FROM images";
            for [name, metadata, is_intermediate] in open.texts(rows).map_err(said)? {
                let is_intermediate = is_intermediate.as_deref() == Some("1");
                let picture = InvokePicture { metadata, board: None, is_intermediate };
                found.pictures.extend(name.map(|name| (name, picture)));
            }
        }
        if has("boards") && has("board_images") {
            let rows = "SELECT image_name, board_name FROM board_images JOIN boards USING (board_id)";
            for [name, board] in open.texts(rows).map_err(said)? {
                if let Some(picture) = name.and_then(|name| found.pictures.get_mut(&name)) {
                    picture.board = board;
                }
            }
        }
        if !has("images") && !has("models") && !has("model_config") {
            return Err("it is no database of InvokeAI".to_owned());
        }
        Ok(Some(found))
    }

    /// The model whose file or folder this is.
    pub(crate) fn model(&self, path: &Path) -> Option<&InvokeModel> {
        if self.models.is_empty() {
            return None;
        }
        self.models.get(&fs_err::canonicalize(path).ok()?)
    }
}

/// A model's record, JSON with more fields than are used here: its path and what it is.
fn model(config: &str) -> Option<(String, InvokeModel)> {
    let config: Value = serde_json::from_str(config).ok()?;
    let text = |keys: &[&str]| keys.iter().find_map(|key| config.get(*key)?.as_str()).map(str::to_owned);
    let path = text(&["path"])?;
    let name = text(&["name", "model_name"])?;
    use ComponentKind::{Checkpoint, Controlnet, Embedding, Lora, Refiner, Upscaler, Vae};
    let kind = match text(&["type", "model_type"]).as_deref() {
        Some("main") if config.get("base").and_then(Value::as_str) == Some("sdxl-refiner") => Some(Refiner),
        Some("main") => Some(Checkpoint),
        Some("lora") => Some(Lora),
        Some("vae") => Some(Vae),
        Some("embedding") => Some(Embedding),
        Some("controlnet" | "control_lora") => Some(Controlnet),
        Some("spandrel_image_to_image") => Some(Upscaler),
        _ => None,
    };
    (!path.is_empty() && !name.is_empty()).then_some((path, InvokeModel { name, kind }))
}

/// The database, open for reading; the copy of it, if one was made, goes with it.
struct Opened {
    connection: Connection,
    copy: Option<PathBuf>,
}

impl Opened {
    fn open(database: &Path) -> Result<Self, String> {
        let logs = LOGS.map(|ending| beside(database, ending));
        let is_open = logs.iter().any(|log| fs_err::metadata(log).is_ok_and(|log| log.len() > 0));
        let copy = is_open.then(|| copy(database, &logs)).transpose().map_err(|error| {
            format!("InvokeAI did not close it, and it could not be copied to be read: {}", crate::plain_reason(&error))
        })?;
        let flags = match copy {
            // The log of a copy is worked in.
            Some(_) => OpenFlags::SQLITE_OPEN_READ_WRITE,
            // An unchanging file needs no locks, which would be files beside it.
            None => OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI,
        };
        let file = match &copy {
            Some(folder) => folder.join(file_name(database)),
            None => address(database)?,
        };
        let connection = Connection::open_with_flags(file, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX);
        match connection {
            Ok(connection) => Ok(Self { connection, copy }),
            Err(error) => {
                copy.iter().for_each(|folder| _ = fs_err::remove_dir_all(folder));
                Err(error.to_string())
            }
        }
    }

    /// Its tables. What only looks like one is none: it could compute for ever.
    fn tables(&self) -> rusqlite::Result<Vec<String>> {
        self.connection.pragma_update(None, "trusted_schema", false)?;
        let rows = self.texts("SELECT name FROM sqlite_master WHERE type = 'table'")?;
        Ok(rows.into_iter().filter_map(|[name]| name).collect())
    }

    /// The rows that a query answers, everything as text; what is no text is nothing.
    fn texts<const N: usize>(&self, query: &str) -> rusqlite::Result<Vec<[Option<String>; N]>> {
        let mut statement = self.connection.prepare(query)?;
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let mut texts = [const { None }; N];
            for (at, text) in texts.iter_mut().enumerate() {
                *text = match row.get_ref(at)? {
                    rusqlite::types::ValueRef::Text(bytes) => String::from_utf8(bytes.to_vec()).ok(),
                    rusqlite::types::ValueRef::Integer(number) => Some(number.to_string()),
                    _ => None,
                };
            }
            found.push(texts);
        }
        Ok(found)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Some(folder) = &self.copy {
            // It lies among temporary files: the system clears it away otherwise.
            let _ = fs_err::remove_dir_all(folder);
        }
    }
}

fn file_name(path: &Path) -> &std::ffi::OsStr {
    path.file_name().unwrap_or_default()
}

fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut name = file_name(database).to_owned();
    name.push(ending);
    database.with_file_name(name)
}

/// Database and logs in a folder of their own.
fn copy(database: &Path, logs: &[PathBuf]) -> std::io::Result<PathBuf> {
    let folder = (0_u32..)
        .map(|number| std::env::temp_dir().join(format!("fieldforge-import-{}-{number}", std::process::id())))
        .find_map(|folder| match fs_err::create_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => None,
            other => Some(other.map(|()| folder)),
        })
        .unwrap_or_else(|| Err(std::io::ErrorKind::AlreadyExists.into()))?;
    let there = std::iter::once(database).chain(logs.iter().map(PathBuf::as_path)).filter(|file| file.is_file());
    for file in there {
        if let Err(error) = fs_err::copy(file, folder.join(file_name(file))) {
            let _ = fs_err::remove_dir_all(&folder);
            return Err(error);
        }
    }
    Ok(folder)
}

/// The file as SQLite takes it with options (its documentation, "URI Filenames").
fn address(database: &Path) -> Result<PathBuf, String> {
    let whole = fs_err::canonicalize(database).map_err(|error| crate::plain_reason(&error))?;
    let mut address = "file:".to_owned();
    for byte in whole.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => address.push(char::from(*byte)),
            other => address.push_str(&format!("%{other:02X}")),
        }
    }
    Ok(PathBuf::from(address + "?mode=ro&immutable=1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database as InvokeAI 6 makes it, as far as we read it.
    fn make(file: &Path) -> Connection {
        let connection = Connection::open(file).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE models (id TEXT PRIMARY KEY, config TEXT NOT NULL,
                     path TEXT GENERATED ALWAYS AS (json_extract(config, '$.path')) VIRTUAL NOT NULL);
                 INSERT INTO models (id, config) VALUES
                     ('1', '{\"path\": \"1b2c/x.safetensors\", \"name\": \"Dream\", \"type\": \"main\", \"base\": \"sd-1\"}'),
                     ('2', '{\"path\": \"/else where/ink.safetensors\", \"name\": \"Ink\", \"type\": \"lora\"}'),
                     ('3', '{\"path\": \"\"}'), ('4', '{\"path\": 7}'), ('5', '{\"path\": \"5/clip\", \"name\": \"Clip\", \"type\": \"clip_vision\"}');
                 CREATE TABLE images (image_name TEXT PRIMARY KEY, metadata TEXT, is_intermediate BOOLEAN DEFAULT FALSE);
                 INSERT INTO images VALUES ('a.png', '{\"seed\": 1}', FALSE), ('b.png', NULL, TRUE), ('c.png', x'ff', 0);
                 CREATE TABLE boards (board_id TEXT, board_name TEXT);
                 CREATE TABLE board_images (board_id TEXT, image_name TEXT);
                 INSERT INTO boards VALUES ('q', 'Best of 2024');
                 INSERT INTO board_images VALUES ('q', 'a.png'), ('gone', 'c.png'), ('q', 'unknown.png');",
            )
            .unwrap();
        connection
    }

    /// The folder with the models: one that is there, in a folder of no name.
    fn models() -> tempfile::TempDir {
        let models = tempfile::tempdir().unwrap();
        fs_err::create_dir(models.path().join("1b2c")).unwrap();
        fs_err::write(models.path().join("1b2c/x.safetensors"), "").unwrap();
        models
    }

    fn check(found: &InvokeDatabase, models: &Path) {
        let dream = InvokeModel { name: "Dream".into(), kind: Some(ComponentKind::Checkpoint) };
        assert_eq!(found.model(&models.join("1b2c/x.safetensors")), Some(&dream));
        assert_eq!(found.model(&models.join("1b2c")), None);
        assert_eq!(found.elsewhere, [Path::new("/else where/ink.safetensors"), &models.join("5/clip")]);
        assert_eq!(
            found.pictures["a.png"],
            InvokePicture {
                metadata: Some("{\"seed\": 1}".into()),
                board: Some("Best of 2024".into()),
                is_intermediate: false
            }
        );
        assert!(found.pictures["b.png"].is_intermediate);
        assert_eq!(found.pictures["c.png"], InvokePicture::default());
        assert_eq!(found.pictures.len(), 3);
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs_err::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn models_pictures_and_boards_are_read_and_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("100 % #1?.db");
        drop(make(&file));
        let before = fs_err::read(&file).unwrap();
        let models = models();
        check(&InvokeDatabase::read(&file, models.path()).unwrap().unwrap(), models.path());
        assert_eq!(names(folder.path()), ["100 % #1?.db"]);
        assert!(fs_err::read(&file).unwrap() == before);
        assert!(InvokeDatabase::read(&folder.path().join("none"), Path::new("/m")).unwrap().is_none());
    }

    #[test]
    fn what_is_only_in_the_log_is_read_too() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("invokeai.db");
        let open = Connection::open(&file).unwrap();
        open.pragma_update(None, "journal_mode", "WAL").unwrap();
        drop(open);
        let still_open = make(&file);
        let before = names(folder.path());
        assert!(before.contains(&"invokeai.db-wal".to_owned()), "{before:?}");
        let content = before.iter().map(|name| fs_err::read(folder.path().join(name)).unwrap()).collect::<Vec<_>>();
        let models = models();
        check(&InvokeDatabase::read(&file, models.path()).unwrap().unwrap(), models.path());
        assert_eq!(names(folder.path()), before);
        let after = before.iter().map(|name| fs_err::read(folder.path().join(name)).unwrap()).collect::<Vec<_>>();
        assert!(content == after);
        drop(still_open);
        let left = names(&std::env::temp_dir());
        let mine = format!("fieldforge-import-{}-", std::process::id());
        assert!(!left.iter().any(|name| name.starts_with(&mine)), "{left:?}");
    }

    #[test]
    fn what_is_no_database_of_invokeai_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.db");
        let said = |file: &Path| InvokeDatabase::read(file, Path::new("/m")).unwrap_err();
        fs_err::write(&file, b"SQLite format 3\0 and no more").unwrap();
        assert!(said(&file).contains("not a database"), "{}", said(&file));
        fs_err::write(&file, b"").unwrap();
        assert_eq!(said(&file), "it is no database of InvokeAI");
        fs_err::remove_file(&file).unwrap();
        // A view that would count for ever is not asked.
        let connection = Connection::open(&file).unwrap();
        let endless = "WITH RECURSIVE n(config, id) AS (SELECT 1, 1 UNION ALL SELECT config + 1, id FROM n)";
        connection.execute_batch(&format!("CREATE VIEW models AS {endless} SELECT * FROM n")).unwrap();
        drop(connection);
        assert_eq!(said(&file), "it is no database of InvokeAI");
        // Any byte of a right one may be wrong: something or an error, never a panic.
        fs_err::remove_file(&file).unwrap();
        drop(make(&file));
        let whole = fs_err::read(&file).unwrap();
        for at in (0..whole.len()).step_by(37) {
            let mut hurt = whole.clone();
            hurt[at] ^= 0xFF;
            fs_err::write(&file, hurt).unwrap();
            let _ = InvokeDatabase::read(&file, Path::new("/m"));
        }
    }
}
