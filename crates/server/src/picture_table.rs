//! What the database knows about pictures.

use std::collections::HashMap;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params, params_from_iter};

use crate::picture::{Picture, PngFacts};
use crate::{GenerateRequest, clock};

/// Where a picture file lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Place {
    /// In the folder of pictures.
    Folder,
    /// In its trash.
    Trash,
}

/// When a file was last written, in nanoseconds since 1970, and its bytes: what tells that it did not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) modified: i64,
    pub(crate) size: i64,
}

/// Which pictures are asked for. The default is all that are not deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Words that the prompt holds, each at least as a word's beginning.
    pub(crate) words: Option<String>,
    pub(crate) starred: bool,
    /// The model's id.
    pub(crate) model: Option<String>,
    /// Those in the trash instead.
    pub(crate) deleted: bool,
}

impl Place {
    fn number(self) -> i64 {
        match self {
            Self::Folder => 0,
            Self::Trash => 1,
        }
    }
}

const COLUMNS: &str = "id, created, width, height, starred, settings, infotext, model_hash, trashed";

fn picture(row: &Row<'_>) -> rusqlite::Result<Picture> {
    let id: String = row.get(0)?;
    let created: i64 = row.get(1)?;
    let settings: Option<String> = row.get(5)?;
    let facts = PngFacts {
        width: row.get(2)?,
        height: row.get(3)?,
        settings: settings.and_then(|json| serde_json::from_str(&json).ok()),
        infotext: row.get(6)?,
        model_hash: row.get(7)?,
    };
    let mut picture = facts.named(&id, u64::try_from(created).unwrap_or(0));
    picture.starred = row.get(4)?;
    Ok(if row.get(8)? { picture.in_trash() } else { picture })
}

/// Writes what a picture file says; its star stays.
pub(crate) fn put(
    connection: &Connection,
    place: Place,
    id: &str,
    created: u64,
    stamp: Stamp,
    facts: &PngFacts,
) -> rusqlite::Result<()> {
    let settings = facts.settings.as_ref();
    let key: i64 = connection
        .prepare_cached(
            "INSERT INTO pictures(trashed, id, created, modified, size, width, height, model, model_hash, settings, infotext)
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT(trashed, id) DO UPDATE SET created = excluded.created, modified = excluded.modified,
             size = excluded.size, width = excluded.width, height = excluded.height, model = excluded.model,
             model_hash = excluded.model_hash, settings = excluded.settings, infotext = excluded.infotext
             RETURNING key",
        )?
        .query_row(
            params![
                place.number(),
                id,
                i64::try_from(created).unwrap_or(i64::MAX),
                stamp.modified,
                stamp.size,
                facts.width,
                facts.height,
                settings.map(|settings| settings.model.as_str()),
                facts.model_hash,
                settings.map(GenerateRequest::to_json),
                facts.infotext,
            ],
            |row| row.get(0),
        )?;
    connection.prepare_cached("DELETE FROM words WHERE rowid = ?1")?.execute([key])?;
    if let Some(prompt) = prompt(facts) {
        connection.prepare_cached("INSERT INTO words(rowid, prompt) VALUES(?1, ?2)")?.execute(params![key, prompt])?;
    }
    Ok(())
}

/// The words that a picture is found by.
fn prompt(facts: &PngFacts) -> Option<String> {
    if let Some(settings) = &facts.settings {
        return Some(settings.prompt.clone());
    }
    // A1111's text: the prompt, then the line of the negative one, then the line of settings.
    let text = facts.infotext.as_deref()?;
    let end = ["\nNegative prompt: ", "\nSteps: "].iter().filter_map(|mark| text.find(mark)).min();
    Some(text.get(..end.unwrap_or(text.len())).unwrap_or(text).to_owned())
}

/// Forgets a picture.
pub(crate) fn forget(connection: &Connection, place: Place, id: &str) -> rusqlite::Result<()> {
    let key: Option<i64> = connection
        .prepare_cached("DELETE FROM pictures WHERE trashed = ?1 AND id = ?2 RETURNING key")?
        .query_row(params![place.number(), id], |row| row.get(0))
        .optional()?;
    if let Some(key) = key {
        connection.prepare_cached("DELETE FROM words WHERE rowid = ?1")?.execute([key])?;
    }
    Ok(())
}

/// Notes that a file was moved; whatever was known under that name there is forgotten.
pub(crate) fn moved(connection: &Connection, id: &str, from: Place, to: Place) -> rusqlite::Result<()> {
    forget(connection, to, id)?;
    connection.prepare_cached("UPDATE pictures SET trashed = ?3 WHERE trashed = ?1 AND id = ?2")?.execute(params![
        from.number(),
        id,
        to.number()
    ])?;
    Ok(())
}

/// Notes that a file has another name now.
pub(crate) fn renamed(connection: &Connection, place: Place, id: &str, to: &str) -> rusqlite::Result<()> {
    connection.prepare_cached("UPDATE pictures SET id = ?3 WHERE trashed = ?1 AND id = ?2")?.execute(params![
        place.number(),
        id,
        to
    ])?;
    Ok(())
}

