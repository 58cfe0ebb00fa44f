//! Ctrl-C, and what else asks a program to end.
//!
//! Work that looks at [`Stop::asked`] is run inside [`Stop::gently`]: there the first signal only asks, and the second
//! one ends the program at once. Everywhere else the first one does, as it does to every program.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The exit status of a program that was asked to stop: what shells give to one that Ctrl-C ended.
pub(crate) const STATUS: u8 = 130;

/// Whether somebody asked this program to stop.
#[derive(Debug)]
pub(crate) struct Stop {
    asked: Arc<AtomicBool>,
    at_once: Arc<AtomicBool>,
}

impl Stop {
    /// Listens to Ctrl-C, to `kill` and to a terminal that goes away; one that is ignored already (`nohup`) stays so.
    pub(crate) fn listen() -> Self {
        let stop = Self { asked: Arc::default(), at_once: Arc::new(AtomicBool::new(true)) };
        for signal in SIGNALS.iter().filter(|signal| !crate::system::is_ignored(**signal)) {
            // In this order: the first signal finds `at_once` as the work wants it, the next one finds it set.
            let _ = signal_hook::flag::register_conditional_shutdown(*signal, STATUS.into(), Arc::clone(&stop.at_once));
            let _ = signal_hook::flag::register(*signal, Arc::clone(&stop.asked));
            let _ = signal_hook::flag::register(*signal, Arc::clone(&stop.at_once));
        }
        // A write beyond `ulimit -f` is an error that names its file, not the end of the program.
        #[cfg(unix)]
        let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
        stop
    }

    /// Has somebody asked?
    pub(crate) fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// The flag itself, for work that wants one.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.asked)
    }

    /// Runs work that looks whether it should stop.
    pub(crate) fn gently<T>(&self, work: impl FnOnce() -> T) -> T {
        self.with(false, work)
    }

    /// Runs something inside such work that cannot look, and from which nothing is lost: a question to a person.
    pub(crate) fn abruptly<T>(&self, work: impl FnOnce() -> T) -> T {
        self.with(true, work)
    }

    fn with<T>(&self, at_once: bool, work: impl FnOnce() -> T) -> T {
        let before = self.at_once.swap(at_once || self.asked(), Ordering::SeqCst);
        let value = work();
        self.at_once.store(before || self.asked(), Ordering::SeqCst);
        value
    }
}

#[cfg(unix)]
const SIGNALS: [i32; 3] = [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP];
#[cfg(not(unix))]
const SIGNALS: [i32; 2] = [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM];
