//! The jobs: a long line, one running, the finished ones. Everything but progress outlives the program.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};

use crate::database::Database;
use crate::events::{EventStream, Events};
use crate::happening::Happening;
use crate::job::{Job, JobState, Outcome, Source};
use crate::job_table::{self as table, Waiting};
use crate::lock::lock;
use crate::remarks::Remarks;
use crate::{GenerateRequest, PictureRef, clock};

/// Most jobs that wait at once.
pub(crate) const MAX_WAITING: usize = 10_000;
/// Waiting jobs that an answer or event lists; there may be more.
pub(crate) const LISTED: usize = 200;
/// Finished jobs that are at hand without the database.
const REMEMBERED: usize = 200;
/// More changes at once are told as one change of the line.
const TOLD_ONE_BY_ONE: usize = 50;
/// The room between two jobs in the order, for others to move there.
const GAP: i64 = 1 << 20;
/// The switch that stops jobs from being taken.
const PAUSED: &str = "paused";

/// First in, first out, unless somebody moves a job; every change of state goes out as an event in the order it happened.
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    events: Arc<Events>,
    database: Arc<Database>,
    remarks: Remarks,
}

#[derive(Default)]
struct State {
    /// The number of the last job.
    last: u64,
    paused: bool,
    /// The program ends: what runs now runs again at the next start.
    closing: bool,
    waiting: VecDeque<Waiting>,
    running: Option<Running>,
    /// The ids of all that wait or run.
    live: HashSet<String>,
    over: VecDeque<Job>,
}

struct Running {
    job: Job,
    cancel: Arc<AtomicBool>,
    /// Somebody asked for the end; it is not the program's.
    asked: bool,
}

/// What runs and what waits. Its JSON lists the first [`LISTED`] waiting jobs and says how many there are.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    pub(crate) running: Option<Job>,
    pub(crate) waiting: Vec<Job>,
    /// All that wait, listed or not.
    pub(crate) count: usize,
    pub(crate) paused: bool,
}

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Wire<'a> {
            running: &'a Option<Job>,
            waiting: &'a [Job],
            waiting_count: usize,
            paused: bool,
        }
        let waiting = self.waiting.get(..LISTED).unwrap_or(&self.waiting);
        Wire { running: &self.running, waiting, waiting_count: self.count, paused: self.paused }.serialize(serializer)
    }
}

/// How many more jobs fit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full {
    pub(crate) room: usize,
}

/// Why a job was not cancelled or moved.
#[derive(Debug, PartialEq)]
pub(crate) enum NotCancelled {
    Unknown,
    Over(Box<Job>),
}

