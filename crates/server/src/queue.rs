//! The jobs: a bounded line, one running, the last finished ones.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::GenerateRequest;
use crate::events::{EventStream, Events};
use crate::happening::Happening;
use crate::job::{Job, JobState, Outcome, Source};
use crate::lock::lock;

/// Most jobs that wait at once.
pub(crate) const MAX_WAITING: usize = 100;
/// Finished jobs that are remembered.
const REMEMBERED: usize = 200;

/// First in, first out; every change of state goes out as an event in the order it happened.
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    events: Arc<Events>,
}

#[derive(Default)]
struct State {
    next: u64,
    waiting: VecDeque<Job>,
    running: Option<Running>,
    over: VecDeque<Job>,
}

struct Running {
    job: Job,
    cancel: Arc<AtomicBool>,
}

/// What runs and what waits.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Line {
    pub(crate) running: Option<Job>,
    pub(crate) waiting: Vec<Job>,
}

/// How many more jobs fit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full {
    pub(crate) room: usize,
}

/// Why a job was not cancelled.
#[derive(Debug, PartialEq)]
pub(crate) enum NotCancelled {
    Unknown,
    Over(Box<Job>),
}

impl Queue {
    pub(crate) fn new(events: Arc<Events>) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), events }
    }

    /// Puts all requests at the end of the line as one batch, or none of them.
    pub(crate) fn submit(&self, requests: Vec<GenerateRequest>, source: Source) -> Result<Vec<Job>, Full> {
        let mut state = lock(&self.state);
        let room = MAX_WAITING.saturating_sub(state.waiting.len());
        if requests.len() > room {
            return Err(Full { room });
        }
        let mut jobs = Vec::with_capacity(requests.len());
        let batch = format!("b{}", state.next + 1);
        for settings in requests {
            state.next += 1;
            let job = Job {
                id: format!("j{}", state.next),
                batch: batch.clone(),
                source,
                state: JobState::Waiting,
                step: 0,
                steps: settings.steps,
                settings,
                picture: None,
                error: None,
                position: state.waiting.len() + 1,
            };
            self.events.send(Happening::Job(job.clone()));
            state.waiting.push_back(job.clone());
            jobs.push(job);
        }
        self.changed.notify_all();
        Ok(jobs)
    }

    /// Takes the next job for running; `None` when none came in time.
    pub(crate) fn take(&self, patience: Duration) -> Option<(Job, Arc<AtomicBool>)> {
        let deadline = Instant::now() + patience;
        let mut state = lock(&self.state);
        loop {
            if let Some(mut job) = state.waiting.pop_front() {
                job.state = JobState::Running;
                job.position = 0;
                for (index, other) in state.waiting.iter_mut().enumerate() {
                    other.position = index + 1;
                }
                let cancel = Arc::new(AtomicBool::new(false));
                state.running = Some(Running { job: job.clone(), cancel: Arc::clone(&cancel) });
                self.events.send(Happening::Job(job.clone()));
                return Some((job, cancel));
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Notes how far the running job is.
    pub(crate) fn progress(&self, step: u32, steps: u32) {
        if let Some(running) = &mut lock(&self.state).running {
            running.job.step = step;
            running.job.steps = steps;
        }
    }

    /// Ends the running job.
    pub(crate) fn finish(&self, outcome: Outcome) {
        let mut state = lock(&self.state);
        let Some(Running { mut job, .. }) = state.running.take() else { return };
        match outcome {
            Outcome::Done(picture) => {
                job.state = JobState::Done;
                job.step = job.steps;
                job.picture = Some(picture);
            }
            Outcome::Failed(error) => {
                job.state = JobState::Failed;
                job.error = Some(error);
            }
            Outcome::Cancelled => job.state = JobState::Cancelled,
        }
        self.remember(&mut state, job);
    }

    fn remember(&self, state: &mut State, job: Job) {
        self.events.send(Happening::Job(job.clone()));
        while state.over.len() >= REMEMBERED {
            state.over.pop_front();
        }
        state.over.push_back(job);
        self.changed.notify_all();
    }

    /// Cancels a waiting job at once, or asks the running one to stop and waits up to `patience`
    /// for it; an engine in the middle of a long step answers later, by event.
    pub(crate) fn cancel(&self, id: &str, patience: Duration) -> Result<Job, NotCancelled> {
        let mut state = lock(&self.state);
        if let Some(index) = state.waiting.iter().position(|job| job.id == id)
            && let Some(mut job) = state.waiting.remove(index)
        {
            job.state = JobState::Cancelled;
            job.position = 0;
            for (index, other) in state.waiting.iter_mut().enumerate() {
                other.position = index + 1;
            }
            self.remember(&mut state, job.clone());
            return Ok(job);
        }
        if let Some(job) = state.over.iter().find(|job| job.id == id) {
            return Err(NotCancelled::Over(Box::new(job.clone())));
        }
        let deadline = Instant::now() + patience;
        let mut asked = None;
        loop {
            match &state.running {
                Some(running) if running.job.id == id => {
                    running.cancel.store(true, Ordering::Relaxed);
                    asked = Some(running.job.clone());
                }
                _ => {
                    let over = state.over.iter().find(|job| job.id == id).cloned();
                    return over.or(asked).ok_or(NotCancelled::Unknown);
                }
            }
            match deadline.checked_duration_since(Instant::now()) {
                Some(left) => {
                    state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
                }
                None => return asked.ok_or(NotCancelled::Unknown),
            }
        }
    }

    /// Waits at most `patience` until all these jobs are over; gives them as they ended, in their order. A job that is no
    /// longer remembered is given as it came.
    pub(crate) fn all_over(&self, jobs: &[Job], patience: Duration) -> Option<Vec<Job>> {
        let deadline = Instant::now() + patience;
        let mut state = lock(&self.state);
        loop {
            let pending = |job: &Job| {
                let running = state.running.iter().any(|running| running.job.id == job.id);
                running || state.waiting.iter().any(|waiting| waiting.id == job.id)
            };
            if !jobs.iter().any(pending) {
                let ended = |job: &Job| state.over.iter().find(|over| over.id == job.id).unwrap_or(job).clone();
                return Some(jobs.iter().map(ended).collect());
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Asks whatever runs to stop; the program ends.
    pub(crate) fn cancel_running(&self) {
        if let Some(running) = &lock(&self.state).running {
            running.cancel.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) fn find(&self, id: &str) -> Option<Job> {
        let state = lock(&self.state);
        let running = state.running.iter().map(|running| &running.job);
        running.chain(&state.waiting).chain(&state.over).find(|job| job.id == id).cloned()
    }

    pub(crate) fn line(&self) -> Line {
        line(&lock(&self.state))
    }

    /// Starts a subscription; no event falls between its `hello` and what follows.
    pub(crate) fn subscribe(&self) -> EventStream {
        let state = lock(&self.state);
        self.events.subscribe(Happening::Hello(line(&state)))
    }
}

fn line(state: &State) -> Line {
    Line {
        running: state.running.as_ref().map(|running| running.job.clone()),
        waiting: state.waiting.iter().cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(seed: u64) -> GenerateRequest {
        GenerateRequest { seed, ..GenerateRequest::default() }
    }

    fn queue() -> Queue {
        Queue::new(Arc::new(Events::default()))
    }

    #[test]
    fn jobs_run_in_the_order_they_came() {
        let queue = queue();
        let jobs = queue.submit(vec![request(1), request(2), request(3)], Source::Page).expect("room");
        assert_eq!(jobs.iter().map(|job| job.position).collect::<Vec<_>>(), [1, 2, 3]);
        let (first, _) = queue.take(Duration::ZERO).expect("a job");
        assert_eq!((first.settings.seed, first.state, first.position), (1, JobState::Running, 0));
        assert_eq!(queue.line().waiting.iter().map(|job| job.position).collect::<Vec<_>>(), [1, 2]);
        queue.progress(2, 4);
        assert_eq!(queue.find("j1").map(|job| job.step), Some(2));
        queue.finish(Outcome::Done("20261123-141502-0001".into()));
        let done = queue.find("j1").expect("remembered");
        assert_eq!((done.state, done.step), (JobState::Done, 4));
        assert_eq!(queue.take(Duration::ZERO).expect("a job").0.settings.seed, 2);
    }

    #[test]
    fn a_full_line_takes_all_or_nothing() {
        let queue = queue();
        for seed in 0..98 {
            queue.submit(vec![request(seed)], Source::Page).expect("room");
        }
        assert_eq!(queue.submit(vec![request(0), request(1), request(2)], Source::Page), Err(Full { room: 2 }));
        assert_eq!(queue.line().waiting.len(), 98);
        assert_eq!(queue.submit(vec![request(0), request(1)], Source::Page).map(|jobs| jobs.len()), Ok(2));
        assert_eq!(queue.submit(vec![request(0)], Source::Page), Err(Full { room: 0 }));
    }

    #[test]
    fn cancelling_tells_waiting_running_over_and_unknown_apart() {
        let queue = queue();
        queue.submit(vec![request(1), request(2)], Source::Page).expect("room");
        let (_, stop) = queue.take(Duration::ZERO).expect("a job");
        assert_eq!(queue.cancel("j2", Duration::ZERO).map(|job| job.state), Ok(JobState::Cancelled));
        assert!(matches!(queue.cancel("j2", Duration::ZERO), Err(NotCancelled::Over(_))));
        assert_eq!(queue.cancel("j9", Duration::ZERO), Err(NotCancelled::Unknown));
        assert!(!stop.load(Ordering::Relaxed));
        assert_eq!(queue.cancel("j1", Duration::from_millis(5)).map(|job| job.state), Ok(JobState::Running));
        assert!(stop.load(Ordering::Relaxed));
        queue.finish(Outcome::Cancelled);
        assert_eq!(queue.find("j1").map(|job| job.state), Some(JobState::Cancelled));
    }

    #[test]
    fn only_the_last_finished_jobs_are_remembered() {
        let queue = queue();
        for seed in 0..REMEMBERED as u64 + 1 {
            queue.submit(vec![request(seed)], Source::Page).expect("room");
            queue.take(Duration::ZERO).expect("a job");
            queue.finish(Outcome::Cancelled);
        }
        assert!(queue.find("j1").is_none());
        assert!(queue.find("j2").is_some());
    }
}
