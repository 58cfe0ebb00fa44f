//! How far one file has come.

use crate::Trouble;
use manifest::{Event, Reporter};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Tells a reporter about one file, and about all of them, often enough for a bar and no oftener.
pub(crate) struct Progress<'a> {
    reporter: &'a dyn Reporter,
    task: &'a str,
    overall: &'a Overall,
    bytes: AtomicU64,
    told: Mutex<Instant>,
}

/// How far all files of a fetch together have come.
pub(crate) struct Overall {
    task: String,
    bytes: AtomicU64,
}

impl Overall {
    /// Work on files of `sizes` begins.
    pub(crate) fn start(reporter: &dyn Reporter, sizes: impl ExactSizeIterator<Item = Option<u64>>) -> Self {
        let task = format!("{} files in all", sizes.len());
        let total = sizes.sum();
        reporter.event(&Event::TaskStart { task: &task, bytes: total });
        Self { task, bytes: AtomicU64::new(0) }
    }

    fn tell(&self, reporter: &dyn Reporter) {
        reporter.event(&Event::TaskProgress { task: &self.task, bytes: self.bytes.load(Ordering::Relaxed) });
    }

    /// Work is over.
    pub(crate) fn end(&self, reporter: &dyn Reporter) {
        reporter.event(&Event::TaskEnd { task: &self.task, bytes: self.bytes.load(Ordering::Relaxed) });
    }
}

const INTERVAL: Duration = Duration::from_millis(100);

impl<'a> Progress<'a> {
    /// Work on `task` begins.
    pub(crate) fn start(reporter: &'a dyn Reporter, task: &'a str, bytes: Option<u64>, overall: &'a Overall) -> Self {
        reporter.event(&Event::TaskStart { task, bytes });
        Self { reporter, task, overall, bytes: AtomicU64::new(0), told: Mutex::new(Instant::now()) }
    }

    /// Has somebody asked to stop?
    pub(crate) fn go_on(&self) -> Result<(), Trouble> {
        self.reporter.go_on().map_err(|_| Trouble::Stopped)
    }

    /// So many bytes more.
    pub(crate) fn add(&self, bytes: u64) {
        self.overall.bytes.fetch_add(bytes, Ordering::Relaxed);
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() >= INTERVAL {
            *told = Instant::now();
            drop(told);
            self.reporter.event(&Event::TaskProgress { task: self.task, bytes });
            self.overall.tell(self.reporter);
        }
    }

    /// So many bytes were for nothing.
    pub(crate) fn take_back(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.overall.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// So many bytes are there in all.
    pub(crate) fn set(&self, bytes: u64) {
        let before = self.bytes.swap(bytes, Ordering::Relaxed);
        self.overall.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.overall.bytes.fetch_sub(before, Ordering::Relaxed);
    }

    /// Something to know about this file.
    pub(crate) fn note(&self, text: &str) {
        self.reporter.event(&Event::Note { text: &format!("{}: {text}", self.task) });
    }

    /// Work is over.
    pub(crate) fn end(&self, bytes: u64) {
        self.set(bytes);
        self.reporter.event(&Event::TaskEnd { task: self.task, bytes });
        self.overall.tell(self.reporter);
    }
}
