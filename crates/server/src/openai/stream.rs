//! Partial pictures and finished ones as server-sent events.

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::refusal;
use super::usage;
use crate::api_error::ApiError;
use crate::connection::has_gone;
use crate::events::{EventStream, Next};
use crate::happening::{Happening, sse};
use crate::history::History;
use crate::job::{Job, JobState};
use crate::queue::Queue;

/// A client that takes nothing for this long is given up.
const WRITE_TIME: Duration = Duration::from_secs(10);

/// The pictures of one call, on their way.
pub(crate) struct Stream {
    pub(crate) queue: Arc<Queue>,
    pub(crate) history: Arc<History>,
    pub(crate) events: EventStream,
    pub(crate) jobs: Vec<Job>,
    /// `image_generation` or `image_edit`.
    pub(crate) name: &'static str,
    /// Partial pictures that are wanted of each, at most.
    pub(crate) partial: u64,
}

impl Stream {
    /// Tells until all are over; cancels what is left when the client goes.
    pub(crate) fn tell(self, stream: &TcpStream, stop: &AtomicBool) {
        let told = stream.set_write_timeout(Some(WRITE_TIME)).and_then(|()| self.follow(stream, stop));
        if told.is_err() {
            for job in &self.jobs {
                // Those that are over already stay as they are.
                let _ = self.queue.cancel(&job.id, Duration::ZERO);
            }
        }
    }

    fn follow(&self, mut stream: &TcpStream, stop: &AtomicBool) -> io::Result<()> {
        let mut open: Vec<(&Job, u64)> = self.jobs.iter().map(|job| (job, 0)).collect();
        while !open.is_empty() {
            // Steps without a picture write nothing that could fail.
            if stop.load(Ordering::Relaxed) || has_gone(stream) {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            match self.events.next(Duration::from_millis(250)) {
                Next::Event(event) => match &*event {
                    Happening::Progress(progress) => {
                        let found = open.iter_mut().find(|(job, _)| job.id == progress.id);
                        if let (Some((job, sent)), Some(png)) = (found, &progress.preview_png)
                            && *sent < self.partial
                        {
                            let mut event = self.picture("partial_image", job, png);
                            event["partial_image_index"] = (*sent).into();
                            *sent += 1;
                            self.write(stream, "partial_image", &event)?;
                        }
                    }
                    Happening::Job(job) if job.is_over() && open.iter().any(|(one, _)| one.id == job.id) => {
                        open.retain(|(one, _)| one.id != job.id);
                        self.end(stream, job)?;
                    }
                    _ => {}
                },
                Next::Quiet => {}
                Next::Over => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        stream.flush()
    }

    fn end(&self, mut stream: &TcpStream, job: &Job) -> io::Result<()> {
        let failed = |message: String| ApiError::new(500, "failed", message);
        let error = match (&job.picture, &job.error) {
            (Some(id), _) => match self.history.bytes(id) {
                Ok(png) => {
                    let mut event = self.picture("completed", job, &png);
                    event["usage"] = usage();
                    return self.write(stream, "completed", &event);
                }
                Err(error) => failed(format!("the picture was drawn but cannot be read: {error}")),
            },
            (None, Some(error)) => failed(error.message.clone()),
            (None, None) if job.state == JobState::Cancelled => {
                ApiError::new(409, "cancelled", "the picture was cancelled")
            }
            (None, None) => failed("there is no picture".to_owned()),
        };
        stream.write_all(sse("error", &refusal::body(&error)).as_bytes())
    }

    fn picture(&self, kind: &str, job: &Job, png: &[u8]) -> Value {
        json!({
            "type": format!("{}.{kind}", self.name), "b64_json": STANDARD.encode(png),
            "created_at": crate::clock::now(), "size": format!("{}x{}", job.settings.width, job.settings.height),
            "quality": "auto", "background": "opaque", "output_format": "png",
        })
    }

    fn write(&self, mut stream: &TcpStream, kind: &str, event: &Value) -> io::Result<()> {
        stream.write_all(sse(&format!("{}.{kind}", self.name), event).as_bytes())
    }
}
