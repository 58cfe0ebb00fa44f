//! The interface `/api/v1`, the pictures and the page: which address does what.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use crate::api_error::ApiError;
use crate::comfy::{self, Comfy};
use crate::generate_request::{MAX_SIDE, MAX_STEPS, MIN_SIDE, SIDE_MULTIPLE};
use crate::http::{Body, Call, Handler, Reply};
use crate::queue::Line;
use crate::route::{Ask, Found, Route, find};
use crate::studio::Studio;
use crate::target::Target;
use crate::whole_numbers::whole_numbers;
use crate::{
    ModelCard, api_jobs as jobs, api_models as models, api_pictures as pictures, gate, lan, openai, page, sdapi,
    self_test,
};

/// Most bytes of a picture that is sent.
pub(crate) const MAX_UPLOAD: u64 = 64 << 20;

/// Answers every request of the server.
pub(crate) struct Api {
    pub(crate) studio: Arc<Studio>,
    pub(crate) comfy: Arc<Comfy>,
    /// What A1111's clients have under way.
    pub(crate) tasks: sdapi::Tasks,
}

/// Every address but the page's and the other dialects'. `docs/openapi.json` describes exactly these.
pub(crate) const ROUTES: &[Route] = &[
    Route { method: "GET", path: "/api/v1/status", answer: status },
    Route { method: "GET", path: "/api/v1/healthz", answer: healthz },
    Route { method: "GET", path: "/api/v1/seal", answer: seal },
    Route { method: "GET", path: "/api/v1/system", answer: system },
    Route { method: "GET", path: "/api/v1/lan", answer: lan::state },
    Route { method: "POST", path: "/api/v1/lan/code", answer: lan::new_code },
    Route { method: "DELETE", path: "/api/v1/lan/devices/{id}", answer: lan::forget },
    Route { method: "GET", path: "/api/v1/openapi.json", answer: openapi },
    Route { method: "GET", path: "/api/v1/self-test", answer: last_self_test },
    Route { method: "POST", path: "/api/v1/self-test", answer: self_test_again },
    Route { method: "GET", path: self_test::PICTURE, answer: self_test_picture },
    Route { method: "GET", path: "/api/v1/events", answer: events },
    Route { method: "POST", path: "/api/v1/generate", answer: jobs::generate },
    Route { method: "GET", path: "/api/v1/jobs", answer: jobs::list },
    Route { method: "GET", path: "/api/v1/jobs/{id}", answer: jobs::one },
    Route { method: "DELETE", path: "/api/v1/jobs/{id}", answer: jobs::cancel },
    Route { method: "POST", path: "/api/v1/jobs/{id}/move", answer: jobs::change_place },
    Route { method: "DELETE", path: "/api/v1/batches/{id}", answer: jobs::cancel_batch },
    Route { method: "GET", path: "/api/v1/queue", answer: jobs::line },
    Route { method: "DELETE", path: "/api/v1/queue", answer: jobs::clear },
    Route { method: "POST", path: "/api/v1/queue/pause", answer: jobs::pause },
    Route { method: "POST", path: "/api/v1/queue/resume", answer: jobs::resume },
    Route { method: "GET", path: "/api/v1/pictures", answer: pictures::list },
    Route { method: "POST", path: "/api/v1/pictures/delete", answer: pictures::delete_many },
    Route { method: "POST", path: "/api/v1/pictures/restore", answer: pictures::restore_many },
    Route { method: "GET", path: "/api/v1/pictures/{id}", answer: pictures::one },
    Route { method: "PATCH", path: "/api/v1/pictures/{id}", answer: pictures::change },
    Route { method: "DELETE", path: "/api/v1/pictures/{id}", answer: pictures::delete },
    Route { method: "POST", path: "/api/v1/pictures/{id}/restore", answer: pictures::restore },
    Route { method: "DELETE", path: "/api/v1/trash", answer: pictures::empty_trash },
    Route { method: "POST", path: "/api/v1/uploads", answer: pictures::upload },
    Route { method: "POST", path: "/api/v1/read", answer: pictures::read },
    Route { method: "GET", path: "/api/v1/models", answer: models::list },
    Route { method: "POST", path: "/api/v1/models", answer: models::add },
    Route { method: "GET", path: "/api/v1/models/{kind}/{name}/preview", answer: models::preview },
    Route { method: "POST", path: "/api/v1/models/{kind}/{name}/check", answer: models::check },
    Route { method: "GET", path: "/api/v1/tasks/{id}", answer: models::task },
    Route { method: "GET", path: "/outputs/{id}.png", answer: pictures::file },
    Route { method: "GET", path: "/thumbnails/{id}.jpg", answer: pictures::thumbnail },
];

