//! Long work beside the drawing: checks of model files.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use serde::Serialize;

use crate::api_error::{ApiError, ErrorBody};
use crate::lock::lock;
use crate::{AssetKind, Generate, Verdict};

/// Tasks that run at once; more would only wait for the disk.
const AT_ONCE: usize = 2;
/// Tasks that are remembered.
const REMEMBERED: usize = 200;

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TaskState {
    Running,
    Done,
    Failed,
}

/// A check of a file.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Task {
    pub(crate) id: String,
    pub(crate) kind: AssetKind,
    pub(crate) name: String,
    pub(crate) state: TaskState,
    /// Bytes read.
    pub(crate) done: u64,
    /// Bytes in all.
    pub(crate) total: u64,
    pub(crate) verdict: Option<Verdict>,
    pub(crate) error: Option<ErrorBody>,
}

/// All tasks of this run.
pub(crate) struct Tasks {
    all: Arc<Mutex<Vec<Task>>>,
    next: Mutex<u64>,
    stop: Arc<AtomicBool>,
}

impl Tasks {
    /// Tasks break when `stop` is set.
    pub(crate) fn new(stop: Arc<AtomicBool>) -> Self {
        Self { all: Arc::default(), next: Mutex::new(1), stop }
    }

    pub(crate) fn find(&self, id: &str) -> Option<Task> {
        lock(&self.all).iter().find(|task| task.id == id).cloned()
    }

    /// Starts to check a file, or gives the check of it that is under way.
    ///
    /// # Errors
    /// 429 when enough checks are under way, 503 without a thread.
    pub(crate) fn check(&self, kind: AssetKind, name: &str, generate: Arc<dyn Generate>) -> Result<Task, ApiError> {
        let task = {
            let mut all = lock(&self.all);
            let running = |task: &&Task| task.state == TaskState::Running;
            if let Some(same) = all.iter().filter(running).find(|task| task.kind == kind && task.name == name) {
                return Ok(same.clone());
            }
            if all.iter().filter(running).count() >= AT_ONCE {
                return Err(ApiError::new(429, "busy", format!("{AT_ONCE} files are being checked already"))
                    .hint("wait until one of them is done"));
            }
            if all.len() >= REMEMBERED {
                all.remove(0);
            }
            let mut next = lock(&self.next);
            let id = format!("t{next}");
            *next += 1;
            let (state, name) = (TaskState::Running, name.to_owned());
            let task = Task { id, kind, name, state, done: 0, total: 0, verdict: None, error: None };
            all.push(task.clone());
            task
        };
        let (all, stop, id, name) = (Arc::clone(&self.all), Arc::clone(&self.stop), task.id.clone(), task.name.clone());
        let change = move |change: &mut dyn FnMut(&mut Task)| {
            if let Some(task) = lock(&all).iter_mut().find(|task| task.id == id) {
                change(task);
            }
        };
        let failed = change.clone();
        let started = thread::Builder::new().name("check".to_owned()).spawn(move || {
            let mut progress = |done, total| {
                change(&mut |task| (task.done, task.total) = (done, total));
                if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let result = generate.check_file(kind, &name, &mut progress);
            change(&mut |task| match &result {
                Ok(verdict) => {
                    task.state = TaskState::Done;
                    task.verdict = Some(verdict.clone());
                }
                Err(error) => {
                    task.state = TaskState::Failed;
                    let (message, hint) = (error.to_string(), error.hint());
                    task.error = Some(ErrorBody { code: "check_failed", message, hint });
                }
            });
        });
        if let Err(error) = started {
            failed(&mut |task| task.state = TaskState::Failed);
            return Err(ApiError::new(503, "no_thread", format!("the check cannot be started: {error}")));
        }
        Ok(task)
    }
}
