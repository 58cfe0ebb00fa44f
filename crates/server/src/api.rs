//! The interface `/api/v1`, the pictures and the page: which address does what.

use std::time::UNIX_EPOCH;

use serde::Serialize;
use serde_json::Value;

use crate::api_error::ApiError;
use crate::generate_request::{MAX_SIDE, MAX_STEPS, MIN_SIDE, SIDE_MULTIPLE};
use crate::http::{Body, Call, Handler, Reply};
use crate::job::{Job, Source};
use crate::order::read_order;
use crate::picture_table::{Filter, Place};
use crate::queue::{Line, NotCancelled};
use crate::studio::{CANCEL_PATIENCE, Studio};
use crate::target::{Target, encode};
use crate::{ModelCard, PictureRef, gate, page, sdapi};

/// Most bytes of a request body: thousands of orders with prompts of their own.
const MAX_BODY: u64 = 4 << 20;
/// Most bytes of a picture that is sent.
pub(crate) const MAX_UPLOAD: u64 = 64 << 20;
/// Pictures of one page of the history, if the request names no number.
const PAGE: usize = 60;
/// Most pictures of one page of the history.
const MAX_PAGE: usize = 500;
/// Where the self-test's picture is served.
const SELF_TEST_PICTURE: &str = "/api/v1/self-test/picture.png";

/// Answers every request of the server.
pub(crate) struct Api {
    pub(crate) studio: Studio,
    /// What A1111's clients have under way.
    pub(crate) tasks: sdapi::Tasks,
}

#[derive(Serialize)]
struct Status<'a> {
    version: &'a str,
    models: Vec<ModelCard>,
    samplers: Vec<String>,
    schedulers: Vec<String>,
    queue: Line,
    limits: Limits,
    seal_level: Option<&'a str>,
}

#[derive(Serialize)]
struct Limits {
    max_side: u32,
    side_multiple: u32,
    min_side: u32,
    max_steps: u32,
}

#[derive(Serialize)]
struct Jobs {
    jobs: Vec<Job>,
}

#[derive(Serialize)]
struct Uploaded {
    picture: PictureRef,
}

#[derive(Serialize)]
struct Health {
    ok: bool,
}

impl Handler for Api {
    fn handle(&self, call: &mut Call<'_>) -> Reply {
        gate::harden(self.answer(call).unwrap_or_else(Reply::from))
    }
}

