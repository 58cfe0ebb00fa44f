//! Ordering pictures, and the line they wait in.

use serde::{Deserialize, Serialize};

use crate::api::{Api, json_body, no_answer, parse, shown};
use crate::api_error::ApiError;
use crate::http::{Call, Reply};
use crate::job::{Job, JobState, Source};
use crate::job_table::number;
use crate::order::read_order;
use crate::queue::{MAX_WAITING, NotCancelled};
use crate::route::Ask;
use crate::studio::CANCEL_PATIENCE;

/// Most bytes of an order: thousands of pictures with prompts of their own.
const MAX_ORDER: u64 = 4 << 20;
/// Jobs of one page of a list, if the request names no number.
const PAGE: usize = 100;
/// Most jobs of one page.
const MAX_PAGE: usize = 1000;

/// Jobs that were ordered together.
#[derive(Serialize)]
pub(crate) struct Jobs {
    pub(crate) jobs: Vec<Job>,
}

#[derive(Serialize)]
struct JobPage {
    jobs: Vec<Job>,
    /// Whether older ones follow.
    more: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Move {
    position: usize,
}

pub(crate) fn generate(api: &Api, _: &Ask<'_>, call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let body = json_body(call, MAX_ORDER)?;
    let requests = read_order(&body, &*api.studio.generate)?;
    Ok(Reply::json(202, &Jobs { jobs: api.studio.submit(requests, Source::Page)? }))
}

pub(crate) fn list(api: &Api, ask: &Ask<'_>, _: &mut Call<'_>) -> Result<Reply, ApiError> {
    let states = match ask.target.query("state") {
        None | Some("") => JobState::ALL.to_vec(),
        Some(words) => words.split(',').map(state).collect::<Result<Vec<_>, _>>()?,
    };
    let limit = ask.number("limit", 1, MAX_PAGE)?.unwrap_or(PAGE);
    let before = match ask.target.query("before") {
        None => None,
        Some(id) => Some(number(id).ok_or_else(|| unknown(id))?),
    };
    let (jobs, more) = api.studio.queue.jobs(&states, ask.target.query("batch"), before, limit).map_err(no_answer)?;
    Ok(Reply::json(200, &JobPage { jobs, more }))
}

fn state(word: &str) -> Result<JobState, ApiError> {
    JobState::named(word).ok_or_else(|| {
        ApiError::new(400, "out_of_range", format!("`{}` is no state of a job", shown(word)))
            .hint(format!("known: {}", JobState::ALL.map(JobState::word).join(", ")))
    })
}

pub(crate) fn one(api: &Api, ask: &Ask<'_>, _: &mut Call<'_>) -> Result<Reply, ApiError> {
    let job = api.studio.queue.find(ask.name()).ok_or_else(|| unknown(ask.name()))?;
    Ok(Reply::json(200, &job))
}

pub(crate) fn cancel(api: &Api, ask: &Ask<'_>, _: &mut Call<'_>) -> Result<Reply, ApiError> {
    let job = api.studio.queue.cancel(ask.name(), CANCEL_PATIENCE).map_err(|why| refused(ask.name(), why))?;
    Ok(Reply::json(200, &job))
}

pub(crate) fn change_place(api: &Api, ask: &Ask<'_>, call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let Move { position } = parse(&json_body(call, 1024)?)?;
    if !(1..=MAX_WAITING).contains(&position) {
        let message = format!("`position` is {position}: it must be from 1 to {MAX_WAITING}");
        return Err(ApiError::new(400, "out_of_range", message).hint("1 is the next to be drawn"));
    }
    api.studio.queue.move_to(ask.name(), position).map_err(|why| refused(ask.name(), why))?;
    Ok(Reply::json(200, &api.studio.queue.short_line()))
}

pub(crate) fn cancel_batch(api: &Api, ask: &Ask<'_>, _: &mut Call<'_>) -> Result<Reply, ApiError> {
    if api.studio.queue.cancel_batch(ask.name()) {
        return Ok(Reply::json(200, &api.studio.queue.short_line()));
    }
    Err(ApiError::new(
        404,
        "unknown_batch",
        format!("no picture of the batch `{}` waits or is drawn", shown(ask.name())),
    ))
}

pub(crate) fn line(api: &Api, _: &Ask<'_>, _: &mut Call<'_>) -> Result<Reply, ApiError> {
    Ok(Reply::json(200, &api.studio.queue.short_line()))
}

pub(crate) fn clear(api: &Api, ask: &Ask<'_>, call: &mut Call<'_>) -> Result<Reply, ApiError> {
    api.studio.queue.clear();
    line(api, ask, call)
}

pub(crate) fn pause(api: &Api, ask: &Ask<'_>, call: &mut Call<'_>) -> Result<Reply, ApiError> {
    api.studio.queue.set_paused(true);
    line(api, ask, call)
}

pub(crate) fn resume(api: &Api, ask: &Ask<'_>, call: &mut Call<'_>) -> Result<Reply, ApiError> {
    api.studio.queue.set_paused(false);
    line(api, ask, call)
}

fn refused(id: &str, why: NotCancelled) -> ApiError {
    match why {
        NotCancelled::Unknown => unknown(id),
        NotCancelled::Over(job) => ApiError::new(409, "already_over", format!("the job `{}` is already over", job.id)),
    }
}

fn unknown(id: &str) -> ApiError {
    ApiError::new(404, "unknown_job", format!("there is no such job waiting: `{}`", shown(id)))
}
