//! What every dialect works with: the queue, the history, the uploads and the engine.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::api_error::ApiError;
use crate::check::check;
use crate::events::EventStream;
use crate::history::History;
use crate::job::{Job, Source};
use crate::lan::Lan;
use crate::queue::{Full, MAX_WAITING, Queue};
use crate::remarks::Remarks;
use crate::self_test::SelfTest;
use crate::tasks::Tasks;
use crate::thumbnails::Thumbnails;
use crate::uploads::Uploads;
use crate::{Facts, Generate, GenerateRequest, PictureRef, Pictures};

/// How often a waiting answer looks whether its client is still there.
const LOOK: Duration = Duration::from_millis(250);
/// How long a cancellation waits for the engine to let go.
pub(crate) const CANCEL_PATIENCE: Duration = Duration::from_millis(300);

/// The rooms behind every address.
pub(crate) struct Studio {
    pub(crate) port: u16,
    pub(crate) version: String,
    pub(crate) queue: Arc<Queue>,
    pub(crate) history: Arc<History>,
    pub(crate) uploads: Arc<Uploads>,
    pub(crate) generate: Arc<dyn Generate>,
    pub(crate) facts: Facts,
    pub(crate) remarks: Remarks,
    pub(crate) thumbnails: Thumbnails,
    pub(crate) tasks: Tasks,
    pub(crate) self_test: SelfTest,
    pub(crate) started: Instant,
    /// The way in for other devices.
    pub(crate) lan: Lan,
}

impl Studio {
    /// Checks all requests and puts them at the end of the queue as one batch, or none of them.
    ///
    /// # Errors
    /// 400 when one is out of bounds, 404 when a picture that it names is not there, 429 when they do not fit.
    pub(crate) fn submit(&self, requests: Vec<GenerateRequest>, source: Source) -> Result<Vec<Job>, ApiError> {
        for request in &requests {
            check(request, &*self.generate)?;
            for picture in request.picture_refs() {
                self.exists(picture)?;
            }
        }
        let count = requests.len();
        self.queue.submit(requests, source).map_err(|Full { room }| {
            let waiting = MAX_WAITING - room;
            let message =
                format!("{waiting} pictures already wait and {count} more do not fit: at most {MAX_WAITING} wait");
            ApiError::new(429, "queue_full", message).hint("wait for some of them, or cancel them")
        })
    }

    /// Waits until all these jobs are over and gives them as they ended, in their order. When the client is `gone` they
    /// are cancelled.
    pub(crate) fn wait(&self, jobs: &[Job], gone: &dyn Fn() -> bool) -> Vec<Job> {
        loop {
            let over = self.queue.all_over(jobs, LOOK);
            if let Some(over) = over {
                return over;
            }
            if gone() {
                for job in jobs {
                    // Those that are over already stay as they are.
                    let _ = self.queue.cancel(&job.id, Duration::ZERO);
                }
            }
        }
    }

    /// The file of a picture of the history.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when there is none.
    pub(crate) fn output(&self, id: &str) -> io::Result<Vec<u8>> {
        self.history.bytes(id)
    }

    /// Keeps a picture that a client sent.
    ///
    /// # Errors
    /// 400 when it is no picture that the engine reads, 507 when it cannot be kept.
    pub(crate) fn keep(&self, bytes: &[u8]) -> Result<PictureRef, ApiError> {
        self.generate.read_picture(bytes).map_err(|error| {
            ApiError::new(400, "no_picture", format!("what was sent cannot be used as a picture: {error}"))
                .hint(error.hint().unwrap_or_else(|| "send a PNG, JPEG or WebP file".to_owned()))
        })?;
        self.uploads.keep(bytes).map_err(|error| {
            ApiError::new(507, "not_saved", format!("the picture cannot be kept: {error}"))
                .hint("make room on the disk that holds the home folder")
        })
    }

    /// Starts listening to what happens; nothing falls between the first event and what follows.
    pub(crate) fn subscribe(&self) -> EventStream {
        self.queue.subscribe()
    }

    fn exists(&self, picture: &PictureRef) -> Result<(), ApiError> {
        let there = match picture {
            PictureRef::Upload(digest) => self.uploads.contains(digest),
            PictureRef::Output(id) => self.history.contains(id),
        };
        if there {
            return Ok(());
        }
        Err(ApiError::new(404, "unknown_picture", format!("there is no picture `{picture}`"))
            .hint("send it first: POST /api/v1/uploads"))
    }
}

/// Reads pictures of the history and of the uploads for the engine.
pub(crate) fn pictures(history: &Arc<History>, uploads: &Arc<Uploads>) -> Pictures {
    let (history, uploads) = (Arc::clone(history), Arc::clone(uploads));
    Pictures::from_reader(move |picture| match picture {
        PictureRef::Upload(digest) => uploads.read(digest),
        PictureRef::Output(id) => history.bytes(id),
    })
}