impl Api {
    fn answer(&self, call: &mut Call<'_>) -> Result<Reply, ApiError> {
        gate::check_host(call, self.studio.port)?;
        let reading = matches!(call.method.as_str(), "GET" | "HEAD");
        if !reading {
            gate::check_origin(call, self.studio.port)?;
        }
        let target = Target::parse(&call.target)?;
        let parts: Vec<&str> = target.parts.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["api", "v1", rest @ ..] => self.api(rest, &target, call),
            ["sdapi" | "internal" | "controlnet", ..] => Ok(sdapi::answer(&self.studio, &self.tasks, &target, call)),
            ["outputs", name] => {
                only_get(call, reading)?;
                self.output(name, &target, call)
            }
            _ => {
                only_get(call, reading)?;
                Ok(page::serve(&parts.join("/"), call))
            }
        }
    }

    fn api(&self, parts: &[&str], target: &Target, call: &mut Call<'_>) -> Result<Reply, ApiError> {
        let method = call.method.clone();
        let wrong = |allow| Err(ApiError::wrong_method(&shown(&method), &shown(&call.target), allow));
        let reading = matches!(method.as_str(), "GET" | "HEAD");
        match (parts, method.as_str()) {
            (["status"], _) if reading => Ok(self.status()),
            (["healthz"], _) if reading => Ok(Reply::json(200, &Health { ok: true })),
            (["seal"], _) if reading => Ok(Reply::json(200, &self.studio.facts.seal)),
            (["self-test"], _) if reading => self.self_test(),
            (["self-test", "picture.png"], _) if reading => match &self.studio.facts.self_test_picture {
                Some(png) => {
                    Ok(Reply::new(200, "image/png", Body::Bytes(png.clone())).header("Cache-Control", "no-cache"))
                }
                None => Err(ApiError::not_found(SELF_TEST_PICTURE)),
            },
            (["events"], "GET") => {
                gate::check_origin(call, self.studio.port)?;
                Ok(Reply::new(200, "text/event-stream; charset=utf-8", Body::Events(self.studio.queue.subscribe()))
                    .header("Cache-Control", "no-store"))
            }
            (["pictures"], _) if reading => self.pictures(target),
            (["uploads"], "POST") => self.upload(call),
            (["jobs", id], _) if reading => match self.studio.queue.find(id) {
                Some(job) => Ok(Reply::json(200, &job)),
                None => Err(no_job(id)),
            },
            (["generate"], "POST") => self.submit(call),
            (["jobs", id], "DELETE") => match self.studio.queue.cancel(id, CANCEL_PATIENCE) {
                Ok(job) => Ok(Reply::json(200, &job)),
                Err(NotCancelled::Unknown) => Err(no_job(id)),
                Err(NotCancelled::Over(job)) => {
                    Err(ApiError::new(409, "already_over", format!("the job `{}` is already over", job.id)))
                }
            },
            (["pictures", id], "DELETE") => match self.studio.history.remove(id) {
                Some(Ok(())) => Ok(Reply::empty(204)),
                Some(Err(error)) => {
                    Err(ApiError::new(500, "not_deleted", format!("the picture stays where it is: {error}")))
                }
                None => Err(no_picture(id)),
            },
            (["pictures", id, "restore"], "POST") => self.restore(id),
            (["status" | "healthz" | "seal" | "self-test" | "pictures"] | ["self-test", "picture.png"], _) => {
                wrong("GET, HEAD")
            }
            (["events"], _) => wrong("GET"),
            (["generate" | "uploads"] | ["pictures", _, "restore"], _) => wrong("POST"),
            (["jobs", _], _) => wrong("GET, HEAD, DELETE"),
            (["pictures", _], _) => wrong("DELETE"),
            _ => Err(ApiError::not_found(&shown(&call.target))),
        }
    }

    fn status(&self) -> Reply {
        Reply::json(
            200,
            &Status {
                version: &self.studio.version,
                models: self.studio.generate.models(),
                samplers: self.studio.generate.samplers(),
                schedulers: self.studio.generate.schedulers(),
                queue: self.studio.queue.short_line(),
                limits: Limits {
                    max_side: MAX_SIDE,
                    side_multiple: SIDE_MULTIPLE,
                    min_side: MIN_SIDE,
                    max_steps: MAX_STEPS,
                },
                seal_level: self.studio.facts.seal.get("level").and_then(Value::as_str),
            },
        )
    }

    fn self_test(&self) -> Result<Reply, ApiError> {
        let Some(report) = &self.studio.facts.self_test else {
            return Err(ApiError::new(404, "no_self_test", "no self-test was run on this installation")
                .hint("run `fieldforge selftest`"));
        };
        let mut report = report.clone();
        if let Value::Object(fields) = &mut report {
            let url = self.studio.facts.self_test_picture.as_ref().map(|_| Value::from(SELF_TEST_PICTURE));
            fields.insert("picture_url".to_owned(), url.unwrap_or(Value::Null));
        }
        Ok(Reply::json(200, &report))
    }

    fn submit(&self, call: &mut Call<'_>) -> Result<Reply, ApiError> {
        let kind = call.header("content-type").unwrap_or_default();
        let kind = kind.split_once(';').map_or(kind, |(kind, _)| kind).trim();
        // A page of another site cannot send this type without asking first, and is refused then.
        if !kind.eq_ignore_ascii_case("application/json") {
            return Err(ApiError::new(415, "wrong_content_type", "the body must be sent as application/json")
                .hint("send the header `Content-Type: application/json`"));
        }
        let body = call.read_body(MAX_BODY)?;
        let requests = read_order(&body, &*self.studio.generate)?;
        Ok(Reply::json(202, &Jobs { jobs: self.studio.submit(requests, Source::Page)? }))
    }

    /// Keeps a picture to start from.
    fn upload(&self, call: &mut Call<'_>) -> Result<Reply, ApiError> {
        let bytes = call.read_body(MAX_UPLOAD)?;
        Ok(Reply::json(201, &Uploaded { picture: self.studio.keep(&bytes)? }))
    }

    fn pictures(&self, target: &Target) -> Result<Reply, ApiError> {
        let limit = match target.query("limit") {
            None => PAGE,
            Some(text) => text.parse().ok().filter(|limit| (1..=MAX_PAGE).contains(limit)).ok_or_else(|| {
                ApiError::new(400, "out_of_range", format!("`limit` must be a number from 1 to {MAX_PAGE}"))
            })?,
        };
        let filter = Filter::default();
        match self.studio.history.page(&filter, target.query("before"), limit).map_err(unreadable)? {
            Some(page) => Ok(Reply::json(200, &page)),
            None => Err(no_picture(target.query("before").unwrap_or_default())),
        }
    }

    fn restore(&self, id: &str) -> Result<Reply, ApiError> {
        match self.studio.history.restore(id) {
            Ok(picture) => Ok(Reply::json(200, &picture)),
            Err(error) => Err(match error.kind() {
                std::io::ErrorKind::NotFound => {
                    ApiError::new(404, "not_in_trash", format!("there is no deleted picture `{}`", shown(id)))
                }
                std::io::ErrorKind::AlreadyExists => {
                    ApiError::new(409, "already_there", format!("the picture is not restored: {error}"))
                }
                _ => ApiError::new(500, "not_restored", format!("the picture is not restored: {error}")),
            }),
        }
    }

    fn output(&self, name: &str, target: &Target, call: &Call<'_>) -> Result<Reply, ApiError> {
        let id = name.strip_suffix(".png").ok_or_else(|| no_picture(name))?;
        // Only names that the index knows are opened: no path is ever made from the address.
        let (file, length) = match self.studio.history.open(Place::Folder, id) {
            None => return Err(no_picture(id)),
            Some(Ok(opened)) => opened,
            Some(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(ApiError::new(410, "gone", format!("the picture was taken away: {error}")));
            }
            Some(Err(error)) => {
                return Err(ApiError::new(500, "unreadable", format!("the picture cannot be read: {error}")));
            }
        };
        let modified = file.metadata().and_then(|metadata| metadata.modified()).unwrap_or(UNIX_EPOCH);
        let age = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let etag = format!("\"{length:x}-{age:x}\"");
        let reply = if page::matches(call, &etag) {
            Reply::empty(304)
        } else {
            Reply::new(200, "image/png", Body::File(file, length))
        };
        let reply = reply.header("ETag", etag).header("Cache-Control", "private, no-cache");
        Ok(match target.query("download") {
            Some("1") => {
                let plain: String = id
                    .chars()
                    .map(|letter| if letter.is_ascii_graphic() && letter != '"' { letter } else { '_' })
                    .collect();
                reply.header(
                    "Content-Disposition",
                    format!("attachment; filename=\"{plain}.png\"; filename*=UTF-8''{}.png", encode(id)),
                )
            }
            _ => reply,
        })
    }
}

fn only_get(call: &Call<'_>, reading: bool) -> Result<(), ApiError> {
    if reading { Ok(()) } else { Err(ApiError::wrong_method(&shown(&call.method), &shown(&call.target), "GET, HEAD")) }
}

/// The database gave no answer.
fn unreadable(error: rusqlite::Error) -> ApiError {
    ApiError::new(500, "database", format!("the server's database gave no answer: {error}"))
        .hint("try again; if it stays, stop the program and start it again")
}

fn no_job(id: &str) -> ApiError {
    ApiError::new(404, "unknown_job", format!("there is no job `{}`", shown(id)))
}

fn no_picture(id: &str) -> ApiError {
    ApiError::new(404, "unknown_picture", format!("there is no picture `{}`", shown(id)))
}

/// A foreign text cut short for a message.
fn shown(text: &str) -> String {
    if text.chars().count() <= 80 { text.to_owned() } else { text.chars().take(80).chain(['…']).collect() }
}
