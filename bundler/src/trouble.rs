//! Why one source did not give one file.

use manifest::{ByteSize, Sha256};
use std::io;
use std::time::Duration;

/// What went wrong with one source of one file.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says what it means")]
pub enum Trouble {
    // Worth another try.
    #[error("the connection failed: {0}")]
    Connection(String),
    #[error("nothing arrived for {} seconds", .0.as_secs_f32())]
    Stalled(Duration),
    #[error("the connection ended after {got} of {expected} bytes")]
    Short { got: u64, expected: u64 },
    #[error("the server is busy (HTTP {status}){}", wait(.retry_after))]
    Busy { status: u16, retry_after: Option<Duration> },
    #[error("the server sent another stretch of the file than it was asked for: {0}")]
    OddRange(String),

    // Start over.
    #[error("the file changed on the server while it was being fetched")]
    Changed,
    #[error("the server does not send parts of the file")]
    RangesIgnored,

    // This source is of no use.
    #[error("the server wants to know who asks (HTTP {status})")]
    Unauthorized { status: u16 },
    #[error("the server does not have it (HTTP {status})")]
    NotFound { status: u16 },
    #[error("the server refused (HTTP {status})")]
    Refused { status: u16 },
    #[error("it is a web page, not the file: probably a login page or a notice")]
    LoginPage,
    #[error("it is a git-LFS pointer, not the file itself")]
    LfsPointer,
    #[error("the server sent it compressed (`{0}`), although it was asked for the plain file")]
    Encoded(String),
    #[error("its size is not the stated one: expected {stated} bytes, the server offers {offered}")]
    WrongSize { stated: u64, offered: u64 },
    #[error("it is longer than the stated {stated} bytes")]
    TooLong { stated: u64 },
    #[error("its content is not the expected one\n    expected {expected}\n    found    {found}")]
    WrongDigest { expected: String, found: String },
    #[error("it is a pickle ({0}): opening such a file can run any program")]
    Pickle(&'static str),
    #[error("it is not a `.safetensors` file: {0}")]
    NotWeights(&'static str),
    #[error("it would come over an unprotected connection: {0}")]
    PlainHttp(String),
    #[error("it redirects in circles")]
    Redirects,
    #[error("the server's certificate is not trusted: {0}")]
    Certificate(String),
    #[error("{0}")]
    Registry(String),
    #[error("nobody vouches for its content: this source has no digest")]
    Unconfirmed,
    #[error("the file `{0}` is not there")]
    NoFile(String),
    #[error("this is an offline run")]
    Offline,
    #[error("this program does not have it built in")]
    NoBuiltin,

    // This machine.
    #[error("this machine could not store it: {0}")]
    Disk(#[from] io::Error),
    #[error("it needs {} more, but only {} are free", ByteSize(*.needed), ByteSize(*.free))]
    NoRoom { needed: u64, free: u64 },
    #[error("another file failed")]
    Stopped,
}

fn wait(retry_after: &Option<Duration>) -> String {
    retry_after.map(|wait| format!(" and asks to wait {} seconds", wait.as_secs())).unwrap_or_default()
}

impl Trouble {
    /// Whether the same request can succeed a moment later.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Connection(_) | Self::Stalled(_) | Self::Short { .. } | Self::Busy { .. } | Self::OddRange(_)
        )
    }

    /// Whether what has arrived so far is worthless.
    pub(crate) fn spoils(&self) -> bool {
        matches!(
            self,
            Self::Changed
                | Self::RangesIgnored
                | Self::WrongDigest { .. }
                | Self::WrongSize { .. }
                | Self::TooLong { .. }
                | Self::Pickle(_)
                | Self::NotWeights(_)
                | Self::LfsPointer
        )
    }

    /// Whether no other source can help.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(self, Self::Disk(_) | Self::NoRoom { .. } | Self::Stopped)
    }

    /// Content that is not the expected one.
    pub(crate) fn wrong_sha256(expected: Sha256, found: Sha256) -> Self {
        Self::WrongDigest { expected: format!("sha256 {expected}"), found: format!("sha256 {found}") }
    }

    /// What an HTTP status that is no success means.
    pub(crate) fn of_status(status: u16, retry_after: Option<Duration>) -> Self {
        match status {
            401 | 403 | 407 => Self::Unauthorized { status },
            404 | 410 => Self::NotFound { status },
            408 | 425 | 429 | 500..=599 => Self::Busy { status, retry_after },
            _ => Self::Refused { status },
        }
    }

    /// What an error of the HTTP client means.
    pub(crate) fn of_client(error: ureq::Error, stall: Duration) -> Self {
        match error {
            ureq::Error::Timeout(_) => Self::Stalled(stall),
            ureq::Error::Io(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => {
                Self::Stalled(stall)
            }
            ureq::Error::Rustls(error) => Self::Certificate(error.to_string()),
            ureq::Error::Io(error) if error.to_string().contains("certificate") => Self::Certificate(error.to_string()),
            ureq::Error::HostNotFound => Self::Connection("the server's name is not known".to_owned()),
            error => Self::Connection(error.to_string()),
        }
    }

    /// The size as people read it, for hints.
    pub(crate) fn storage_hint(folder: &str, needed: u64) -> String {
        format!("free {} there, or choose another folder with `--cache`; `{folder}` is used now", ByteSize(needed))
    }
}