impl Queue {
    /// Goes on with what the database holds: the job that was running is the next one. Jobs whose clients hung on the line
    /// are cancelled, because nobody waits for them any more.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(crate) fn new(events: Arc<Events>, database: Arc<Database>, remarks: Remarks) -> rusqlite::Result<Self> {
        let mut state = State::default();
        {
            let mut connection = database.lock();
            state.last = table::last_number(&connection)?;
            state.paused = table::switch(&connection, PAUSED)?;
            let mut over = Vec::new();
            for mut entry in table::unfinished(&connection)? {
                if entry.job.source.waits() {
                    entry.job.state = JobState::Cancelled;
                }
                if entry.job.is_over() {
                    over.push(entry.job);
                    continue;
                }
                entry.job.state = JobState::Waiting;
                entry.job.step = 0;
                state.live.insert(entry.job.id.clone());
                state.waiting.push_back(entry);
            }
            renumber(&mut state.waiting);
            table::update(
                &mut connection,
                over.iter().chain(state.waiting.iter().map(|entry| &entry.job)),
                clock::now(),
            )?;
            table::reorder(&mut connection, state.waiting.iter())?;
            table::prune(&connection)?;
        }
        Ok(Self { state: Mutex::new(state), changed: Condvar::new(), events, database, remarks })
    }

    /// Puts all requests at the end of the line as one batch, or none of them.
    pub(crate) fn submit(&self, requests: Vec<GenerateRequest>, source: Source) -> Result<Vec<Job>, Full> {
        let mut state = lock(&self.state);
        let room = MAX_WAITING.saturating_sub(state.waiting.len());
        if requests.len() > room {
            return Err(Full { room });
        }
        let now = clock::now();
        let batch = format!("b{}", state.last + 1);
        let mut entries = Vec::with_capacity(requests.len());
        let mut place = state.waiting.back().map_or(0, |entry| entry.place);
        for settings in requests {
            state.last += 1;
            place = place.saturating_add(GAP);
            let job = Job {
                id: format!("j{}", state.last),
                batch: batch.clone(),
                source,
                steps: settings.steps,
                settings,
                position: state.waiting.len() + entries.len() + 1,
                created: clock::iso(now),
                ..Job::default()
            };
            entries.push(Waiting { job, place });
        }
        self.write(|database| table::insert(database, &entries, now));
        let jobs: Vec<Job> = entries.iter().map(|entry| entry.job.clone()).collect();
        state.live.extend(jobs.iter().map(|job| job.id.clone()));
        state.waiting.extend(entries);
        self.tell(&state, &jobs);
        self.changed.notify_all();
        Ok(jobs)
    }

    /// Takes the next job for running; `None` when none came in time, or while the line is paused.
    pub(crate) fn take(&self, patience: Duration) -> Option<(Job, Arc<AtomicBool>)> {
        let deadline = Instant::now() + patience;
        let mut state = lock(&self.state);
        loop {
            if !state.paused
                && !state.closing
                && let Some(Waiting { mut job, .. }) = state.waiting.pop_front()
            {
                job.state = JobState::Running;
                job.position = 0;
                let cancel = Arc::new(AtomicBool::new(false));
                state.running = Some(Running { job: job.clone(), cancel: Arc::clone(&cancel), asked: false });
                self.write(|database| table::update(database, [&job].into_iter(), 0));
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

    /// Ends the running job. One that only the end of the program stopped stays the first of the line.
    pub(crate) fn finish(&self, outcome: Outcome) {
        let mut state = lock(&self.state);
        let Some(Running { mut job, asked, .. }) = state.running.take() else { return };
        match outcome {
            Outcome::Done { picture, remarks } => {
                job.state = JobState::Done;
                job.step = job.steps;
                job.picture = Some(picture);
                job.remarks = remarks;
            }
            Outcome::Failed(error) => {
                job.state = JobState::Failed;
                job.error = Some(error);
            }
            Outcome::Cancelled if state.closing && !asked && !job.source.waits() => {
                self.changed.notify_all();
                return;
            }
            Outcome::Cancelled => job.state = JobState::Cancelled,
        }
        self.remember(&mut state, vec![job]);
    }

    /// Notes that jobs are over and tells it.
    fn remember(&self, state: &mut State, mut jobs: Vec<Job>) {
        let now = clock::now();
        for job in &mut jobs {
            job.finished = Some(clock::iso(now));
            state.live.remove(&job.id);
        }
        self.write(|database| {
            table::update(database, jobs.iter(), now)?;
            if state.last.is_multiple_of(64) { table::prune(database) } else { Ok(()) }
        });
        self.tell(state, &jobs);
        for job in jobs {
            while state.over.len() >= REMEMBERED {
                state.over.pop_front();
            }
            state.over.push_back(job);
        }
        self.changed.notify_all();
    }

    /// Tells of each job, or of the whole line when they are many.
    fn tell(&self, state: &State, jobs: &[Job]) {
        if jobs.len() > TOLD_ONE_BY_ONE {
            self.events.send(Happening::Line(line(state, LISTED)));
            return;
        }
        for job in jobs {
            self.events.send(Happening::Job(job.clone()));
        }
    }

    /// Writes to the database. When that fails the line works on, and a remark says that it will be forgotten.
    fn write(&self, write: impl FnOnce(&mut rusqlite::Connection) -> rusqlite::Result<()>) {
        if let Err(error) = write(&mut self.database.lock()) {
            self.remarks.note(format!(
                "the queue cannot be written down ({error}): it works on, but may be forgotten when this server stops; make \
                 room on the disk that holds the home folder"
            ));
        }
    }

    /// Cancels a waiting job at once, or asks the running one to stop and waits up to `patience`
    /// for it; an engine in the middle of a long step answers later, by event.
    pub(crate) fn cancel(&self, id: &str, patience: Duration) -> Result<Job, NotCancelled> {
        let mut state = lock(&self.state);
        if let Some(index) = state.waiting.iter().position(|entry| entry.job.id == id)
            && let Some(entry) = state.waiting.remove(index)
        {
            self.remember(&mut state, vec![cancelled(entry)]);
            return state.over.back().cloned().ok_or(NotCancelled::Unknown);
        }
        if !state.live.contains(id) {
            return Err(self.past(&state, id).map_or(NotCancelled::Unknown, |job| NotCancelled::Over(Box::new(job))));
        }
        let deadline = Instant::now() + patience;
        let mut asked = None;
        loop {
            match &mut state.running {
                Some(running) if running.job.id == id => {
                    running.asked = true;
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

    /// Cancels every waiting job of a batch and asks its running one to stop; false when the batch has neither.
    pub(crate) fn cancel_batch(&self, batch: &str) -> bool {
        let mut state = lock(&self.state);
        let running = state.running.as_mut().filter(|running| running.job.batch == batch);
        let stopped = running.is_some();
        if let Some(running) = running {
            running.asked = true;
            running.cancel.store(true, Ordering::Relaxed);
        }
        self.cancel_waiting(&mut state, |job| job.batch == batch) > 0 || stopped
    }

    /// Cancels every waiting job; gives how many.
    pub(crate) fn clear(&self) -> usize {
        self.cancel_waiting(&mut lock(&self.state), |_| true)
    }

    fn cancel_waiting(&self, state: &mut State, which: impl Fn(&Job) -> bool) -> usize {
        let (gone, kept): (Vec<Waiting>, Vec<Waiting>) = state.waiting.drain(..).partition(|entry| which(&entry.job));
        state.waiting = kept.into();
        let count = gone.len();
        if count > 0 {
            self.remember(state, gone.into_iter().map(cancelled).collect());
        }
        count
    }

    /// Moves a waiting job to a position of the line: 1 is the next to run, too large a number the last.
    ///
    /// # Errors
    /// When it does not wait.
    pub(crate) fn move_to(&self, id: &str, position: usize) -> Result<Job, NotCancelled> {
        let mut state = lock(&self.state);
        let Some(index) = state.waiting.iter().position(|entry| entry.job.id == id) else {
            let past = self.past(&state, id);
            return Err(past.map_or(NotCancelled::Unknown, |job| NotCancelled::Over(Box::new(job))));
        };
        let Some(mut entry) = state.waiting.remove(index) else { return Err(NotCancelled::Unknown) };
        let target = position.saturating_sub(1).min(state.waiting.len());
        let before = target.checked_sub(1).and_then(|index| state.waiting.get(index)).map(|entry| entry.place);
        let after = state.waiting.get(target).map(|entry| entry.place);
        let place = match (before, after) {
            (None, None) => Some(0),
            (None, Some(after)) => after.checked_sub(GAP),
            (Some(before), None) => before.checked_add(GAP),
            (Some(before), Some(after)) => Some(before.midpoint(after)).filter(|place| *place > before),
        };
        entry.place = place.unwrap_or(0);
        state.waiting.insert(target, entry);
        if place.is_none() {
            renumber(&mut state.waiting);
            self.write(|database| table::reorder(database, state.waiting.iter()));
        } else {
            self.write(|database| table::reorder(database, state.waiting.get(target).into_iter()));
        }
        self.events.send(Happening::Line(line(&state, LISTED)));
        waiting_job(&state, target).ok_or(NotCancelled::Unknown)
    }

    /// Stops jobs from being taken, or lets them; what runs goes on. The switch outlives the program.
    pub(crate) fn set_paused(&self, paused: bool) {
        let mut state = lock(&self.state);
        if state.paused == paused {
            return;
        }
        state.paused = paused;
        self.write(|database| table::set_switch(database, PAUSED, paused));
        self.events.send(Happening::Line(line(&state, LISTED)));
        self.changed.notify_all();
    }

    /// Waits at most `patience` until all these jobs are over; gives them as they ended, in their order. A job that is no
    /// longer remembered is given as it came.
    pub(crate) fn all_over(&self, jobs: &[Job], patience: Duration) -> Option<Vec<Job>> {
        let deadline = Instant::now() + patience;
        let mut state = lock(&self.state);
        loop {
            if !jobs.iter().any(|job| state.live.contains(&job.id)) {
                let ended = |job: &Job| self.past(&state, &job.id).unwrap_or_else(|| job.clone());
                return Some(jobs.iter().map(ended).collect());
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Asks whatever runs to stop, to be drawn again after the next start; the program ends.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.closing = true;
        if let Some(running) = &state.running {
            running.cancel.store(true, Ordering::Relaxed);
        }
    }

    /// A job, whatever its state.
    pub(crate) fn find(&self, id: &str) -> Option<Job> {
        let state = lock(&self.state);
        if !state.live.contains(id) {
            return self.past(&state, id);
        }
        match &state.running {
            Some(running) if running.job.id == id => Some(running.job.clone()),
            _ => waiting_job(&state, state.waiting.iter().position(|entry| entry.job.id == id)?),
        }
    }

    /// A job that is over.
    fn past(&self, state: &State, id: &str) -> Option<Job> {
        let remembered = state.over.iter().rev().find(|job| job.id == id).cloned();
        remembered.or_else(|| table::find(&self.database.lock(), id).ok().flatten().filter(Job::is_over))
    }

    /// Up to `limit` jobs in these states that were ordered before job `before`, newest first, and whether older ones
    /// follow.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(crate) fn jobs(
        &self,
        states: &[JobState],
        batch: Option<&str>,
        before: Option<i64>,
        limit: usize,
    ) -> rusqlite::Result<(Vec<Job>, bool)> {
        let state = lock(&self.state);
        let (mut jobs, more) = table::page(&self.database.lock(), states, batch, before, limit)?;
        if jobs.iter().any(|job| !job.is_over()) {
            let positions: HashMap<&str, usize> =
                state.waiting.iter().enumerate().map(|(index, entry)| (entry.job.id.as_str(), index + 1)).collect();
            for job in &mut jobs {
                match &state.running {
                    Some(running) if running.job.id == job.id => *job = running.job.clone(),
                    _ => job.position = positions.get(job.id.as_str()).copied().unwrap_or(0),
                }
            }
        }
        Ok((jobs, more))
    }

    /// What runs and everything that waits.
    pub(crate) fn line(&self) -> Line {
        line(&lock(&self.state), MAX_WAITING)
    }

    /// What runs and the first of what waits, for an answer.
    pub(crate) fn short_line(&self) -> Line {
        line(&lock(&self.state), LISTED)
    }

    /// The uploads that a waiting or running job still needs.
    pub(crate) fn uploads_in_use(&self) -> HashSet<String> {
        let state = lock(&self.state);
        let jobs = state.running.iter().map(|running| &running.job).chain(state.waiting.iter().map(|entry| &entry.job));
        let mut digests = HashSet::new();
        for job in jobs {
            for picture in job.settings.picture_refs() {
                if let PictureRef::Upload(digest) = picture {
                    digests.insert(digest.clone());
                }
            }
        }
        digests
    }

    /// Starts a subscription; no event falls between its `hello` and what follows.
    pub(crate) fn subscribe(&self) -> EventStream {
        let state = lock(&self.state);
        self.events.subscribe(Happening::Hello(line(&state, LISTED)))
    }
}

fn cancelled(entry: Waiting) -> Job {
    Job { state: JobState::Cancelled, position: 0, ..entry.job }
}

/// Gives every job its place anew, far from the next.
fn renumber(waiting: &mut VecDeque<Waiting>) {
    let mut place = 0;
    for entry in waiting {
        place += GAP;
        entry.place = place;
    }
}

fn waiting_job(state: &State, index: usize) -> Option<Job> {
    state.waiting.get(index).map(|entry| Job { position: index + 1, ..entry.job.clone() })
}

fn line(state: &State, most: usize) -> Line {
    Line {
        running: state.running.as_ref().map(|running| running.job.clone()),
        waiting: (0..state.waiting.len().min(most)).filter_map(|index| waiting_job(state, index)).collect(),
        count: state.waiting.len(),
        paused: state.paused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(seed: u64) -> GenerateRequest {
        GenerateRequest { seed, ..GenerateRequest::default() }
    }

    fn queue() -> Queue {
        Queue::new(Arc::default(), Arc::new(Database::in_memory().expect("a database")), Remarks::default())
            .expect("a queue")
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
        queue.finish(Outcome::Done { picture: "20261123-141502-0001".into(), remarks: vec!["a word".into()] });
        let done = queue.find("j1").expect("remembered");
        assert_eq!((done.state, done.step), (JobState::Done, 4));
        assert_eq!(queue.take(Duration::ZERO).expect("a job").0.settings.seed, 2);
    }

    #[test]
    fn a_full_line_takes_all_or_nothing() {
        let queue = queue();
        let most = MAX_WAITING as u64 - 2;
        queue.submit((0..most).map(request).collect(), Source::Page).expect("room");
        assert_eq!(queue.submit(vec![request(0), request(1), request(2)], Source::Page), Err(Full { room: 2 }));
        assert_eq!(queue.line().waiting.len(), MAX_WAITING - 2);
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
    fn finished_jobs_are_found_long_after() {
        let queue = queue();
        for seed in 0..REMEMBERED as u64 + 1 {
            queue.submit(vec![request(seed)], Source::Page).expect("room");
            queue.take(Duration::ZERO).expect("a job");
            queue.finish(Outcome::Cancelled);
        }
        assert!(!lock(&queue.state).over.iter().any(|job| job.id == "j1"));
        assert_eq!(queue.find("j1").map(|job| (job.state, job.settings.seed)), Some((JobState::Cancelled, 0)));
        let (jobs, more) = queue.jobs(&[JobState::Cancelled], None, Some(3), 1).expect("answers");
        assert_eq!((jobs[0].id.as_str(), more), ("j2", true));
    }

    #[test]
    fn jobs_move_and_keep_their_order_in_the_database() {
        let queue = queue();
        queue.submit((1..=5).map(request).collect(), Source::Page).expect("room");
        let order = |queue: &Queue| queue.line().waiting.iter().map(|job| job.settings.seed).collect::<Vec<_>>();
        assert_eq!(queue.move_to("j4", 1).map(|job| job.position), Ok(1));
        assert_eq!(queue.move_to("j1", 99).map(|job| job.position), Ok(5));
        assert_eq!(order(&queue), [4, 2, 3, 5, 1]);
        // Far more often than there is room between two neighbours.
        for _ in 0..60 {
            queue.move_to("j3", 2).expect("waits");
            queue.move_to("j2", 2).expect("waits");
        }
        assert_eq!(order(&queue), [4, 2, 3, 5, 1]);
        assert!(matches!(queue.move_to("j9", 1), Err(NotCancelled::Unknown)));
        let again = Queue::new(Arc::default(), Arc::clone(&queue.database), Remarks::default()).expect("a queue");
        assert_eq!(order(&again), [4, 2, 3, 5, 1]);
    }

    #[test]
    fn a_restart_goes_on_with_what_ran_and_forgets_who_hung_on_the_line() {
        let queue = queue();
        queue.submit(vec![request(1), request(2)], Source::Page).expect("room");
        queue.submit(vec![request(3)], Source::Sdapi).expect("room");
        queue.submit(vec![request(4)], Source::Comfyui).expect("room");
        queue.move_to("j2", 1).expect("waits");
        queue.take(Duration::ZERO).expect("a job");
        queue.progress(3, 20);
        queue.set_paused(true);
        queue.close();
        queue.finish(Outcome::Cancelled);
        let again = Queue::new(Arc::default(), Arc::clone(&queue.database), Remarks::default()).expect("a queue");
        let line = again.line();
        assert_eq!(line.waiting.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(), ["j2", "j1", "j4"]);
        assert_eq!((line.waiting[0].step, line.paused), (0, true));
        assert_eq!(again.find("j3").map(|job| job.state), Some(JobState::Cancelled));
        assert!(again.take(Duration::ZERO).is_none(), "paused");
        again.set_paused(false);
        assert_eq!(again.take(Duration::ZERO).map(|(job, _)| job.id).as_deref(), Some("j2"));
        assert_eq!(again.submit(vec![request(5)], Source::Page).expect("room")[0].id, "j5");
    }

    #[test]
    fn a_batch_stops_as_a_whole_and_a_line_is_cleared() {
        let queue = queue();
        let batch = queue.submit((1..=3).map(request).collect(), Source::Page).expect("room")[0].batch.clone();
        queue.submit((4..=5).map(request).collect(), Source::Page).expect("room");
        let (_, stop) = queue.take(Duration::ZERO).expect("a job");
        assert!(queue.cancel_batch(&batch));
        assert!(stop.load(Ordering::Relaxed));
        queue.finish(Outcome::Cancelled);
        assert!(!queue.cancel_batch(&batch));
        assert_eq!(queue.line().waiting.len(), 2);
        assert_eq!((queue.clear(), queue.clear()), (2, 0));
        let (jobs, _) = queue.jobs(&[JobState::Cancelled], Some(&batch), None, 10).expect("answers");
        assert_eq!(jobs.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(), ["j3", "j2", "j1"]);
        assert!(jobs.iter().all(|job| job.finished.is_some()));
    }

    #[test]
    fn ten_thousand_jobs_are_taken_in_moments() {
        let queue = queue();
        let started = Instant::now();
        queue.submit((0..MAX_WAITING as u64).map(request).collect(), Source::Page).expect("room");
        for _ in 0..200 {
            queue.take(Duration::ZERO).expect("a job");
            queue.finish(Outcome::Cancelled);
        }
        assert_eq!(queue.short_line().waiting.len(), LISTED);
        assert_eq!(queue.short_line().count, MAX_WAITING - 200);
        // Generous: this is about 10,000 times 10,000 steps, not about milliseconds.
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    }
}
