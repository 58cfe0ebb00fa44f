//! What waits, runs and is over.

use serde_json::{Map, Value, json};

use super::runs::Standing;
use super::{Comfy, body, jobs, wrong_method};
use crate::api_error::ApiError;
use crate::http::{Call, Reply};
use crate::job::Source;
use crate::studio::Studio;
use crate::target::Target;

/// Most bytes of such a request.
const MAX_BODY: u64 = 1 << 20;

/// How many pictures are yet to come.
pub(crate) fn status(studio: &Studio) -> Value {
    let line = studio.queue.line();
    json!({ "exec_info": { "queue_remaining": line.waiting.len() + usize::from(line.running.is_some()) } })
}

pub(crate) fn answer(
    comfy: &Comfy,
    studio: &Studio,
    parts: &[&str],
    target: &Target,
    call: &mut Call<'_>,
) -> Result<Reply, ApiError> {
    let method = call.method.clone();
    let found = match (parts, method.as_str()) {
        (["queue"], "GET") => queue(comfy, studio),
        (["queue"], "POST") => {
            let order = body(call, MAX_BODY)?;
            let named = ids(&order, "delete");
            let clear = order.get("clear").and_then(Value::as_bool) == Some(true);
            for run in comfy.runs.all() {
                let waits = run.standing(studio) == Standing::Pending;
                if waits && (clear || named.contains(&run.id)) {
                    jobs::cancel(&run, studio);
                }
            }
            json!({})
        }
        (["history"], "GET") => history(comfy, studio, target),
        (["history", id], "GET") => {
            let found = comfy.runs.find(id).map(|run| (run.standing(studio), run));
            let over = found.filter(|(standing, _)| is_over(*standing));
            let entry = over.map(|(standing, run)| (run.id.clone(), jobs::history(&run, standing, studio)));
            Value::Object(entry.into_iter().collect())
        }
        (["history"], "POST") => {
            let order = body(call, MAX_BODY)?;
            let named = ids(&order, "delete");
            let clear = order.get("clear").and_then(Value::as_bool) == Some(true);
            comfy.runs.forget(|run| (clear || named.contains(&run.id)) && is_over(run.standing(studio)));
            json!({})
        }
        (["interrupt"], "POST") => {
            let order = body(call, MAX_BODY)?;
            interrupt(comfy, studio, order.get("prompt_id").and_then(Value::as_str));
            json!({})
        }
        // Models stay where they lie on the disk; there is nothing to free.
        (["free"], "POST") => json!({}),
        (["jobs"], "GET") => listed(comfy, studio, target),
        (["jobs", "cancel"], "POST") => {
            let order = body(call, MAX_BODY)?;
            let named = ids(&order, "job_ids");
            let cancelled = named.iter().filter_map(|id| comfy.runs.find(id));
            json!({ "cancelled": cancelled.map(|run| { jobs::cancel(&run, studio); run.id.clone() }).collect::<Vec<_>>() })
        }
        (["jobs", id], "GET") => match comfy.runs.find(id) {
            Some(run) => jobs::job(&run, run.standing(studio), studio, true),
            None => return Err(ApiError::new(404, "unknown_job", "there is no such job")),
        },
        (["jobs", id, "cancel"], "POST") => match comfy.runs.find(id) {
            Some(run) => {
                jobs::cancel(&run, studio);
                json!({ "cancelled": [run.id] })
            }
            None => return Err(ApiError::new(404, "unknown_job", "there is no such job")),
        },
        (["queue" | "history"], _) => return Err(wrong_method(call, "GET, POST")),
        (["history" | "jobs", _] | ["jobs"], _) => return Err(wrong_method(call, "GET")),
        (["interrupt" | "free"] | ["jobs", _, "cancel"], _) => return Err(wrong_method(call, "POST")),
        _ => return Err(ApiError::not_found(&parts.join("/"))),
    };
    Ok(Reply::json(200, &found))
}

fn is_over(standing: Standing) -> bool {
    !matches!(standing, Standing::Pending | Standing::Running)
}

fn ids(order: &Value, name: &str) -> Vec<String> {
    let all = order.get(name).and_then(Value::as_array).into_iter().flatten();
    all.filter_map(|id| id.as_str().map(str::to_owned)).collect()
}

fn queue(comfy: &Comfy, studio: &Studio) -> Value {
    let (mut running, mut pending) = (Vec::new(), Vec::new());
    for run in comfy.runs.all() {
        match run.standing(studio) {
            Standing::Running => running.push(run.tuple()),
            Standing::Pending => pending.push(run.tuple()),
            Standing::Success | Standing::Error | Standing::Interrupted => {}
        }
    }
    json!({ "queue_running": running, "queue_pending": pending })
}

fn history(comfy: &Comfy, studio: &Studio, target: &Target) -> Value {
    let most = target.query("max_items").and_then(|text| text.parse().ok()).unwrap_or(usize::MAX);
    let all = comfy.runs.all();
    let mut found = Map::new();
    for run in all.iter().rev() {
        let standing = run.standing(studio);
        if found.len() < most && is_over(standing) {
            found.insert(run.id.clone(), jobs::history(run, standing, studio));
        }
    }
    found.into()
}

/// Stops what runs, if it came in this dialect and, with `id`, belongs to that run.
fn interrupt(comfy: &Comfy, studio: &Studio, id: Option<&str>) {
    let Some(running) = studio.queue.line().running.filter(|job| job.source == Source::Comfyui) else { return };
    match comfy.runs.of_job(&running.id) {
        Some(run) if id.is_none_or(|id| id == run.id) => jobs::cancel(&run, studio),
        Some(_) => {}
        None => {
            // Ordered before the program was started again.
            let _ = studio.queue.cancel(&running.id, std::time::Duration::ZERO);
        }
    }
}

fn listed(comfy: &Comfy, studio: &Studio, target: &Target) -> Value {
    let wanted: Vec<&str> = target.query("status").map(|text| text.split(',').collect()).unwrap_or_default();
    let number = |name, otherwise: usize| target.query(name).and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let (limit, offset) = (number("limit", 200).min(1000), number("offset", 0));
    let mut all: Vec<_> = comfy.runs.all().into_iter().map(|run| (run.standing(studio), run)).collect();
    all.retain(|(standing, _)| wanted.is_empty() || wanted.contains(&jobs::status(*standing)));
    if target.query("sort_order") != Some("asc") {
        all.reverse();
    }
    let total = all.len();
    let page = all.iter().skip(offset).take(limit);
    let jobs: Vec<Value> = page.map(|(standing, run)| jobs::job(run, *standing, studio, false)).collect();
    let has_more = offset.saturating_add(jobs.len()) < total;
    json!({
        "jobs": jobs,
        "pagination": { "offset": offset, "limit": limit, "total": total, "has_more": has_more },
    })
}
