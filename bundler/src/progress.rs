//! How far one file has come.

use crate::Trouble;
use manifest::{Event, Reporter};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Tells a reporter about one file, often enough for a bar and no oftener.
pub(crate) struct Progress<'a> {
    reporter: &'a dyn Reporter,
    task: &'a str,
    bytes: AtomicU64,
    told: Mutex<Instant>,
}

const INTERVAL: Duration = Duration::from_millis(100);

impl<'a> Progress<'a> {
    /// Work on `task` begins.
    pub(crate) fn start(reporter: &'a dyn Reporter, task: &'a str, bytes: Option<u64>) -> Self {
        reporter.event(&Event::TaskStart { task, bytes });
        Self { reporter, task, bytes: AtomicU64::new(0), told: Mutex::new(Instant::now()) }
    }

    /// Has somebody asked to stop?
    pub(crate) fn go_on(&self) -> Result<(), Trouble> {
        self.reporter.go_on().map_err(|_| Trouble::Stopped)
    }

    /// So many bytes more.
    pub(crate) fn add(&self, bytes: u64) {
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() >= INTERVAL {
            *told = Instant::now();
            drop(told);
            self.reporter.event(&Event::TaskProgress { task: self.task, bytes });
        }
    }

    /// So many bytes were for nothing.
    pub(crate) fn take_back(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// So many bytes are there in all.
    pub(crate) fn set(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Something to know about this file.
    pub(crate) fn note(&self, text: &str) {
        self.reporter.event(&Event::Note { text: &format!("{}: {text}", self.task) });
    }

    /// Work is over.
    pub(crate) fn end(&self, bytes: u64) {
        self.reporter.event(&Event::TaskEnd { task: self.task, bytes });
    }
}
