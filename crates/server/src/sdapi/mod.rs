//! A1111's interface, `/sdapi/v1`, `/internal` and `/controlnet`: which address does what.
//!
//! Field names, defaults and the shape of answers are those that its clients read. What is not done here is refused in
//! words, never left out in silence; `docs/api.md` has the list.

mod control;
mod draw;
mod extras;
mod fields;
mod image;
mod infotext;
mod lists;
mod mask;
mod models;
mod options;
mod refusal;
mod settings;
mod tasks;

use serde_json::{Value, json};

use crate::api_error::ApiError;
use crate::http::{Call, Reply};
use crate::studio::Studio;
use crate::target::Target;
use fields::Fields;
pub(crate) use mask::alpha_of;
use refusal::Refusal;
pub(crate) use tasks::Tasks;

/// Answers one request below `/sdapi/v1`, `/internal` or `/controlnet`.
pub(crate) fn answer(studio: &Studio, tasks: &Tasks, target: &Target, call: &mut Call<'_>) -> Reply {
    let parts: Vec<&str> = target.parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    let method = if call.method == "HEAD" { "GET".to_owned() } else { call.method.clone() };
    let result = match (parts.as_slice(), method.as_str()) {
        (["sdapi", "v1", rest @ ..], "GET") => read(studio, tasks, rest, target),
        (["sdapi", "v1", rest @ ..], "POST") => act(studio, tasks, rest, call),
        (["internal", name], _) => internal(studio, tasks, name, &method, call),
        (["controlnet", name], "GET") => {
            control::list(studio, name).map(|list| Reply::json(200, &list)).ok_or(unknown())
        }
        (["controlnet", "detect"], "POST") => Err(not_here("detecting with a preprocessor alone is not done")),
        _ => Err(unknown()),
    };
    result.unwrap_or_else(Refusal::reply)
}

fn read(studio: &Studio, tasks: &Tasks, parts: &[&str], target: &Target) -> Result<Reply, Refusal> {
    let answer = match parts {
        ["progress"] => {
            let skip = target.query("skip_current_image").is_some_and(|value| value.eq_ignore_ascii_case("true"));
            tasks.progress(studio, !skip)
        }
        ["options"] => options::all(&tasks.options(), &*studio.generate)?,
        [name] => match lists::list(studio, name) {
            Some(list) => list,
            None if POSTED.contains(name) => return Err(wrong_method("POST")),
            None => return Err(unknown()),
        },
        _ => return Err(unknown()),
    };
    Ok(Reply::json(200, &answer))
}

/// What is only posted to.
const POSTED: [&str; 15] = [
    "txt2img",
    "img2img",
    "extra-single-image",
    "extra-batch-images",
    "png-info",
    "interrogate",
    "interrupt",
    "skip",
    "refresh-checkpoints",
    "refresh-vae",
    "refresh-loras",
    "refresh-embeddings",
    "unload-checkpoint",
    "reload-checkpoint",
    "create",
];

fn act(studio: &Studio, tasks: &Tasks, parts: &[&str], call: &mut Call<'_>) -> Result<Reply, Refusal> {
    match parts {
        ["txt2img"] => draw::draw(studio, tasks, call, false),
        ["img2img"] => draw::draw(studio, tasks, call, true),
        ["extra-single-image"] => extras::enlarge(studio, tasks, call, false),
        ["extra-batch-images"] => extras::enlarge(studio, tasks, call, true),
        ["png-info"] => extras::png_info(studio, call),
        ["interrogate"] => Err(not_here("describing a picture in words needs a model that no bundle holds")),
        ["interrupt"] => {
            tasks.stop(studio, true);
            Ok(Reply::json(200, &json!({})))
        }
        ["skip"] => {
            tasks.stop(studio, false);
            Ok(Reply::json(200, &Value::Null))
        }
        ["options"] => {
            let fields = Fields::read(call)?;
            tasks.change_options(|kept| options::set(kept, &fields, &*studio.generate))?;
            Ok(Reply::json(200, &Value::Null))
        }
        // The lists are always fresh, and the engine loads models when they are asked for.
        ["refresh-checkpoints" | "refresh-vae" | "refresh-loras" | "refresh-embeddings"]
        | ["unload-checkpoint" | "reload-checkpoint"] => Ok(Reply::json(200, &Value::Null)),
        ["create", _] | ["train", _] => Err(not_here("training is not done")),
        [name] if lists::list(studio, name).is_some() || *name == "progress" => Err(wrong_method("GET")),
        _ => Err(unknown()),
    }
}

fn internal(studio: &Studio, tasks: &Tasks, name: &str, method: &str, call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let answer = match (name, method) {
        ("ping", "GET") => json!({}),
        ("pending-tasks", "GET") => tasks.pending(),
        ("sysinfo", "GET") => json!({"Version": studio.version, "System": studio.generate.system()}),
        ("progress", "POST") => {
            let fields = Fields::read(call)?;
            let asked = fields.text("id_task")?.unwrap_or_default();
            tasks.internal_progress(studio, asked, fields.flag("live_preview", true)?)
        }
        _ => return Err(unknown()),
    };
    Ok(Reply::json(200, &answer))
}

fn unknown() -> Refusal {
    Refusal::Other(ApiError::not_found(""))
}

fn wrong_method(allow: &'static str) -> Refusal {
    let mut error = ApiError::new(405, "wrong_method", format!("Method Not Allowed: use {allow}"));
    error.allow = Some(allow.to_owned());
    Refusal::Other(error)
}

fn not_here(what: &str) -> Refusal {
    Refusal::new(501, "not_done", format!("{what} here"))
}
