//! The history, its files, and pictures that are sent.

use std::io;
use std::time::UNIX_EPOCH;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{Api, MAX_UPLOAD, json_body, no_answer, parse, shown};
use crate::api_error::ApiError;
use crate::http::{Body, Call, Reply};
use crate::lan::only_here;
use crate::page;
use crate::picture_table::{Filter, Place};
use crate::route::Ask;
use crate::target::encode;

/// Pictures of one page of the history, if the request names no number.
const PAGE: usize = 60;
/// Most pictures of one page of the history.
const MAX_PAGE: usize = 500;
/// Most pictures that are deleted or restored at once.
const MAX_BULK: usize = 20_000;
/// Most bytes of a list of ids.
const MAX_BULK_BODY: u64 = 5 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    starred: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bulk {
    ids: Vec<String>,
}

pub(crate) fn list(api: &Api, ask: &Ask<'_>, _: &mut Call<'_>) -> Result<Reply, ApiError> {
    let limit = ask.number("limit", 1, MAX_PAGE)?.unwrap_or(PAGE);
    let text = |name: &str| ask.target.query(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let filter = Filter {
        words: text("q"),
        starred: ask.switch("starred")?,
        model: text("model"),
        deleted: ask.switch("deleted")?,
    };
    let before = ask.target.query("before");
    match api.studio.history.page(&filter, before, limit).map_err(no_answer)? {
        Some(page) => Ok(Reply::json(200, &page)),
        None => Err(unknown(before.unwrap_or_default())),
    }
}

pub(crate) fn one(api: &Api, ask: &Ask<'_>, _: &mut Call<'_>) -> Result<Reply, ApiError> {
    let picture = api.studio.history.find(ask.name()).ok_or_else(|| unknown(ask.name()))?;
    Ok(Reply::json(200, &picture))
}

pub(crate) fn change(api: &Api, ask: &Ask<'_>, call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let Change { starred } = parse(&json_body(call, 1024)?)?;
    let picture = api.studio.history.star(ask.name(), starred).map_err(no_answer)?;
    Ok(Reply::json(200, &picture.ok_or_else(|| unknown(ask.name()))?))
}

pub(crate) fn delete(api: &Api, ask: &Ask<'_>, _: &mut Call<'_>) -> Result<Reply, ApiError> {
    match api.studio.history.remove(ask.name()) {
        Some(Ok(())) => Ok(Reply::empty(204)),
        Some(Err(error)) => Err(ApiError::new(500, "not_deleted", not_deleted(&error))),
        None => Err(unknown(ask.name())),
    }
}

fn not_deleted(error: &io::Error) -> String {
    format!("the picture stays where it is: {error}")
}

pub(crate) fn restore(api: &Api, ask: &Ask<'_>, _: &mut Call<'_>) -> Result<Reply, ApiError> {
    let picture = api.studio.history.restore(ask.name()).map_err(|error| not_restored(ask.name(), &error))?;
    Ok(Reply::json(200, &picture))
}

fn not_restored(id: &str, error: &io::Error) -> ApiError {
    match error.kind() {
        io::ErrorKind::NotFound => {
            ApiError::new(404, "not_in_trash", format!("there is no deleted picture `{}`", shown(id)))
        }
        io::ErrorKind::AlreadyExists => {
            ApiError::new(409, "already_there", format!("the picture is not restored: {error}"))
        }
        _ => ApiError::new(500, "not_restored", format!("the picture is not restored: {error}")),
    }
}

pub(crate) fn delete_many(api: &Api, _: &Ask<'_>, call: &mut Call<'_>) -> Result<Reply, ApiError> {
    bulk(call, |id| match api.studio.history.remove(id) {
        Some(Ok(())) => Ok(()),
        Some(Err(error)) => Err(not_deleted(&error)),
        None => Err(unknown(id).body.message),
    })
}

pub(crate) fn restore_many(api: &Api, _: &Ask<'_>, call: &mut Call<'_>) -> Result<Reply, ApiError> {
    bulk(call, |id| api.studio.history.restore(id).map(drop).map_err(|error| not_restored(id, &error).body.message))
}

/// Does something with each picture and says which were done.
fn bulk(call: &mut Call<'_>, act: impl Fn(&str) -> Result<(), String>) -> Result<Reply, ApiError> {
    let Bulk { ids } = parse(&json_body(call, MAX_BULK_BODY)?)?;
    if ids.len() > MAX_BULK {
        let message = format!("`ids` has {} entries: at most {MAX_BULK} are taken at once", ids.len());
        return Err(ApiError::new(400, "out_of_range", message));
    }
    Ok(done(ids.into_iter().map(|id| {
        let result = act(&id);
        (id, result)
    })))
}

fn done(results: impl Iterator<Item = (String, Result<(), String>)>) -> Reply {
    let (mut done, mut failed) = (Vec::new(), Vec::<Value>::new());
    for (id, result) in results {
        match result {
            Ok(()) => done.push(id),
            Err(message) => failed.push(json!({ "id": id, "message": message })),
        }
    }
    Reply::json(200, &json!({ "done": done, "failed": failed }))
}

pub(crate) fn empty_trash(api: &Api, _: &Ask<'_>, call: &mut Call<'_>) -> Result<Reply, ApiError> {
    only_here(call, "emptying the trash")?;
    let all = api.studio.history.empty_trash().map_err(no_answer)?;
    Ok(done(all.into_iter().map(|(id, result)| (id, result.map_err(|error| error.to_string())))))
}

/// Keeps a picture to start from.
pub(crate) fn upload(api: &Api, _: &Ask<'_>, call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let bytes = call.read_body(MAX_UPLOAD)?;
    let picture = api.studio.keep(&bytes)?;
    // It was read to be kept; only its size is asked for again.
    let facts = api.studio.generate.read_picture(&bytes).unwrap_or_default();
    Ok(Reply::json(201, &json!({ "picture": picture, "width": facts.width, "height": facts.height })))
}

/// Says how a picture file was made; nothing is kept.
pub(crate) fn read(api: &Api, _: &Ask<'_>, call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let bytes = call.read_body(MAX_UPLOAD)?;
    let facts = api.studio.generate.read_picture(&bytes).map_err(|error| {
        ApiError::new(400, "no_picture", format!("what was sent cannot be read as a picture: {error}"))
            .hint(error.hint().unwrap_or_else(|| "send a PNG, JPEG or WebP file".to_owned()))
    })?;
    Ok(Reply::json(200, &facts))
}

pub(crate) fn file(api: &Api, ask: &Ask<'_>, call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let id = ask.name();
    let (file, length, etag) = open(api, ask)?;
    let reply = if page::matches(call, &etag) {
        Reply::empty(304)
    } else {
        Reply::new(200, "image/png", Body::File(file, length))
    };
    let reply = reply.header("ETag", etag).header("Cache-Control", "private, no-cache");
    if !ask.switch("download")? {
        return Ok(reply);
    }
    let plain: String =
        id.chars().map(|letter| if letter.is_ascii_graphic() && letter != '"' { letter } else { '_' }).collect();
    let names = format!("attachment; filename=\"{plain}.png\"; filename*=UTF-8''{}.png", encode(id));
    Ok(reply.header("Content-Disposition", names))
}

pub(crate) fn thumbnail(api: &Api, ask: &Ask<'_>, call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let (file, _, etag) = open(api, ask)?;
    let reply = if page::matches(call, &etag) {
        Reply::empty(304)
    } else {
        let jpeg = api.studio.thumbnails.get(ask.name(), &etag, file).map_err(|why| {
            ApiError::new(422, "no_thumbnail", format!("`{}.png` cannot be made small: {why}", shown(ask.name())))
        })?;
        Reply::new(200, "image/jpeg", Body::Bytes(jpeg))
    };
    Ok(reply.header("ETag", etag).header("Cache-Control", "private, max-age=600"))
}

/// Opens a picture of the history or its trash; its bytes and its tag.
fn open(api: &Api, ask: &Ask<'_>) -> Result<(fs_err::File, u64, String), ApiError> {
    let id = ask.name();
    let place = if ask.switch("deleted")? { Place::Trash } else { Place::Folder };
    // Only names that the index knows are opened: no path is ever made from the address.
    let (file, length) = match api.studio.history.open(place, id) {
        None => return Err(unknown(id)),
        Some(Ok(opened)) => opened,
        Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
            return Err(ApiError::new(410, "gone", format!("the picture was taken away: {error}")));
        }
        Some(Err(error)) => {
            return Err(ApiError::new(500, "unreadable", format!("the picture cannot be read: {error}")));
        }
    };
    let modified = file.metadata().and_then(|metadata| metadata.modified()).unwrap_or(UNIX_EPOCH);
    let age = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    Ok((file, length, format!("\"{length:x}-{age:x}\"")))
}

pub(crate) fn unknown(id: &str) -> ApiError {
    ApiError::new(404, "unknown_picture", format!("there is no picture `{}`", shown(id)))
}
