//! How long-running work tells what it is doing, without knowing who listens.

use serde::Serialize;
use std::path::{Path, PathBuf};

/// Something that happened. `--json` prints these, one object per line; a terminal draws bars from them.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event<'a> {
    /// A numbered step of the journey begins.
    Step {
        /// From 1.
        number: u32,
        /// How many steps there are.
        of: u32,
        /// What it does.
        title: &'a str,
    },
    /// That step ended well.
    StepDone {
        /// From 1.
        number: u32,
        /// How many steps there are.
        of: u32,
        /// What it did.
        title: &'a str,
        /// How long it took.
        seconds: f64,
    },
    /// Work on one file or volume begins.
    TaskStart {
        /// The file's name; later events repeat it.
        task: &'a str,
        /// Bytes to do, when known.
        bytes: Option<u64>,
    },
    /// That work, which is about many files, has come to this one.
    TaskFile {
        /// The name of the work.
        task: &'a str,
        /// The file in work.
        file: &'a str,
    },
    /// That work has come this far.
    TaskProgress {
        /// The file's name.
        task: &'a str,
        /// Bytes done in all.
        bytes: u64,
    },
    /// That work is over.
    TaskEnd {
        /// The file's name.
        task: &'a str,
        /// Bytes done in all.
        bytes: u64,
    },
    /// Worth knowing.
    Note {
        /// One sentence.
        text: &'a str,
    },
    /// Worth acting on.
    Warning {
        /// One sentence.
        text: &'a str,
    },
}

/// Whoever listens.
pub trait Reporter: Send + Sync {
    /// Takes note of an event. Must be quick and must not fail.
    fn event(&self, event: &Event<'_>);

    /// Is a person there who can put in another stick?
    fn can_ask(&self) -> bool {
        false
    }

    /// Asks for another stick and waits; answers its folder, or nothing when nobody is there or wants to go on.
    fn ask_for_stick(&self, _: &StickRequest<'_>) -> Option<PathBuf> {
        None
    }

    /// Has somebody asked to stop? Long work looks often and ends at the next place from which it can go on.
    fn stopping(&self) -> bool {
        false
    }

    /// For `?` at such a place.
    ///
    /// # Errors
    /// [`Stopped`] when somebody has asked to stop.
    fn go_on(&self) -> Result<(), Stopped> {
        if self.stopping() { Err(Stopped) } else { Ok(()) }
    }
}

/// A stick that has to be put in for the work to go on.
#[derive(Clone, Copy, Debug)]
pub struct StickRequest<'a> {
    /// Why, and which one, named by number.
    pub why: &'a str,
    /// Where the one before was.
    pub folder: &'a Path,
}

/// Work ended early because somebody asked it to. What it leaves can be gone on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stopped")]
pub struct Stopped;

/// Nobody listens.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn event(&self, _: &Event<'_>) {}
}
