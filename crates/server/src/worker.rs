//! The one thread that draws.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::api_error::ErrorBody;
use crate::comfy::{Comfy, Runs, with_texts};
use crate::events::Events;
use crate::happening::{Happening, JobProgress};
use crate::history::History;
use crate::job::{Job, Outcome};
use crate::lock::lock;
use crate::queue::Queue;
use crate::{Generate, GenerateError, Pictures, Previews, Progress};

/// Previews are asked for at most this often.
const PREVIEW_EVERY: Duration = Duration::from_millis(300);
/// Larger previews are not sent.
const MAX_PREVIEW: usize = 4 << 20;
/// Progress without a preview is told at most this often.
const PROGRESS_EVERY: Duration = Duration::from_millis(40);

/// What a failed job's code can be.
const CODES: [&str; 4] = ["engine_failed", "engine_crashed", "not_saved", "unreadable_job"];

/// The code of a failed job as it was written down.
pub(crate) fn known_code(code: &str) -> &'static str {
    CODES.into_iter().find(|known| *known == code).unwrap_or("failed")
}

/// Runs jobs until `stop` is set.
pub(crate) struct Worker {
    /// Workflows whose pictures carry them.
    pub(crate) runs: Arc<Runs>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) history: Arc<History>,
    pub(crate) events: Arc<Events>,
    pub(crate) generate: Arc<dyn Generate>,
    pub(crate) pictures: Pictures,
    pub(crate) stop: Arc<AtomicBool>,
}

impl Worker {
    pub(crate) fn run(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            if let Some((job, cancel)) = self.queue.take(Duration::from_millis(200)) {
                let outcome = self.draw(&job, &cancel);
                self.queue.finish(outcome);
            }
        }
    }

    fn draw(&self, job: &Job, cancel: &Arc<AtomicBool>) -> Outcome {
        let last_preview = Arc::new(Mutex::new(None::<Instant>));
        let mut request = job.settings.clone();
        request.previews = {
            let (events, last) = (Arc::clone(&self.events), Arc::clone(&last_preview));
            Previews::when(move || events.heard() && lock(&last).is_none_or(|last| last.elapsed() >= PREVIEW_EVERY))
        };
        request.pictures = self.pictures.clone();
        let mut pace = Pace::default();
        let mut tell = |progress: Progress| {
            if progress.preview_png.is_some() {
                *lock(&last_preview) = Some(Instant::now());
            }
            self.queue.progress(progress.step, progress.steps);
            if let Some(event) = pace.event(&job.id, progress) {
                self.events.send(Happening::Progress(event));
            }
            if cancel.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        // An engine that panics fails its job, not the server.
        let result = catch_unwind(AssertUnwindSafe(|| self.generate.generate(&request, &mut tell)));
        match result {
            Ok(Ok(generated)) => match self.history.save(&with_texts(&generated.png, &Comfy::texts(&self.runs, job))) {
                Ok(picture) => Outcome::Done { picture: picture.id, remarks: generated.remarks },
                Err(why) => Outcome::Failed(ErrorBody {
                    code: "not_saved",
                    message: format!("the picture was drawn but not saved: {why}"),
                    hint: Some(format!(
                        "make room or give write permission in `{}`, then draw it again with the same seed",
                        self.history.folder().display()
                    )),
                }),
            },
            Ok(Err(GenerateError::Cancelled)) => Outcome::Cancelled,
            Ok(Err(error @ GenerateError::Failed { .. })) => {
                Outcome::Failed(ErrorBody { code: "engine_failed", message: error.to_string(), hint: error.hint() })
            }
            Err(_) => Outcome::Failed(ErrorBody {
                code: "engine_crashed",
                message: "the engine met an error of its own and gave this picture up".to_owned(),
                hint: Some("try other settings; `fieldforge selftest` checks the installation".to_owned()),
            }),
        }
    }
}

/// Measures steps and leaves out progress that comes too fast for eyes.
#[derive(Default)]
struct Pace {
    first: Option<(Instant, u32)>,
    told: Option<Instant>,
}

impl Pace {
    fn event(&mut self, id: &str, progress: Progress) -> Option<JobProgress> {
        let Progress { step, steps, preview_png } = progress;
        let (start, first_step) = *self.first.get_or_insert((Instant::now(), step));
        let soon = self.told.is_some_and(|told| told.elapsed() < PROGRESS_EVERY);
        if soon && preview_png.is_none() && step < steps {
            return None;
        }
        self.told = Some(Instant::now());
        let done = step.saturating_sub(first_step);
        // The first step is left out: it often loads the model.
        let seconds_left = (done > 0).then(|| {
            let each = start.elapsed().as_secs_f64() / f64::from(done);
            (each * f64::from(steps.saturating_sub(step)) * 10.0).round() / 10.0
        });
        let preview_png = preview_png.filter(|png| png.len() <= MAX_PREVIEW);
        Some(JobProgress { id: id.to_owned(), step, steps, seconds_left, preview_png })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_leaves_out_what_nobody_can_see() {
        let mut pace = Pace::default();
        let progress = |step| Progress { step, steps: 50, preview_png: None };
        let told = (1..=50).filter(|step| pace.event("j1", progress(*step)).is_some()).count();
        assert!((2..50).contains(&told), "{told} of 50 instant steps");
        let preview = Progress { step: 3, steps: 50, preview_png: Some(vec![1, 2, 3]) };
        let event = pace.event("j1", preview).expect("a preview is always told");
        assert_eq!(event.preview_png, Some(vec![1, 2, 3]));
        assert!(event.seconds_left.is_some());
    }
}
