//! Why a text of ours was refused.

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
}
