//! Model files that come while the server runs.

use std::io::Read;
use std::path::Path;

use crate::AssetKind;

/// A model file that somebody wants to add.
pub struct NewModel<'a> {
    /// What it is for; absent: what its content says.
    pub kind: Option<AssetKind>,
    /// Where its bytes are.
    pub from: ModelSource<'a>,
}

/// Where the bytes of a new model file are.
pub enum ModelSource<'a> {
    /// They are being sent.
    Sent {
        /// The file's name, as the sender calls it; not to be trusted.
        name: &'a str,
        /// The bytes.
        body: &'a mut dyn Read,
    },
    /// In a file of this machine.
    File(&'a Path),
}

/// Why a model file was not added. Nothing is left of it then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AddError {
    /// Which kind of answer it deserves.
    pub reason: AddReason,
    /// What happened, to which file, why.
    pub message: String,
    /// What to do now.
    pub hint: String,
}

/// The kinds of [`AddError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddReason {
    /// A file of that name is installed (409).
    Exists,
    /// It is no model file that can be used here: a pickle, a web page, cut off, of an unknown kind (400).
    Unfit,
    /// There is no such file, or the sealed server may not read it (404).
    Unreadable,
    /// It could not be kept: the disk is full or cannot be written to (507).
    NotKept,
}

/// What a look at an installed file's bytes found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Verdict {
    /// Whether it is as it was installed; absent when nobody knows how that was.
    pub matches: Option<bool>,
    /// SHA-256 of the file in hex, as it is now.
    pub sha256: String,
    /// SHA-256 of the file in hex, as it was installed.
    pub expected: Option<String>,
}
