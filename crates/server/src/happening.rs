//! What listeners are told.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::job::Job;
use crate::picture::Picture;
use crate::queue::Line;

/// One event. The page gets it as a server-sent event; other dialects write it in their own words.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Happening {
    /// The first one of a subscription: what runs and what waits.
    Hello(Line),
    /// A job came, began or ended.
    Job(Job),
    /// The running job got further.
    Progress(JobProgress),
    /// The order of the waiting jobs changed.
    Line(Line),
    /// A picture came or changed.
    Picture(Picture),
    /// The picture with this id is gone from the history.
    Removed(String),
}

/// How far the running job is.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct JobProgress {
    /// The job.
    pub(crate) id: String,
    /// Steps done.
    pub(crate) step: u32,
    /// Steps in all.
    pub(crate) steps: u32,
    /// Guessed from the steps so far; `None` until two are done.
    pub(crate) seconds_left: Option<f64>,
    /// A small PNG of the picture so far.
    pub(crate) preview_png: Option<Vec<u8>>,
}

#[derive(Serialize)]
struct WireProgress<'a> {
    id: &'a str,
    step: u32,
    steps: u32,
    seconds_left: Option<f64>,
    /// A `data:` URL.
    preview: Option<String>,
}

#[derive(Serialize)]
struct WireRemoved<'a> {
    id: &'a str,
}

impl Happening {
    /// Whether a listener can do without it.
    pub(crate) fn is_progress(&self) -> bool {
        matches!(self, Self::Progress(_))
    }

    /// The wire text of a server-sent event, with its blank line.
    pub(crate) fn sse(&self) -> String {
        match self {
            Self::Hello(line) => sse("hello", line),
            Self::Job(job) => sse("job", job),
            Self::Line(line) => sse("line", line),
            Self::Picture(picture) => sse("picture", picture),
            Self::Removed(id) => sse("removed", &WireRemoved { id }),
            Self::Progress(JobProgress { id, step, steps, seconds_left, preview_png }) => {
                let preview = preview_png.as_ref().map(|png| format!("data:image/png;base64,{}", STANDARD.encode(png)));
                sse("progress", &WireProgress { id, step: *step, steps: *steps, seconds_left: *seconds_left, preview })
            }
        }
    }
}

/// The wire text of one event; JSON holds no raw line breaks.
pub(crate) fn sse(name: &str, data: &impl Serialize) -> String {
    let data = serde_json::to_string(data).unwrap_or_else(|_| "null".to_owned());
    format!("event: {name}\ndata: {data}\n\n")
}