#[derive(Serialize)]
struct Status<'a> {
    version: &'a str,
    models: Vec<ModelCard>,
    samplers: Vec<String>,
    schedulers: Vec<String>,
    queue: Line,
    limits: Limits,
    seal_level: Option<&'a str>,
    /// What a person should know, one sentence each.
    remarks: Vec<String>,
}

#[derive(Serialize)]
struct Limits {
    max_side: u32,
    side_multiple: u32,
    min_side: u32,
    max_steps: u32,
}

impl Handler for Api {
    fn handle(&self, call: &mut Call<'_>) -> Reply {
        gate::harden(self.answer(call).unwrap_or_else(Reply::from))
    }
}

impl Api {
    fn answer(&self, call: &mut Call<'_>) -> Result<Reply, ApiError> {
        gate::check_host(call)?;
        let reading = matches!(call.method.as_str(), "GET" | "HEAD");
        if !reading {
            gate::check_origin(call)?;
        }
        let target = Target::parse(&call.target)?;
        if let Some(reply) = lan::guard(&self.studio.lan, &target, call)? {
            return Ok(reply);
        }
        let (method, path) = (shown(&call.method), shown(&call.target));
        let wrong = |allow| Err(ApiError::wrong_method(&method, &path, allow));
        match find(ROUTES, &call.method, &target) {
            Found::Route(route, ask) => (route.answer)(self, &ask, call),
            Found::Methods(methods) => wrong(methods),
            Found::Nothing => {
                let parts: Vec<&str> = target.parts.iter().map(String::as_str).collect();
                if let Some(reply) = comfy::answer(&self.comfy, &self.studio, &parts, &target, call) {
                    return Ok(reply);
                }
                match parts.as_slice() {
                    ["sdapi" | "internal" | "controlnet", ..] => {
                        Ok(sdapi::answer(&self.studio, &self.tasks, &target, call))
                    }
                    ["v1", ..] => Ok(openai::answer(&self.studio, &target, call)),
                    ["api", "v1", ..] => Err(ApiError::not_found(&shown(&call.target))),
                    ["outputs" | "thumbnails", name] => Err(pictures::unknown(name)),
                    _ if !reading => wrong("GET, HEAD".to_owned()),
                    _ => Ok(page::serve(&parts.join("/"), call)),
                }
            }
        }
    }
}

fn status(api: &Api, _: &Ask<'_>, _: &mut Call<'_>) -> Result<Reply, ApiError> {
    let studio = &api.studio;
    Ok(Reply::json(
        200,
        &Status {
            version: &studio.version,
            models: studio.generate.models(),
            samplers: studio.generate.samplers(),
            schedulers: studio.generate.schedulers(),
            queue: studio.queue.short_line(),
            limits: Limits {
                max_side: MAX_SIDE,
                side_multiple: SIDE_MULTIPLE,
                min_side: MIN_SIDE,
                max_steps: MAX_STEPS,
            },
            seal_level: seal_level(studio),
            remarks: studio.remarks.all(),
        },
    ))
}

fn seal_level(studio: &Studio) -> Option<&str> {
    studio.facts.seal.get("level").and_then(Value::as_str)
}

fn healthz(_: &Api, _: &Ask<'_>, _: &mut Call<'_>) -> Result<Reply, ApiError> {
    Ok(Reply::json(200, &json!({ "ok": true })))
}

fn seal(api: &Api, _: &Ask<'_>, _: &mut Call<'_>) -> Result<Reply, ApiError> {
    Ok(Reply::json(200, &api.studio.facts.seal))
}

/// What the engine tells about the machine, and what the server knows.
fn system(api: &Api, _: &Ask<'_>, _: &mut Call<'_>) -> Result<Reply, ApiError> {
    let studio = &api.studio;
    let mut facts = match studio.generate.system() {
        Value::Object(facts) => facts,
        Value::Null => serde_json::Map::new(),
        other => [("engine".to_owned(), other)].into_iter().collect(),
    };
    facts.insert("version".to_owned(), studio.version.as_str().into());
    facts.insert("seal_level".to_owned(), seal_level(studio).into());
    facts.insert("uptime".to_owned(), studio.started.elapsed().as_secs().into());
    facts.insert("comfy_frontend".to_owned(), api.comfy.has_frontend().into());
    facts.insert("remarks".to_owned(), studio.remarks.all().into());
    Ok(Reply::json(200, &facts))
}

