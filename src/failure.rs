//! How a command ends badly: one message, one hint, one exit status, decided here.

use crate::stop;
use manifest::Stopped;
use std::fmt;
use std::process::ExitCode;

/// Why a command could not do what was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    hint: Option<String>,
    status: u8,
    stopped: bool,
}

/// The result of every command.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// The request cannot be met: exit status 1.
    pub(crate) fn new(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), hint: None, status: 1, stopped: false }
    }

    /// Wrong usage: exit status 2.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), hint: None, status: 2, stopped: false }
    }

    /// Somebody asked to stop: exit status 130. `left`: what is there now.
    pub(crate) fn stopped(left: impl fmt::Display) -> Self {
        let hint = Some("run the same command again to go on".to_owned());
        Self { message: left.to_string(), hint, status: stop::STATUS, stopped: true }
    }

    /// What to do now.
    pub(crate) fn with_hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.status)
    }

    pub(crate) const fn is_stop(&self) -> bool {
        self.stopped
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// Runs `work`; a panic, which is always a fault of ours, becomes a failure with exit status 2.
pub(crate) fn guarded(work: impl FnOnce() -> Outcome) -> Outcome {
    // The panic hook has printed where it happened; nothing of the run is used afterwards.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(Failure::usage("this program has a fault and stopped; what it said stands above").with_hint(
            "files under their final names are whole; run the same command again, and report what stands above",
        ))
    })
}

/// `error: …`, an empty line, `hint: …`. A stop that was asked for is no error: `Stopped.`, what is left, how to go on.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.stopped {
            write!(f, "Stopped. {}.", capitalised(&self.message))?;
            return self.hint.iter().try_for_each(|hint| write!(f, " {}.", capitalised(hint)));
        }
        write!(f, "error: {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Did `error` come from somebody's wish to stop?
fn is_stop(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<Stopped>()
        || matches!(error.downcast_ref(), Some(engine::EngineError::Cancelled))
        || error.source().is_some_and(is_stop)
}

/// The text of an error and of its causes, each said once.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

macro_rules! from_hinted {
    ($($error:ty),+ $(,)?) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                let (hint, message) = (error.hint(), chain(&error));
                if is_stop(&error) {
                    // The engine leaves nothing behind.
                    let left = message.strip_prefix("stopped: ").unwrap_or("the picture is not finished");
                    let stopped = Self::stopped(left);
                    return Self { hint: hint.or(stopped.hint), ..stopped };
                }
                Self { message, hint, status: 1, stopped: false }
            }
        }
    )+};
}

from_hinted!(
    manifest::ManifestError,
    bundler::PlanError,
    bundler::FetchError,
    bundler::PackError,
    ::install::OpenError,
    ::install::InstallError,
    ::install::ImportError,
    ::install::RepairError,
    ::install::RestoreError,
    seal::SealError,
    engine::EngineError,
    server::ServerError,
);

impl From<Stopped> for Failure {
    fn from(_: Stopped) -> Self {
        Self::stopped("nothing was changed")
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        let hint = match error.kind() {
            std::io::ErrorKind::StorageFull => Some("free some space on that disk and run the same command again"),
            std::io::ErrorKind::PermissionDenied => Some("choose a folder that you may write to, or ask its owner"),
            std::io::ErrorKind::ReadOnlyFilesystem => Some("choose a folder on a disk that can be written to"),
            std::io::ErrorKind::NotFound => Some("check the spelling of the path"),
            _ => None,
        };
        Self { message: chain(&error), hint: hint.map(str::to_owned), status: 1, stopped: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_fault_of_ours_and_ends_with_2() {
        let failure = guarded(|| panic!("on purpose")).unwrap_err();
        assert_eq!(failure.status, 2);
        assert!(failure.to_string().contains("\n\nhint: "));
        assert!(guarded(|| Ok(())).is_ok());
    }
}
