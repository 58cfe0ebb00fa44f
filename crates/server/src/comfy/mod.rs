//! ComfyUI's interface: its programs and its own page work with this server as they are.
//!
//! A graph is not run node by node. [`compile::Compiler`] walks back from each picture that is kept and says what the
//! chain of nodes means as one request; what cannot be said is refused with the node's id. Every route answers with and
//! without `/api` before it.

mod compile;
mod drawn;
mod frontend;
mod graph;
mod jobs;
mod mask;
mod names;
mod node_kind;
mod object_info;
mod order;
mod pictures;
mod queue_routes;
mod refusal;
mod runs;
mod shelf;
mod socket;
mod text_chunks;
mod texts;
mod upload;
mod user_routes;
mod userdata;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use self::frontend::Frontend;
use self::pictures::Inputs;
pub(crate) use self::runs::Runs;
use self::shelf::{FOLDERS, Shelf};
pub use self::text_chunks::with_texts;
use self::userdata::Userdata;
use crate::api_error::ApiError;
use crate::gate;
use crate::http::{Body, Call, Reply};
use crate::job::Job;
use crate::remarks::Remarks;
use crate::studio::Studio;
use crate::target::Target;

/// The version of ComfyUI whose interface this is.
const COMFYUI: &str = "0.3.75";

/// What the dialect keeps.
pub(crate) struct Comfy {
    pub(crate) runs: Arc<Runs>,
    inputs: Inputs,
    user: Userdata,
    /// ComfyUI's own page, where it is installed.
    frontend: Option<Frontend>,
}

impl Comfy {
    /// Keeps its files in `folder`, which is made when the first one comes; serves the frontend in `wheel`.
    pub(crate) fn new(folder: &Path, wheel: Option<&Path>, remarks: &Remarks) -> Self {
        let frontend = wheel.and_then(|wheel| {
            let opened = Frontend::open(wheel);
            opened
                .inspect_err(|error| {
                    remarks.note(format!(
                        "ComfyUI's frontend in `{}` cannot be used: {error}; install its bundle again",
                        wheel.display()
                    ));
                })
                .ok()
        });
        let runs = Arc::new(Runs::default());
        Self { runs, inputs: Inputs::new(folder.join("input")), user: Userdata::new(folder.join("user")), frontend }
    }

    /// What the picture of a job shall carry besides its settings.
    pub(crate) fn texts(runs: &Runs, job: &Job) -> Vec<(String, String)> {
        runs.of_job(&job.id).map(|run| run.texts()).unwrap_or_default()
    }

    /// Whether ComfyUI's own page is served.
    pub(crate) fn has_frontend(&self) -> bool {
        self.frontend.is_some()
    }

    fn shelf(&self, studio: &Studio) -> Shelf {
        Shelf::new(&*studio.generate, &self.inputs)
    }
}

/// Answers an address of ComfyUI's; `None` for any other one.
pub(crate) fn answer(
    comfy: &Arc<Comfy>,
    studio: &Arc<Studio>,
    parts: &[&str],
    target: &Target,
    call: &mut Call<'_>,
) -> Option<Reply> {
    // The frontend asks for everything below the address of its page: its own files, and the interface.
    let parts = match (parts, &comfy.frontend) {
        (["comfy", ..], None) => {
            return Some(
                ApiError::not_found("/comfy/")
                    .hint("ComfyUI's frontend is not installed: put `comfyui-frontend` into the next bundle")
                    .into(),
            );
        }
        (["comfy"], Some(_)) => return Some(Reply::empty(308).header("Location", "/comfy/")),
        (["comfy", rest @ ..], Some(frontend)) => {
            let reading = matches!(call.method.as_str(), "GET" | "HEAD");
            if let Some(reply) = frontend.serve(&rest.join("/"), call).filter(|_| reading) {
                return Some(reply);
            }
            rest
        }
        // The one thing that it asks for at the root: the tab's icon, while a picture is drawn and after.
        (["assets", "images", ..] | ["assets", "favicon.ico"], Some(frontend)) => {
            return frontend.serve(&parts.join("/"), call);
        }
        (parts, _) => parts,
    };
    let (parts, api) = match parts {
        ["api", "v1", ..] => return None,
        ["api", rest @ ..] => (rest, true),
        parts => (parts, false),
    };
    let method = call.method.clone();
    let reading = matches!(method.as_str(), "GET" | "HEAD");
    let result = match (parts, method.as_str()) {
        (["ws"], "GET") => gate::check_origin(call).and_then(|()| socket::open(comfy, studio, target, call)),
        (["prompt"], "POST") => order::post(comfy, studio, call),
        (["prompt"], _) if reading => Ok(Reply::json(200, &queue_routes::status(studio))),
        (["queue" | "history" | "interrupt" | "free" | "jobs", ..], _) if parts != ["jobs"] || api => {
            queue_routes::answer(comfy, studio, parts, target, call)
        }
        (["view" | "view_metadata" | "upload", ..], _) => upload::answer(comfy, studio, parts, target, call),
        (["users" | "settings" | "userdata", ..], _) => user_routes::answer(comfy, parts, target, call),
        (["user.css"], "GET") => Ok(file("text/css; charset=utf-8", Vec::new())),
        (["internal", "logs", "subscribe"], "PATCH") => Ok(Reply::json(200, &json!({}))),
        (_, _) if reading => match look(comfy, studio, parts) {
            Some(found) => Ok(Reply::json(200, &found)),
            None if api => Err(ApiError::not_found(&format!("/api/{}", parts.join("/")))),
            None => return None,
        },
        _ if api => Err(ApiError::not_found(&format!("/api/{}", parts.join("/")))),
        _ => return None,
    };
    Some(result.unwrap_or_else(|error| refusal::reply(&error)))
}