fn openapi(_: &Api, _: &Ask<'_>, _: &mut Call<'_>) -> Result<Reply, ApiError> {
    let text = include_str!("../../../docs/openapi.json").as_bytes();
    Ok(Reply::new(200, "application/json; charset=utf-8", Body::Static(text)).header("Cache-Control", "no-cache"))
}

fn last_self_test(api: &Api, _: &Ask<'_>, _: &mut Call<'_>) -> Result<Reply, ApiError> {
    match api.studio.self_test.report(&api.studio) {
        Some(report) => Ok(Reply::json(200, &report)),
        None => Err(ApiError::new(404, "no_self_test", "no self-test was run on this installation")
            .hint("run `fieldforge selftest`")),
    }
}

fn self_test_again(api: &Api, _: &Ask<'_>, _: &mut Call<'_>) -> Result<Reply, ApiError> {
    let jobs = api.studio.self_test.again(&api.studio)?;
    Ok(Reply::json(202, &jobs::Jobs { jobs }))
}

fn self_test_picture(api: &Api, _: &Ask<'_>, _: &mut Call<'_>) -> Result<Reply, ApiError> {
    match api.studio.self_test.picture() {
        Some(png) => Ok(Reply::new(200, "image/png", Body::Bytes(png)).header("Cache-Control", "no-cache")),
        None => Err(ApiError::not_found(self_test::PICTURE)),
    }
}

fn events(api: &Api, _: &Ask<'_>, call: &mut Call<'_>) -> Result<Reply, ApiError> {
    gate::check_origin(call)?;
    Ok(Reply::new(200, "text/event-stream; charset=utf-8", Body::Events(api.studio.subscribe()))
        .header("Cache-Control", "no-store"))
}

/// The database gave no answer.
pub(crate) fn no_answer(error: rusqlite::Error) -> ApiError {
    ApiError::new(500, "database", format!("the server's database gave no answer: {error}"))
        .hint("try again; if it stays, stop the program and start it again")
}

/// Reads a body that must be a JSON object.
///
/// # Errors
/// 415 for another content type, 413 for more than `limit` bytes, 400 for no object.
pub(crate) fn json_body(call: &mut Call<'_>, limit: u64) -> Result<Vec<u8>, ApiError> {
    // A page of another site cannot send this type without asking first, and is refused then.
    if !content_type(call).eq_ignore_ascii_case("application/json") {
        return Err(ApiError::new(415, "wrong_content_type", "the body must be sent as application/json")
            .hint("send the header `Content-Type: application/json`"));
    }
    call.read_body(limit)
}

/// The media type of the body without its parameters.
pub(crate) fn content_type<'a>(call: &'a Call<'_>) -> &'a str {
    let kind = call.header("content-type").unwrap_or_default();
    kind.split_once(';').map_or(kind, |(kind, _)| kind).trim()
}

/// A small JSON object of known form.
///
/// # Errors
/// 400 with what is wrong.
pub(crate) fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let read = |body| {
        let mut value: Value = serde_json::from_slice(body)?;
        whole_numbers(&mut value);
        serde_json::from_value(value)
    };
    read(body).map_err(|error| ApiError::new(400, "bad_json", format!("the body cannot be read: {error}")))
}

/// A foreign text cut short for a message.
pub(crate) fn shown(text: &str) -> String {
    if text.chars().count() <= 80 { text.to_owned() } else { text.chars().take(80).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_openapi_file_describes_exactly_these_addresses() {
        let file: Value = serde_json::from_str(include_str!("../../../docs/openapi.json")).expect("JSON");
        assert_eq!(file["openapi"], "3.1.0");
        let mut described: Vec<String> = Vec::new();
        for (path, methods) in file["paths"].as_object().expect("paths") {
            for (method, operation) in methods.as_object().expect("methods") {
                if method == "parameters" {
                    continue;
                }
                assert!(operation["summary"].as_str().is_some_and(|text| text.len() > 10), "{method} {path}");
                assert!(operation["responses"].is_object(), "{method} {path}");
                described.push(format!("{} {path}", method.to_ascii_uppercase()));
            }
        }
        let mut routes: Vec<String> = ROUTES.iter().map(|route| format!("{} {}", route.method, route.path)).collect();
        described.sort();
        routes.sort();
        assert_eq!(described, routes);
    }
}
