//! OpenAI's interface for pictures: `/v1/images/{generations,edits,variations}` and `/v1/models`.
//!
//! Any bearer token is accepted. Beyond OpenAI's fields it reads `seed`, `steps`, `negative_prompt`, `cfg_scale`,
//! `sampler` and `strength`.

mod form;
mod refusal;
mod settings;
mod stream;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::api_error::ApiError;
use crate::http::{Body, Call, Reply};
use crate::job::{JobState, Source};
use crate::studio::Studio;
use crate::target::Target;
use form::Form;
use settings::Kind;
use stream::Stream;

/// Answers one request below `/v1`.
pub(crate) fn answer(studio: &Studio, target: &Target, call: &mut Call<'_>) -> Reply {
    let parts: Vec<&str> = target.parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    let result = match (parts.as_slice(), call.method.as_str()) {
        (["v1", "images", "generations"], "POST") => draw(studio, call, Kind::Generation),
        (["v1", "images", "edits"], "POST") => draw(studio, call, Kind::Edit),
        (["v1", "images", "variations"], "POST") => draw(studio, call, Kind::Variation),
        (["v1", "models"], "GET" | "HEAD") => {
            let all: Vec<Value> = studio.generate.models().iter().map(|card| model(&card.id)).collect();
            Ok(Reply::json(200, &json!({"object": "list", "data": all})))
        }
        (["v1", "models", id], "GET" | "HEAD") => {
            settings::model(studio, Some(id)).map(|card| Reply::json(200, &model(&card.id)))
        }
        (["v1", "images", "generations" | "edits" | "variations"], method) => {
            Err(ApiError::wrong_method(method, "/v1/images", "POST"))
        }
        _ => Err(ApiError::new(404, "unknown_url", "there is nothing at this address")
            .hint("pictures are made at /v1/images/generations")),
    };
    result.unwrap_or_else(|error| refusal::reply(&error))
}

fn model(id: &str) -> Value {
    json!({"id": id, "object": "model", "created": 0, "owned_by": "fieldforge"})
}

/// Nothing is counted here, and nothing billed.
fn usage() -> Value {
    let none = json!({"text_tokens": 0, "image_tokens": 0});
    json!({"total_tokens": 0, "input_tokens": 0, "output_tokens": 0, "input_tokens_details": none})
}

fn draw(studio: &Studio, call: &mut Call<'_>, kind: Kind) -> Result<Reply, ApiError> {
    let form = Form::read(call)?;
    let requests = settings::read(studio, &form, kind)?;
    if form.flag("stream")? {
        let partial = form.integer(&["partial_images"], 0, 3)?.unwrap_or(0);
        // Listening begins before the jobs do.
        let events = studio.subscribe();
        let jobs = studio.submit(requests, Source::Openai)?;
        let name = if kind == Kind::Generation { "image_generation" } else { "image_edit" };
        let (queue, history) = (Arc::clone(&studio.queue), Arc::clone(&studio.history));
        let stream = Stream { queue, history, events, jobs, name, partial };
        let talk = Body::Socket(Box::new(move |socket, stop| stream.tell(socket, stop)));
        let reply = Reply::new(200, "text/event-stream; charset=utf-8", talk);
        return Ok(reply.header("Cache-Control", "no-store").header("Connection", "close"));
    }
    let wanted = form.text("response_format")?;
    if let Some(format) = wanted.filter(|format| !matches!(*format, "url" | "b64_json")) {
        let message = format!("`response_format` is `{}`: it must be url or b64_json", crate::check::shown(format));
        return Err(ApiError::new(400, "invalid_value", message));
    }
    let size = requests.first().map(|request| format!("{}x{}", request.width, request.height));
    let jobs = studio.submit(requests, Source::Openai)?;
    let jobs = studio.wait(&jobs, call.gone);
    let host = call.header("host").unwrap_or_default();
    let mut data = Vec::new();
    for job in &jobs {
        if let Some(error) = &job.error {
            let error_of = ApiError::new(500, error.code, error.message.clone());
            return Err(match &error.hint {
                Some(hint) => error_of.hint(hint.clone()),
                None => error_of,
            });
        }
        let Some(id) = job.picture.as_deref().filter(|_| job.state == JobState::Done) else {
            return Err(ApiError::new(409, "cancelled", "the picture was cancelled"));
        };
        // Both, unless one is asked for: clients look for either.
        let mut entry = Map::new();
        if wanted != Some("b64_json") {
            entry.insert("url".to_owned(), format!("http://{host}/outputs/{}.png", crate::target::encode(id)).into());
        }
        if wanted != Some("url") {
            let png = studio.output(id).map_err(|error| {
                ApiError::new(500, "unreadable", format!("the picture was drawn but cannot be read: {error}"))
            })?;
            entry.insert("b64_json".to_owned(), STANDARD.encode(png).into());
        }
        data.push(Value::Object(entry));
    }
    Ok(Reply::json(
        200,
        &json!({
            "created": crate::clock::now(), "data": data, "background": "opaque", "output_format": "png",
            "quality": "auto", "size": size, "usage": usage(),
        }),
    ))
}
