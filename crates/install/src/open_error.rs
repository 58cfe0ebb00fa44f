//! Why a bundle could not be opened.

use manifest::{Finding, ManifestError, SignatureError};
use std::path::PathBuf;

/// Why a bundle could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is nothing at that path.
    #[error("`{}` does not exist", path.display())]
    NotFound {
        /// The path.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("`{}` cannot be read: {reason}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// The operating system's words.
        reason: String,
    },
    /// A folder without a bundle.
    #[error("`{}` holds no bundle: no file in it is called `NAME.tar.zst` or `NAME.tar.zst.001`", folder.display())]
    NoBundle {
        /// The folder.
        folder: PathBuf,
    },
    /// A folder with more than one bundle.
    #[error("`{}` holds several bundles: {}", folder.display(), names.join(", "))]
    Several {
        /// The folder.
        folder: PathBuf,
        /// Their names.
        names: Vec<String>,
    },
    /// The bundle was never finished.
    #[error("the bundle in `{}` was not finished: making it was interrupted or is still going on", folder.display())]
    Unfinished {
        /// The folder.
        folder: PathBuf,
    },
    /// The file is something else.
    #[error("`{}` is not a volume of a Fieldforge bundle", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// The file has no content.
    #[error("`{}` is empty (0 bytes)", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Folders with different bundles were named together.
    #[error("`{}` holds the bundle `{found}`, and the first folder that was named holds `{expected}`", folder.display())]
    Another {
        /// The folder.
        folder: PathBuf,
        /// Its bundle.
        found: String,
        /// The bundle of the first folder.
        expected: String,
    },
    /// A folder without any volume of the bundle.
    #[error("`{}` holds no volume of `{name}`", folder.display())]
    NoVolume {
        /// The folder.
        folder: PathBuf,
        /// The bundle's name.
        name: String,
    },
    /// The first volume, with the manifest in it, lies on another stick.
    #[error("`{}` holds {}; the table of contents is in volume 1, on another stick", folder.display(), here.join(", "))]
    NotFirst {
        /// The folder.
        folder: PathBuf,
        /// The volumes in it, in backquotes.
        here: Vec<String>,
        /// The name of the first volume.
        first: String,
    },
    /// Volume headers are damaged beyond recognition.
    #[error("`{volume}` in `{}` is damaged: neither its beginning nor its end can be read", folder.display())]
    NoHeader {
        /// The folder.
        folder: PathBuf,
        /// The volume.
        volume: String,
    },
    /// The manifest, at the head of the first volume, cannot be had.
    #[error("the table of contents `MANIFEST.json` cannot be read{}", listing(findings))]
    NoManifest {
        /// Everything that is known to be wrong.
        findings: Vec<Finding>,
    },
    /// The manifest is intact, and is not the one that the volumes belong to.
    #[error("`{volume}`: its table of contents is not the one that its header names")]
    WrongManifest {
        /// The first volume.
        volume: String,
    },
    /// The signature is not one of this manifest.
    #[error("`{volume}`: the signature of its table of contents is refused: {reason}")]
    WrongSignature {
        /// The first volume.
        volume: String,
        /// Why.
        reason: SignatureError,
    },
    /// The manifest is refused.
    #[error(transparent)]
    Manifest(ManifestError),
}

fn listing(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("\n  {finding}")).collect()
}

impl OpenError {
    /// What to do now.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotFound { .. } => "check the path; is the stick plugged in and mounted?".to_owned(),
            Self::Unreadable { .. } => "check your rights there, then unplug the stick and plug it in again".to_owned(),
            Self::NoBundle { .. } => "give the folder that holds `START-HERE.txt`".to_owned(),
            Self::Several { folder, names } => format!(
                "name one of them: `{}`",
                folder.join(manifest::layout::archive_name(names.first().map_or("", |name| name))).display()
            ),
            Self::Unfinished { .. } => {
                "run the same `fieldforge bundle` command again on the machine that made it".to_owned()
            }
            Self::NotOurs { .. } => "give the folder that holds `START-HERE.txt`, or a volume in it".to_owned(),
            Self::Empty { .. } | Self::NoVolume { .. } | Self::Another { .. } => {
                "put in another stick of this bundle, or copy the bundle again from where it was made".to_owned()
            }
            Self::NotFirst { first, .. } => format!(
                "put in the stick that holds `{first}` and name its folder; after it, the others can come in any order"
            ),
            Self::NoHeader { .. } | Self::NoManifest { .. } | Self::WrongManifest { .. } => {
                "copy the bundle folder again from where it was made".to_owned()
            }
            Self::WrongSignature { .. } => {
                "do not install from this bundle: somebody or something changed it after it was signed. Copy it \
                 again from where it was made"
                    .to_owned()
            }
            Self::Manifest(error) => return error.hint(),
        })
    }
}
