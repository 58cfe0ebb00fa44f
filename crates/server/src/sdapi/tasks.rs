//! What A1111's clients have under way, and what they have set: everything that outlives one call.

use std::sync::Arc;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::clock;
use crate::events::Next;
use crate::happening::{Happening, JobProgress};
use crate::job::{Job, Source};
use crate::lock::lock;
use crate::studio::Studio;

/// Previews are made for this long after the last question for one.
const WATCHED: Duration = Duration::from_secs(10);

/// The state of the dialect.
#[derive(Default)]
pub(crate) struct Tasks {
    options: Mutex<Map<String, Value>>,
    open: Mutex<Vec<Task>>,
    watch: Arc<Mutex<Watch>>,
}

/// The pictures of one call.
struct Task {
    name: Option<String>,
    batch: String,
    jobs: Vec<String>,
    since: u64,
    interrupted: bool,
    skipped: bool,
}

/// What the running job last said; kept by a thread that ends when nobody asks any more.
#[derive(Default)]
struct Watch {
    until: Option<Instant>,
    running: bool,
    latest: Option<JobProgress>,
}

/// Forgets a task when its call ends.
pub(crate) struct Open<'a> {
    tasks: &'a Tasks,
    batch: String,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        lock(&self.tasks.open).retain(|task| task.batch != self.batch);
    }
}

impl Tasks {
    /// What clients have set.
    pub(crate) fn options(&self) -> Map<String, Value> {
        lock(&self.options).clone()
    }

    /// Changes what clients have set, one client at a time.
    pub(crate) fn change_options<E>(
        &self,
        change: impl FnOnce(&mut Map<String, Value>) -> Result<(), E>,
    ) -> Result<(), E> {
        change(&mut lock(&self.options))
    }

