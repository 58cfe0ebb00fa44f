//! The one user's settings and files.

use std::io;

use serde_json::{Map, Value, json};

use super::userdata::MAX_FILE;
use super::{Comfy, body, file, wrong_method};
use crate::api_error::ApiError;
use crate::http::{Call, Reply};
use crate::target::Target;

/// Most bytes of all settings.
const MAX_SETTINGS: u64 = 1 << 20;
/// Where they are kept.
const SETTINGS: &str = "comfy.settings.json";

pub(crate) fn answer(comfy: &Comfy, parts: &[&str], target: &Target, call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let method = call.method.clone();
    match (parts, method.as_str()) {
        (["users"], "GET") => Ok(Reply::json(200, &json!({ "storage": "server", "migrated": true }))),
        (["users"], "POST") => Err(ApiError::new(400, "one_user", "there is one user only")),
        (["settings"], "GET") => Ok(Reply::json(200, &settings(comfy))),
        (["settings", id], "GET") => Ok(Reply::json(200, &settings(comfy).get(*id).cloned().unwrap_or_default())),
        (["settings"], "POST") => match body(call, MAX_SETTINGS)? {
            Value::Object(new) => set(comfy, new),
            _ => Err(ApiError::new(400, "bad_json", "settings must be an object")),
        },
        (["settings", id], "POST") => {
            let value = body(call, MAX_SETTINGS)?;
            set(comfy, std::iter::once(((*id).to_owned(), value)).collect())
        }
        (["userdata"], "GET") => list(comfy, target),
        (["userdata", file_name @ ..], _) => userdata(comfy, file_name, target, call),
        (["users" | "settings", ..], _) => Err(wrong_method(call, "GET, POST")),
        _ => Err(ApiError::not_found(&parts.join("/"))),
    }
}

/// The kept settings over those without which the frontend would ask the network or show an empty dialogue first.
fn settings(comfy: &Comfy) -> Map<String, Value> {
    let mut all = Map::new();
    all.insert("Comfy.TutorialCompleted".into(), true.into());
    all.insert("Comfy.InstalledVersion".into(), "1.58.1".into());
    all.insert("Comfy.Notification.ShowVersionUpdates".into(), false.into());
    let kept = comfy.user.read(SETTINGS).and_then(|text| serde_json::from_slice::<Map<String, Value>>(&text).ok());
    all.extend(kept.unwrap_or_default());
    all
}

fn set(comfy: &Comfy, new: Map<String, Value>) -> Result<Reply, ApiError> {
    let mut all = settings(comfy);
    all.extend(new);
    let text = Value::Object(all).to_string();
    if text.len() as u64 > MAX_SETTINGS {
        return Err(ApiError::new(413, "too_large", format!("the settings are larger than {MAX_SETTINGS} bytes")));
    }
    comfy.user.write(SETTINGS, text.as_bytes(), true).map_err(|error| failed(&error))?;
    Ok(Reply::json(200, &json!({})))
}

fn list(comfy: &Comfy, target: &Target) -> Result<Reply, ApiError> {
    let yes = |name| target.query(name) == Some("true");
    let folder = target.query("dir").unwrap_or_default().trim_matches('/');
    let entries = comfy
        .user
        .list(folder, yes("recurse"))
        .ok_or_else(|| ApiError::new(400, "bad_path", "this folder's name cannot be used"))?;
    let found: Vec<Value> = entries
        .iter()
        .map(|entry| match (yes("full_info"), yes("split")) {
            (true, _) => entry.json(),
            (false, true) => {
                json!(
                    [entry.path.clone()]
                        .into_iter()
                        .chain(entry.path.split('/').map(str::to_owned))
                        .collect::<Vec<_>>()
                )
            }
            (false, false) => json!(entry.path),
        })
        .collect();
    Ok(Reply::json(200, &found))
}

fn userdata(comfy: &Comfy, parts: &[&str], target: &Target, call: &mut Call<'_>) -> Result<Reply, ApiError> {
    // An encoded slash stays inside one part; both ways name the same file.
    let overwrite = target.query("overwrite") != Some("false");
    let full = target.query("full_info") == Some("true");
    let told = |entry: super::userdata::Entry| Reply::json(200, &if full { entry.json() } else { json!(entry.path) });
    if let [from @ .., "move", to] = parts
        && call.method == "POST"
        && !from.is_empty()
    {
        return comfy.user.rename(&from.join("/"), to, overwrite).map(told).map_err(|error| failed(&error));
    }
    let name = parts.join("/");
    match call.method.as_str() {
        "GET" | "HEAD" => match comfy.user.read(&name) {
            Some(bytes) => {
                let kind = if name.ends_with(".json") { "application/json" } else { "application/octet-stream" };
                Ok(file(kind, bytes))
            }
            // The frontend asks for these always; a browser would note each 404 as an error.
            None => match name.as_str() {
                "user.css" => Ok(file("text/css; charset=utf-8", Vec::new())),
                "comfy.templates.json" => Ok(file("application/json", b"[]".to_vec())),
                _ => Err(ApiError::not_found(&name)),
            },
        },
        "POST" => {
            let bytes = call.read_body(MAX_FILE)?;
            comfy.user.write(&name, &bytes, overwrite).map(told).map_err(|error| failed(&error))
        }
        "DELETE" => comfy.user.remove(&name).map(|()| Reply::empty(204)).map_err(|error| failed(&error)),
        _ => Err(wrong_method(call, "GET, HEAD, POST, DELETE")),
    }
}

fn failed(error: &io::Error) -> ApiError {
    match error.kind() {
        io::ErrorKind::NotFound => ApiError::new(404, "not_found", "this file is not kept here"),
        io::ErrorKind::InvalidInput => ApiError::new(400, "bad_path", "this name cannot be used for a file"),
        io::ErrorKind::AlreadyExists => ApiError::new(409, "already_there", "a file of this name is there already"),
        io::ErrorKind::StorageFull => ApiError::new(507, "not_saved", "too many files are kept, or the disk is full"),
        _ => ApiError::new(507, "not_saved", format!("the file cannot be kept: {error}")),
    }
}
