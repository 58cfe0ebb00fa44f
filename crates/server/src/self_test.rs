//! The last self-test's report, and drawing its picture again behind the server's seal.

use std::sync::Mutex;

use serde_json::{Value, json};

use crate::api_error::ApiError;
use crate::job::{Job, JobState, Source};
use crate::lock::lock;
use crate::studio::Studio;

/// Where its picture is served.
pub(crate) const PICTURE: &str = "/api/v1/self-test/picture.png";

/// What is known about self-tests.
#[derive(Default)]
pub(crate) struct SelfTest {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    report: Option<Value>,
    picture: Option<Vec<u8>>,
    /// The job of one under way.
    job: Option<String>,
}

impl SelfTest {
    /// Starts with what the program found.
    pub(crate) fn new(report: Option<Value>, picture: Option<Vec<u8>>) -> Self {
        Self { state: Mutex::new(State { report, picture, job: None }) }
    }

    /// Orders the picture again, as the next one to be drawn.
    ///
    /// # Errors
    /// 503 when the engine has nothing to test with; whatever an order is refused with.
    pub(crate) fn again(&self, studio: &Studio) -> Result<Vec<Job>, ApiError> {
        let request = studio.generate.self_test().map_err(|error| {
            ApiError::new(503, "no_self_test", format!("the self-test cannot be run: {error}"))
                .hint(error.hint().unwrap_or_else(|| "run `fieldforge selftest`".to_owned()))
        })?;
        let mut jobs = studio.submit(vec![request], Source::Page)?;
        for job in &mut jobs {
            lock(&self.state).job = Some(job.id.clone());
            // It may already be running.
            if let Ok(moved) = studio.queue.move_to(&job.id, 1) {
                *job = moved;
            }
        }
        Ok(jobs)
    }

    /// The report, with one under way judged if it is over.
    pub(crate) fn report(&self, studio: &Studio) -> Option<Value> {
        let mut state = lock(&self.state);
        let mut again = Value::Null;
        if let Some(id) = state.job.clone() {
            let job = studio.queue.find(&id);
            again = json!({ "job": id, "state": job.as_ref().map(|job| job.state), "error": null });
            let picture = job.as_ref().and_then(|job| job.picture.clone());
            match (job.map(|job| (job.state, job.error)), picture) {
                (Some((JobState::Done, _)), Some(picture)) => {
                    let judged = studio.history.bytes(&picture).map_err(|error| error.to_string()).and_then(|png| {
                        let report = studio.generate.judge_self_test(&png).map_err(|error| error.to_string())?;
                        Ok((report, png))
                    });
                    match judged {
                        Ok((report, png)) => {
                            state.report = Some(report);
                            state.picture = Some(png);
                            state.job = None;
                        }
                        Err(message) => {
                            again["error"] = json!({ "code": "not_judged", "message": message, "hint": null })
                        }
                    }
                }
                (Some((JobState::Failed | JobState::Cancelled, error)), _) => again["error"] = json!(error),
                _ => {}
            }
        }
        let mut report = state.report.clone().or_else(|| again.is_object().then(|| json!({})))?;
        if let Value::Object(fields) = &mut report {
            fields.insert("picture_url".to_owned(), state.picture.as_ref().map_or(Value::Null, |_| PICTURE.into()));
            if again.is_object() {
                fields.insert("again".to_owned(), again);
            }
        }
        Some(report)
    }

    /// The picture, a PNG file.
    pub(crate) fn picture(&self) -> Option<Vec<u8>> {
        lock(&self.state).picture.clone()
    }
}