    /// Notes the jobs of one call until it ends.
    pub(crate) fn begin(&self, jobs: &[Job], name: Option<&str>) -> Open<'_> {
        let batch = jobs.first().map_or(String::new(), |job| job.batch.clone());
        lock(&self.open).push(Task {
            name: name.map(str::to_owned),
            batch: batch.clone(),
            jobs: jobs.iter().map(|job| job.id.clone()).collect(),
            since: clock::now(),
            interrupted: false,
            skipped: false,
        });
        Open { tasks: self, batch }
    }

    /// Stops the picture that runs; `all`: and the rest of its call. Jobs of other dialects are left alone.
    pub(crate) fn stop(&self, studio: &Studio, all: bool) {
        let running = studio.queue.line().running.filter(|job| job.source == Source::Sdapi);
        let mut ids = Vec::new();
        {
            let mut open = lock(&self.open);
            let index = running.as_ref().and_then(|job| open.iter().position(|task| task.batch == job.batch));
            // Before its first picture runs, a call can only be stopped as a whole.
            let index = index.or(if all && !open.is_empty() { Some(0) } else { None });
            let task = index.and_then(|index| open.get_mut(index));
            match task {
                Some(task) if all => {
                    task.interrupted = true;
                    // From behind, so that none begins meanwhile.
                    ids.extend(task.jobs.iter().rev().cloned());
                }
                Some(task) => {
                    task.skipped = true;
                    ids.extend(running.map(|job| job.id));
                }
                None => {}
            }
        }
        for id in ids {
            // Those that are over already stay as they are.
            let _ = studio.queue.cancel(&id, Duration::ZERO);
        }
    }

    /// The answer to `GET /sdapi/v1/progress`.
    pub(crate) fn progress(&self, studio: &Studio, with_picture: bool) -> Value {
        if with_picture {
            self.keep_watching(studio);
        }
        let line = studio.queue.line();
        let Some(job) = line.running.or_else(|| line.waiting.into_iter().next()) else {
            return json!({
                "progress": 0.0, "eta_relative": 0.0, "current_image": null, "textinfo": null,
                "state": state("", 0, 0, (0, 0), clock::now(), (false, false)),
            });
        };
        let open = lock(&self.open);
        let task = open.iter().find(|task| task.batch == job.batch);
        let count = task.map_or(1, |task| task.jobs.len());
        let number = task.and_then(|task| task.jobs.iter().position(|id| *id == job.id)).unwrap_or(0);
        let latest = lock(&self.watch).latest.clone().filter(|latest| latest.id == job.id);
        let (step, steps) = (f64::from(job.step), f64::from(job.steps.max(1)));
        #[expect(clippy::cast_precision_loss, reason = "at most a hundred pictures")]
        let (number_f, count_f) = (number as f64, count.max(1) as f64);
        let done = ((number_f + (step / steps).min(1.0)) / count_f).clamp(0.0, 1.0);
        let each = latest.as_ref().and_then(|latest| {
            let left = f64::from(latest.steps.saturating_sub(latest.step));
            latest.seconds_left.filter(|_| left > 0.0).map(|seconds| seconds / left)
        });
        let eta = each.map_or(0.0, |each| each * ((steps - step).max(0.0) + steps * (count_f - number_f - 1.0)));
        let image = latest.and_then(|latest| latest.preview_png).filter(|_| with_picture);
        let flags = task.map_or((false, false), |task| (task.skipped, task.interrupted));
        let name = task.and_then(|task| task.name.clone()).unwrap_or_else(|| job.id.clone());
        json!({
            "progress": done,
            "eta_relative": eta,
            "current_image": image.map(|png| STANDARD.encode(png)),
            "textinfo": null,
            "state": state(&name, count, number, (job.step, job.steps), task.map_or(0, |task| task.since), flags),
        })
    }

    /// The answer to `POST /internal/progress`.
    pub(crate) fn internal_progress(&self, studio: &Studio, asked: &str, with_picture: bool) -> Value {
        let all = self.progress(studio, with_picture);
        let running = studio.queue.line().running.map(|job| job.batch);
        let open = lock(&self.open);
        let task = open.iter().find(|task| task.name.as_deref() == Some(asked));
        let active = task.is_some_and(|task| running.as_ref() == Some(&task.batch));
        let queued = task.is_some() && !active;
        let of = |name: &str| if active { all.get(name).cloned().unwrap_or_default() } else { Value::Null };
        let picture = of("current_image").as_str().map(|base64| format!("data:image/png;base64,{base64}"));
        json!({
            "active": active, "queued": queued, "completed": task.is_none(), "progress": of("progress"),
            "eta": of("eta_relative"), "live_preview": picture, "id_live_preview": -1,
            "textinfo": if queued { Value::from("In queue...") } else { Value::Null },
        })
    }

    /// The answer to `GET /internal/pending-tasks`.
    pub(crate) fn pending(&self) -> Value {
        let open = lock(&self.open);
        let names: Vec<&String> = open.iter().filter_map(|task| task.name.as_ref()).collect();
        json!({"size": open.len(), "tasks": names})
    }

    /// Whether a thread watches or could be started to.
    fn keep_watching(&self, studio: &Studio) {
        let mut watch = lock(&self.watch);
        watch.until = Some(Instant::now() + WATCHED);
        if watch.running {
            return;
        }
        let (events, shared) = (studio.subscribe(), Arc::clone(&self.watch));
        let follow = move || loop {
            let next = events.next(Duration::from_secs(1));
            let mut watch = lock(&shared);
            match next {
                Next::Event(event) => match &*event {
                    Happening::Progress(progress) => {
                        // A step without a new preview keeps the old one.
                        let old = watch.latest.take().filter(|old| old.id == progress.id);
                        let mut progress = progress.clone();
                        progress.preview_png = progress.preview_png.or(old.and_then(|old| old.preview_png));
                        watch.latest = Some(progress);
                    }
                    Happening::Job(job) if job.is_over() => watch.latest = None,
                    _ => {}
                },
                Next::Quiet => {}
                Next::Over => watch.until = None,
            }
            if watch.until.is_none_or(|until| until < Instant::now()) {
                watch.running = false;
                watch.latest = None;
                return;
            }
        };
        // Without a thread there is progress, only no preview.
        watch.running = thread::Builder::new().name("progress".to_owned()).spawn(follow).is_ok();
    }
}

fn state(job: &str, count: usize, number: usize, step: (u32, u32), since: u64, flags: (bool, bool)) -> Value {
    json!({
        "skipped": flags.0, "interrupted": flags.1, "stopping_generation": flags.1, "job": job, "job_count": count,
        "job_timestamp": clock::name_stamp(since).replace('-', ""), "job_no": number,
        "sampling_step": step.0, "sampling_steps": step.1,
    })
}
