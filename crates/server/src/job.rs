//! One wished picture on its way through the queue.

use serde::Serialize;

use crate::GenerateRequest;
use crate::api_error::ErrorBody;

/// Where a job stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JobState {
    #[default]
    Waiting,
    Running,
    Done,
    Failed,
    Cancelled,
}

/// Which dialect a job came in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    #[default]
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
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
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
    /// What is perhaps not as the person meant it, one sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) remarks: Vec<String>,
    /// 1 for the next to run, counting up; 0 when it no longer waits.
    pub(crate) position: usize,
    /// When it was ordered, as ISO 8601.
    pub(crate) created: String,
    /// When it was over.
    pub(crate) finished: Option<String>,
}

impl JobState {
    pub(crate) const ALL: [Self; 5] = [Self::Waiting, Self::Running, Self::Done, Self::Failed, Self::Cancelled];

    /// Its word in answers and in the database.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state that is called so.
    pub(crate) fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

impl Source {
    /// Its word in answers and in the database.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Sdapi => "sdapi",
            Self::Openai => "openai",
            Self::Comfyui => "comfyui",
        }
    }

    /// The source that is called so.
    pub(crate) fn named(word: &str) -> Option<Self> {
        [Self::Page, Self::Sdapi, Self::Openai, Self::Comfyui].into_iter().find(|source| source.word() == word)
    }

    /// Whether its clients hang on the line until the picture is there, so that nobody waits for it after a restart.
    pub(crate) fn waits(self) -> bool {
        matches!(self, Self::Sdapi | Self::Openai)
    }
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
    /// The picture's id, and what there is to say about it.
    Done {
        picture: String,
        remarks: Vec<String>,
    },
    Failed(ErrorBody),
    Cancelled,
}
