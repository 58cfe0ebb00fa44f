//! What verification found wrong. A finding is a result, not an error: `verify` reports all of them.

use crate::{ByteSize, Sha256};
use serde::Serialize;
use std::fmt;

/// One thing that is wrong with one file, volume or member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about, as the user sees it ("`kit.tar.zst.002`").
    pub subject: String,
    /// What is wrong with it.
    #[serde(flatten)]
    pub problem: Problem,
}

/// What can be wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "problem", rename_all = "kebab-case")]
pub enum Problem {
    /// It is not there.
    Missing,
    /// It lies on another stick: nothing of what should be here is missing.
    Elsewhere,
    /// Its size is not the one in the manifest.
    WrongSize {
        /// Bytes expected.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// Its content is not the one in the manifest.
    WrongDigest {
        /// Digest expected.
        expected: Sha256,
        /// Digest found.
        found: Sha256,
    },
    /// A stretch of it is damaged.
    Damaged {
        /// Where the damaged stretch begins in the file that `subject` names.
        offset: u64,
        /// How many bytes are affected.
        length: u64,
        /// How it was noticed.
        reason: String,
    },
    /// It ends too early.
    Truncated {
        /// Where it ends.
        at: u64,
    },
    /// It belongs to another bundle or is not ours at all.
    Foreign {
        /// Why we think so.
        reason: String,
    },
    /// It is there although the manifest does not know it.
    Unexpected,
    /// The operating system refused to read it.
    Unreadable {
        /// The operating system's words.
        reason: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.subject, self.problem)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(f, "missing"),
            Self::Elsewhere => write!(f, "not here: it lies on another stick"),
            Self::WrongSize { expected, found } if found > expected => {
                write!(f, "{} too long (expected {expected} bytes, found {found})", ByteSize(found - expected))
            }
            Self::WrongSize { expected, found } => {
                write!(f, "{} too short (expected {expected} bytes, found {found})", ByteSize(expected - found))
            }
            Self::WrongDigest { expected, found } => {
                write!(
                    f,
                    "its content is not the expected one\n    expected sha256 {expected}\n    found    sha256 {found}"
                )
            }
            Self::Damaged { offset, length, reason } => {
                write!(f, "damaged: {} at offset {} ({offset}): {reason}", ByteSize(*length), ByteSize(*offset))
            }
            Self::Truncated { at } => write!(f, "cut off after {} ({at} bytes)", ByteSize(*at)),
            Self::Foreign { reason } => write!(f, "does not belong here: {reason}"),
            Self::Unexpected => write!(f, "not in the manifest"),
            Self::Unreadable { reason } => write!(f, "cannot be read: {reason}"),
        }
    }
}
