//! Why an import did not happen. Nothing in the folder that is imported is ever changed.

use crate::InstallError;
use std::path::PathBuf;

/// Why an import did not happen.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// There is no such folder.
    #[error("`{}` is no folder", folder.display())]
    NotAFolder {
        /// The path.
        folder: PathBuf,
    },
    /// The folder is a home of this program.
    #[error("`{}` is a home of this program already", folder.display())]
    IsAHome {
        /// The folder.
        folder: PathBuf,
    },
    /// The home would lie in the folder that is imported.
    #[error("the home `{}` lies inside `{}`, which is to be imported", home.display(), folder.display())]
    HomeInside {
        /// The home.
        home: PathBuf,
        /// The folder.
        folder: PathBuf,
    },
    /// Nothing of use is in the folder.
    #[error("`{}` holds no models, pictures or settings of a known program", folder.display())]
    Nothing {
        /// The folder.
        folder: PathBuf,
    },
    /// The home is another one than when the plan was made.
    #[error("`{}` was changed by another program in the meantime", home.display())]
    HomeChanged {
        /// The home.
        home: PathBuf,
    },
    /// A file of the folder could not be read to its end.
    #[error("`{}` cannot be read: {reason}\n  nothing of this import is in use; what was copied so far is kept and will be continued", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's words.
        reason: String,
    },
    /// A file of the folder became shorter or longer while it was read.
    #[error("`{}` was changed while it was read: it had {expected} bytes, now it has {found}", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// Bytes when the plan was made.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// The installation that would be made contradicts itself: a fault of ours.
    #[error("the installation cannot be described: {reason}")]
    Impossible {
        /// What is wrong.
        reason: String,
    },
    /// The home cannot take it.
    #[error(transparent)]
    Install(#[from] InstallError),
}

impl ImportError {
    /// What to do now.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotAFolder { .. } => {
                "name the folder of Forge, AUTOMATIC1111's web UI, Fooocus, ComfyUI or InvokeAI, or one with models"
                    .to_owned()
            }
            Self::IsAHome { .. } => "name the folder of another program".to_owned(),
            Self::HomeInside { .. } => "choose a home outside that folder with `--home`".to_owned(),
            Self::Nothing { .. } => {
                "name the folder that holds `models` (InvokeAI: the one with `invokeai.yaml`), or the folder with the \
                 model files itself"
                    .to_owned()
            }
            Self::HomeChanged { .. } => "run the same command again".to_owned(),
            Self::Unreadable { .. } => "check the disk it is on, then run the same command again".to_owned(),
            Self::Changed { .. } => {
                "close the program that writes to it (a download?), then run the same command again".to_owned()
            }
            Self::Impossible { .. } => "report this with the command that led here".to_owned(),
            Self::Install(error) => return error.hint(),
        })
    }
}
