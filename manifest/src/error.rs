//! Why a text of ours was refused.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fmt::Display;

/// A catalog, request, lock or manifest that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The text is not valid TOML or JSON of the expected shape.
    #[error("`{file}` cannot be read as {what}: {reason}")]
    Syntax {
        /// The file as the user knows it.
        file: String,
        /// What it should have been ("a catalog").
        what: &'static str,
        /// The parser's own words, with line and column.
        reason: String,
    },
    /// The text is well formed and says something impossible.
    #[error("`{file}`: {reason}")]
    Meaning {
        /// The file as the user knows it.
        file: String,
        /// What is impossible and why.
        reason: String,
        /// What to do now.
        hint: String,
    },
    /// The file was made by a newer program.
    #[error("`{file}` has format version {found}; this program reads versions up to {supported}")]
    NewerFormat {
        /// The file as the user knows it.
        file: String,
        /// The version that it claims.
        found: u32,
        /// The newest version that this program reads.
        supported: u32,
    },
}

impl ManifestError {
    /// What to do now.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Syntax { file, .. } => Some(format!(
                "correct `{file}` at the place named above, or start again from the example in the README"
            )),
            Self::Meaning { hint, .. } => Some(hint.clone()),
            Self::NewerFormat { .. } => {
                Some("use the `fieldforge` program that lies beside the bundle: it is the one that made it".to_owned())
            }
        }
    }

    /// Not valid, or not of the expected shape.
    pub(crate) fn syntax(file: &str, what: &'static str, reason: impl Display) -> Self {
        Self::Syntax { file: file.to_owned(), what, reason: reason.to_string() }
    }

    /// Reads JSON of ours. Its `format` comes first, so that a file of a newer program is called that, whatever else is
    /// new in it.
    pub(crate) fn json<T: DeserializeOwned>(
        file: &str,
        what: &'static str,
        text: &[u8],
        supported: u32,
    ) -> Result<T, Self> {
        let version: Version = serde_json::from_slice(text).map_err(|error| Self::syntax(file, what, error))?;
        version.check(file, supported)?;
        serde_json::from_slice(text).map_err(|error| Self::syntax(file, what, error))
    }

    /// The same for TOML.
    pub(crate) fn toml<T: DeserializeOwned>(
        file: &str,
        what: &'static str,
        text: &str,
        supported: u32,
    ) -> Result<T, Self> {
        let version: Version = toml::from_str(text).map_err(|error| Self::syntax(file, what, error))?;
        version.check(file, supported)?;
        toml::from_str(text).map_err(|error| Self::syntax(file, what, error))
    }
}

/// The field that every file of ours with versions has.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

impl Version {
    fn check(&self, file: &str, supported: u32) -> Result<(), ManifestError> {
        match self.format > supported {
            true => Err(ManifestError::NewerFormat { file: file.to_owned(), found: self.format, supported }),
            false => Ok(()),
        }
    }
}
