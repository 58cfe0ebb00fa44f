//! One wished picture on its way through the queue.

use serde::Serialize;

use crate::GenerateRequest;
use crate::api_error::ErrorBody;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JobState {
    Waiting,
    Running,
    Done,
    Failed,
    Cancelled,
}

/// Which dialect a job came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    /// The page, or a program that speaks our own interface.
    Page,
    /// AUTOMATIC1111's.
    Sdapi,
    /// OpenAI's.
    Openai,
    /// ComfyUI's.
    Comfyui,
}

/// A job as the page sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Job {
    pub(crate) id: String,
    /// The same for jobs that were ordered together.
    pub(crate) batch: String,
    pub(crate) source: Source,
    pub(crate) state: JobState,
    pub(crate) settings: GenerateRequest,
    /// Steps done.
    pub(crate) step: u32,
    /// Steps in all.
    pub(crate) steps: u32,
    /// The finished picture's id.
    pub(crate) picture: Option<String>,
    pub(crate) error: Option<ErrorBody>,
    /// 1 for the next to run, counting up; 0 when it no longer waits.
    pub(crate) position: usize,
}

impl Job {
    /// Whether nothing more will happen to it.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state, JobState::Done | JobState::Failed | JobState::Cancelled)
    }
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The picture's id.
    Done(String),
    Failed(ErrorBody),
    Cancelled,
}
