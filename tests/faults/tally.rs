//! Counts cases and losses, on all cores.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Is everything to be tried, or only what fits the daily tests? `scripts/faults` asks for everything.
pub(crate) fn full() -> bool {
    std::env::var_os("FAULTS").is_some_and(|word| word == "full")
}

/// At most `most` of them, evenly; all of them when everything is to be tried, or every n-th if there is less time.
pub(crate) fn sample<T>(all: Vec<T>, most: usize) -> Vec<T> {
    let every = || std::env::var("FAULTS_EVERY").ok()?.parse().ok();
    let step = if full() { every().unwrap_or(1) } else { all.len().div_ceil(most) }.max(1);
    all.into_iter().step_by(step).collect()
}

/// Tries every case on all cores and counts under the name `kind` what they say they really tried.
///
/// # Panics
/// When there was a loss, with all of them.
pub(crate) fn tally<C: Sync>(kind: &str, cases: &[C], attempt: impl Fn(&C) -> Result<usize, String> + Sync) {
    let (next, tried, losses) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(2, usize::from).min(8);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match attempt(case) {
                        Ok(count) => drop(tried.fetch_add(count, Ordering::Relaxed)),
                        Err(loss) => losses.lock().unwrap().push(loss),
                    }
                }
            });
        }
    });
    let losses = losses.into_inner().unwrap();
    let tried = tried.into_inner() + losses.len();
    report(kind, tried, losses.len());
    assert!(tried * 2 >= cases.len(), "{kind}: only {tried} of {} points were reached", cases.len());
    let text = losses.iter().take(40).fold(String::new(), |mut text, loss| {
        let _ = writeln!(text, "- {loss}");
        text
    });
    assert!(losses.is_empty(), "{kind}: {} of {tried} cases lost something:\n{text}", losses.len());
}

/// Notes the counts for `scripts/faults`.
fn report(kind: &str, tried: usize, lost: usize) {
    let Some(file) = std::env::var_os("FAULTS_COUNTS") else { return };
    let mut file = fs_err::OpenOptions::new().create(true).append(true).open(file.as_os_str()).unwrap();
    writeln!(file, "{kind}\t{tried}\t{lost}").unwrap();
}
