//! Work on many threads, results in order, memory bounded.
//!
//! Packing, verifying and installing have one shape: something is read in order, worked on by whoever is free, and
//! written in order. [`run`] is that shape, [`Pool`] the buffers that go round in it. At most [`in_flight`] jobs
//! exist at a time, so memory does not depend on how much there is to do.
//!
//! ```text
//! produce (1 thread) ──jobs──▶ work (n threads) ──▶ consume (the caller, in order of production)
//! ```
//!
//! # Example
//! ```
//! let mut squares = Vec::new();
//! let done: Result<(), String> = ordered::run(
//!     2,
//!     |give| {
//!         (1..=4u32).all(give);
//!         Ok(())
//!     },
//!     || (),
//!     |(), number| number * number,
//!     |square| {
//!         squares.push(square);
//!         Ok(())
//!     },
//! );
//! assert_eq!((done, squares), (Ok(()), vec![1, 4, 9, 16]));
//! ```

mod pool;

use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

pub use pool::Pool;

/// How many threads to use when nobody said: all there are, at most eight (more only wait for the disk).
#[must_use]
pub fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(8)
}

/// How many jobs may exist at a time with so many threads.
#[must_use]
pub fn in_flight(threads: usize) -> usize {
    threads.saturating_mul(3).clamp(4, 10)
}

/// Runs `work` on `threads` threads over everything that `produce` gives, and hands the results to `consume` in the
/// order in which they were given.
///
/// `produce` gets a function that takes a job and answers whether more are wanted; it should return when told no.
/// Every worker has a state of its own, made by `state`. A panic in any of them goes on in the caller.
///
/// # Errors
/// The first error of `consume`, otherwise the error of `produce`.
pub fn run<Job: Send, Done: Send, State, Error: Send>(
    threads: usize,
    produce: impl FnOnce(&mut dyn FnMut(Job) -> bool) -> Result<(), Error> + Send,
    state: impl Fn() -> State + Sync,
    work: impl Fn(&mut State, Job) -> Done + Sync,
    mut consume: impl FnMut(Done) -> Result<(), Error>,
) -> Result<(), Error> {
    let threads = threads.clamp(1, 64);
    let limit = in_flight(threads).max(threads);
    let (give_job, jobs) = bounded::<(u64, Job)>(limit);
    let (give_done, dones) = bounded::<(u64, std::thread::Result<Done>)>(limit);
    let (give_ticket, tickets) = bounded::<()>(limit);
    for _ in 0..limit {
        let _ = give_ticket.send(());
    }
    std::thread::scope(|scope| {
        let producer = scope.spawn(move || {
            let mut number = 0;
            let mut give = |job: Job| {
                let wanted = tickets.recv().is_ok() && give_job.send((number, job)).is_ok();
                number += 1;
                wanted
            };
            produce(&mut give)
        });
        for _ in 0..threads {
            let (jobs, give_done) = (jobs.clone(), give_done.clone());
            let (state, work) = (&state, &work);
            scope.spawn(move || worker(&jobs, &give_done, state, work));
        }
        // Only the workers hold these now: when they are gone, the channels close.
        drop((jobs, give_done));
        let consumed = in_order(&dones, &give_ticket, &mut consume);
        // Nobody waits for a ticket or a place any more: the producer and the workers end.
        drop((dones, give_ticket));
        let produced = match producer.join() {
            Ok(produced) => produced,
            Err(panic) => resume_unwind(panic),
        };
        consumed.and(produced)
    })
}

fn worker<Job, Done, State>(
    jobs: &Receiver<(u64, Job)>,
    give_done: &Sender<(u64, std::thread::Result<Done>)>,
    state: impl Fn() -> State,
    work: impl Fn(&mut State, Job) -> Done,
) {
    let mut state = state();
    for (number, job) in jobs {
        // A panic travels as a result: a number that never arrives would make everybody wait for ever.
        let done = catch_unwind(AssertUnwindSafe(|| work(&mut state, job)));
        let broken = done.is_err();
        if give_done.send((number, done)).is_err() || broken {
            return;
        }
    }
}

fn in_order<Done, Error>(
    dones: &Receiver<(u64, std::thread::Result<Done>)>,
    give_ticket: &Sender<()>,
    consume: &mut impl FnMut(Done) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut early = BTreeMap::new();
    let mut next = 0;
    for (number, done) in dones {
        early.insert(number, done.unwrap_or_else(|panic| resume_unwind(panic)));
        while let Some(done) = early.remove(&next) {
            consume(done)?;
            next += 1;
            let _ = give_ticket.send(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn keeps_the_order_and_the_limit() {
        let alive = AtomicUsize::new(0);
        let most = AtomicUsize::new(0);
        let mut seen = Vec::new();
        run::<u64, u64, (), ()>(
            3,
            |give| {
                for number in 0..500 {
                    most.fetch_max(alive.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    assert!(give(number));
                }
                Ok(())
            },
            || (),
            |(), number| {
                if number % 7 == 0 {
                    std::thread::sleep(std::time::Duration::from_micros(200));
                }
                number
            },
            |number| {
                alive.fetch_sub(1, Ordering::SeqCst);
                seen.push(number);
                Ok(())
            },
        )
        .unwrap();
        assert_eq!(seen, (0..500).collect::<Vec<_>>());
        // One more: a job is counted before there is room for it.
        assert!(most.load(Ordering::SeqCst) <= in_flight(3) + 1);
    }

    #[test]
    fn an_error_of_the_consumer_stops_the_producer() {
        let given = AtomicUsize::new(0);
        let error = run(
            2,
            |give| {
                while give(()) {
                    given.fetch_add(1, Ordering::SeqCst);
                }
                Err("the producer's, which comes later")
            },
            || (),
            |(), ()| (),
            |()| Err("the consumer's"),
        );
        assert_eq!(error, Err("the consumer's"));
        assert!(given.load(Ordering::SeqCst) <= in_flight(2) + 1);
    }

    #[test]
    fn an_error_of_the_producer_arrives_after_what_it_gave() {
        let mut seen = 0;
        let error = run(
            2,
            |give| if give(1) { Err("broken") } else { Ok(()) },
            || (),
            |(), one| one,
            |one| {
                seen += one;
                Ok(())
            },
        );
        assert_eq!((error, seen), (Err("broken"), 1));
    }

    #[test]
    fn a_panic_of_a_worker_reaches_the_caller() {
        let outcome = std::panic::catch_unwind(|| {
            run::<u8, (), (), ()>(
                2,
                |give| {
                    (0..50).all(give);
                    Ok(())
                },
                || (),
                |(), number| {
                    if number == 20 {
                        panic!("worker")
                    }
                },
                |_| Ok(()),
            )
        });
        assert!(outcome.is_err());
    }
}
