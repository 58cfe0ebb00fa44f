//! Workflows that were posted, and the jobs that draw them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::job::{Job, JobState};
use crate::lock::lock;
use crate::studio::Studio;

/// Posted workflows that are remembered.
const REMEMBERED: usize = 500;
/// Bytes of all remembered workflows together.
const MAX_BYTES: usize = 64 << 20;

/// One posted workflow.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) id: String,
    pub(crate) number: u64,
    pub(crate) client: Option<String>,
    pub(crate) prompt: Value,
    pub(crate) extra: Value,
    /// Length of both as JSON.
    pub(crate) bytes: usize,
    pub(crate) outputs: Vec<RunOutput>,
    pub(crate) created: u64,
}

/// A node that keeps pictures, and what is drawn for it.
#[derive(Debug)]
pub(crate) struct RunOutput {
    pub(crate) node: String,
    pub(crate) class: String,
    /// All nodes that it needs, each before those that need it; itself last.
    pub(crate) path: Vec<String>,
    /// The node that takes the time.
    pub(crate) at_work: String,
    pub(crate) jobs: Vec<String>,
}

/// How a run ended or stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Pending,
    Running,
    Success,
    Error,
    Interrupted,
}

impl Run {
    pub(crate) fn jobs(&self) -> impl Iterator<Item = &String> {
        self.outputs.iter().flat_map(|output| &output.jobs)
    }

    /// Where it stands; a job that nobody remembers is taken for cancelled.
    pub(crate) fn standing(&self, studio: &Studio) -> Standing {
        let states: Vec<JobState> =
            self.jobs().map(|id| studio.queue.find(id).map_or(JobState::Cancelled, |job| job.state)).collect();
        let has = |state| states.contains(&state);
        match () {
            () if has(JobState::Failed) => Standing::Error,
            () if has(JobState::Running) => Standing::Running,
            () if has(JobState::Waiting) && has(JobState::Done) => Standing::Running,
            () if has(JobState::Waiting) => Standing::Pending,
            () if has(JobState::Cancelled) => Standing::Interrupted,
            () => Standing::Success,
        }
    }

    /// The pictures of an output that are done.
    pub(crate) fn images(&self, output: &RunOutput, studio: &Studio) -> Vec<Value> {
        let kind = if output.class == "PreviewImage" { "temp" } else { "output" };
        let done = output.jobs.iter().filter_map(|id| studio.queue.find(id)?.picture);
        done.map(|id| json!({ "filename": format!("{id}.png"), "subfolder": "", "type": kind })).collect()
    }

    /// `outputs` of the history.
    pub(crate) fn pictures(&self, studio: &Studio) -> Map<String, Value> {
        let images = self.outputs.iter().map(|output| (output, self.images(output, studio)));
        images
            .filter(|(_, images)| !images.is_empty())
            .map(|(output, images)| (output.node.clone(), json!({ "images": images })))
            .collect()
    }

    /// The first job that failed, and its output.
    pub(crate) fn failed(&self, studio: &Studio) -> Option<(&RunOutput, Job)> {
        self.outputs.iter().find_map(|output| {
            let failed = output.jobs.iter().filter_map(|id| studio.queue.find(id));
            failed.into_iter().find(|job| job.state == JobState::Failed).map(|job| (output, job))
        })
    }

    /// ComfyUI's tuple of a queue.
    pub(crate) fn tuple(&self) -> Value {
        let outputs: Vec<&str> = self.outputs.iter().map(|output| output.node.as_str()).collect();
        json!([self.number, self.id, self.prompt, self.extra, outputs])
    }

    /// What a picture's file carries of it: names and texts in ASCII.
    pub(crate) fn texts(&self) -> Vec<(String, String)> {
        let mut texts = vec![("prompt".to_owned(), ascii(&self.prompt))];
        if let Some(Value::Object(extra)) = self.extra.get("extra_pnginfo") {
            texts.extend(extra.iter().map(|(name, value)| (name.clone(), ascii(value))));
        }
        texts
    }
}

/// JSON as Python writes it by default: everything beyond ASCII is escaped.
fn ascii(value: &Value) -> String {
    let mut said = String::new();
    for letter in value.to_string().chars() {
        if letter.is_ascii() {
            said.push(letter);
        } else {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                said.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    said
}

/// All remembered runs, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    all: Mutex<VecDeque<Arc<Run>>>,
}

impl Runs {
    /// Makes a run while nobody can ask for it, so that no job of it begins unknown.
    ///
    /// # Errors
    /// What `make` says; nothing is remembered then.
    pub(crate) fn add<E>(&self, make: impl FnOnce(u64) -> Result<Run, E>) -> Result<Arc<Run>, E> {
        let mut all = lock(&self.all);
        let number = all.back().map_or(0, |run| run.number + 1);
        let run = Arc::new(make(number)?);
        all.push_back(Arc::clone(&run));
        while all.len() > REMEMBERED || (all.len() > 1 && all.iter().map(|run| run.bytes).sum::<usize>() > MAX_BYTES) {
            all.pop_front();
        }
        Ok(run)
    }

    pub(crate) fn all(&self) -> Vec<Arc<Run>> {
        lock(&self.all).iter().cloned().collect()
    }

    pub(crate) fn find(&self, id: &str) -> Option<Arc<Run>> {
        lock(&self.all).iter().find(|run| run.id == id).cloned()
    }

    pub(crate) fn of_job(&self, job: &str) -> Option<Arc<Run>> {
        lock(&self.all).iter().rev().find(|run| run.jobs().any(|id| id == job)).cloned()
    }

    /// Forgets runs; their pictures stay.
    pub(crate) fn forget(&self, gone: impl Fn(&Run) -> bool) {
        lock(&self.all).retain(|run| !gone(run));
    }
}

/// Milliseconds since 1970.
pub(crate) fn now() -> u64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(time.as_millis()).unwrap_or_default()
}