/// Sets or takes away the star; false when there is no such picture.
pub(crate) fn star(connection: &Connection, id: &str, starred: bool) -> rusqlite::Result<bool> {
    let changed = connection
        .prepare_cached("UPDATE pictures SET starred = ?2 WHERE trashed = 0 AND id = ?1")?
        .execute(params![id, starred])?;
    Ok(changed > 0)
}

pub(crate) fn find(connection: &Connection, place: Place, id: &str) -> rusqlite::Result<Option<Picture>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM pictures WHERE trashed = ?1 AND id = ?2"))?
        .query_row(params![place.number(), id], picture)
        .optional()
}

pub(crate) fn contains(connection: &Connection, place: Place, id: &str) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM pictures WHERE trashed = ?1 AND id = ?2")?
        .exists(params![place.number(), id])
}

/// What is known about every file in a place.
pub(crate) fn stamps(connection: &Connection, place: Place) -> rusqlite::Result<HashMap<String, Stamp>> {
    connection
        .prepare_cached("SELECT id, modified, size FROM pictures WHERE trashed = ?1")?
        .query_map([place.number()], |row| Ok((row.get(0)?, Stamp { modified: row.get(1)?, size: row.get(2)? })))?
        .collect()
}

/// The ids of a place, oldest first.
pub(crate) fn ids(connection: &Connection, place: Place) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare_cached("SELECT id FROM pictures WHERE trashed = ?1 ORDER BY created, id")?
        .query_map([place.number()], |row| row.get(0))?
        .collect()
}

/// When a picture was made, in seconds since 1970.
pub(crate) fn created(connection: &Connection, place: Place, id: &str) -> rusqlite::Result<Option<u64>> {
    let created: Option<i64> = connection
        .prepare_cached("SELECT created FROM pictures WHERE trashed = ?1 AND id = ?2")?
        .query_row(params![place.number(), id], |row| row.get(0))
        .optional()?;
    Ok(created.map(|created| u64::try_from(created).unwrap_or(0)))
}

/// Up to `limit` pictures before `(created, id)`, newest first, whether older ones follow, and how many match in all.
pub(crate) fn page(
    connection: &Connection,
    filter: &Filter,
    before: Option<(u64, &str)>,
    limit: usize,
) -> rusqlite::Result<(Vec<Picture>, bool, u64)> {
    let place = if filter.deleted { Place::Trash } else { Place::Folder };
    let mut wheres = vec!["trashed = ?"];
    let mut values = vec![Value::from(place.number())];
    if filter.starred {
        wheres.push("starred = 1");
    }
    if let Some(model) = &filter.model {
        wheres.push("model = ?");
        values.push(Value::from(model.clone()));
    }
    if let Some(words) = &filter.words {
        match query(words) {
            Some(query) => {
                wheres.push("key IN (SELECT rowid FROM words WHERE words MATCH ?)");
                values.push(Value::from(query));
            }
            // Nothing but marks: no word begins with them.
            None if !words.trim().is_empty() => wheres.push("0"),
            None => {}
        }
    }
    let sql = format!("SELECT count(*) FROM pictures WHERE {}", wheres.join(" AND "));
    let total: i64 = connection.prepare_cached(&sql)?.query_row(params_from_iter(values.iter()), |row| row.get(0))?;
    if let Some((created, id)) = before {
        wheres.push("(created, id) < (?, ?)");
        values.push(Value::from(i64::try_from(created).unwrap_or(i64::MAX)));
        values.push(Value::from(id.to_owned()));
    }
    let sql = format!(
        "SELECT {COLUMNS} FROM pictures WHERE {} ORDER BY created DESC, id DESC LIMIT {}",
        wheres.join(" AND "),
        limit.saturating_add(1)
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut pictures =
        statement.query_map(params_from_iter(values.iter()), picture)?.collect::<rusqlite::Result<Vec<_>>>()?;
    let more = pictures.len() > limit;
    pictures.truncate(limit);
    Ok((pictures, more, u64::try_from(total).unwrap_or(0)))
}

/// The search in FTS5's words: every word at least as a beginning. `None` when nothing can be searched for.
fn query(words: &str) -> Option<String> {
    let words: Vec<String> = words
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .take(32)
        .map(|word| format!("\"{word}\"*"))
        .collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// The time of a picture that is not known any more, if its name tells it.
pub(crate) fn time_of(connection: &Connection, place: Place, id: &str) -> rusqlite::Result<Option<u64>> {
    Ok(created(connection, place, id)?.or_else(|| clock::from_name(id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_are_words_whatever_the_marks() {
        assert_eq!(query("a cat"), Some("\"a\"* \"cat\"*".to_owned()));
        assert_eq!(query("(cat:1.2) \"x\" OR"), Some("\"cat\"* \"1\"* \"2\"* \"x\"* \"OR\"*".to_owned()));
        assert_eq!(query(" ,;'\" "), None);
    }
}