/// Answers that only look.
fn look(comfy: &Comfy, studio: &Studio, parts: &[&str]) -> Option<Value> {
    let shelf = || comfy.shelf(studio);
    Some(match parts {
        ["object_info"] => object_info::object_info(None, &shelf()),
        ["object_info", class] => object_info::object_info(Some(class), &shelf()),
        ["system_stats"] => system_stats(studio),
        ["embeddings"] => json!(shelf().folder("embeddings")),
        ["models"] => json!(FOLDERS.map(|(folder, _)| folder)),
        ["models", folder] => json!(shelf().folder(folder)?),
        ["experiment", "models"] => json!(FOLDERS.map(|(name, _)| json!({ "name": name, "folders": [] }))),
        ["experiment", "models", folder] => {
            let files = shelf().folder(folder)?;
            files.into_iter().map(|name| json!({ "name": name, "pathIndex": 0 })).collect()
        }
        ["features"] => json!({ "supports_preview_metadata": true, "max_upload_size": crate::api::MAX_UPLOAD }),
        ["extensions"] | ["templates", _] | ["node_replacements"] => json!([]),
        ["i18n" | "workflow_templates" | "global_subgraphs"] | ["internal", "folder_paths"] => json!({}),
        ["internal", "logs"] => json!(""),
        ["internal", "logs", "raw"] => json!({ "entries": [], "size": { "cols": 80, "rows": 24 } }),
        ["internal", "files", "input"] => json!(comfy.inputs.names()),
        ["internal", "files", _] => json!([]),
        _ => return None,
    })
}

fn system_stats(studio: &Studio) -> Value {
    let system = studio.generate.system();
    let memory = |name: &str| system.pointer(&format!("/memory/{name}")).and_then(Value::as_u64).unwrap_or_default();
    let (total, free) = (memory("total"), memory("available"));
    json!({
        "system": {
            "os": std::env::consts::OS,
            "ram_total": total,
            "ram_free": free,
            "comfyui_version": COMFYUI,
            "python_version": format!("none: this is Fieldforge {}", studio.version),
            "pytorch_version": "none",
            "embedded_python": false,
            "argv": ["fieldforge", "serve"],
        },
        "devices": [{
            "name": "cpu", "type": "cpu", "index": null, "vram_total": total, "vram_free": free,
            "torch_vram_total": total, "torch_vram_free": free,
        }],
    })
}

/// Reads a body as JSON; an empty one as an empty object. Clients send it under any content type.
fn body(call: &mut Call<'_>, limit: u64) -> Result<Value, ApiError> {
    let bytes = call.read_body(limit)?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(json!({}));
    }
    serde_json::from_slice(&bytes)
        .map_err(|error| ApiError::new(400, "bad_json", format!("the body cannot be read as JSON: {error}")))
}

fn wrong_method(call: &Call<'_>, allow: &'static str) -> ApiError {
    let path: String = call.target.chars().take(80).collect();
    ApiError::wrong_method(&call.method, &path, allow)
}

/// An answer of plain bytes.
fn file(content_type: &str, bytes: Vec<u8>) -> Reply {
    Reply::new(200, content_type, Body::Bytes(bytes)).header("Cache-Control", "private, no-cache")
}
