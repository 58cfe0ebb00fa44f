//! Why a folder was not restored. Nothing has its final name then.

use crate::OpenError;
use manifest::{ByteSize, Edition, Finding, ManifestError, PublicKey, Stopped};
use std::io;
use std::path::PathBuf;

/// Why a folder was not restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// A bundle could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// None of the bundles is a frozen folder.
    #[error("{} to be installed, not restored", if names.len() == 1 { format!("`{}` is a bundle", names.join("")) } else { format!("`{}` are bundles", names.join("`, `")) })]
    NotFrozen {
        /// Their names.
        names: Vec<String>,
    },
    /// It is not clear which one to restore.
    #[error("two different backups were given, and neither is the newer one: {one} and {other}")]
    Ambiguous {
        /// One of them.
        one: Box<Edition>,
        /// The other.
        other: Box<Edition>,
    },
    /// A backup builds on others that were not given.
    #[error("{wanted} holds only what changed since; it needs {} more:\n    {}", lacking.len(), lacking.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n    "))]
    Lacking {
        /// The one to restore.
        wanted: Edition,
        /// Those that it needs.
        lacking: Vec<Edition>,
    },
    /// None of the bundles holds a part of a file.
    #[error("{wanted} does not hold all of `{path}`, and none of the other bundles that were given does")]
    NotThere {
        /// The one to restore.
        wanted: Edition,
        /// The file.
        path: String,
    },
    /// Nobody signed it.
    #[error("nobody signed {wanted}: whoever held it could have changed it")]
    Unsigned {
        /// The one to restore.
        wanted: Edition,
    },
    /// Somebody else signed it.
    #[error("{wanted} was signed by another key\n    its words: {}", key.words())]
    ForeignKey {
        /// The one to restore.
        wanted: Edition,
        /// The key that signed it.
        key: PublicKey,
    },
    /// There is something already.
    #[error("`{}` is there already and not an empty folder", to.display())]
    NotEmpty {
        /// The folder to restore to.
        to: PathBuf,
    },
    /// Something that is not ours lies where the folder is put together.
    #[error("`{}` is needed to restore beside it and is not ours", staging.display())]
    StagingTaken {
        /// The folder in which it is put together.
        staging: PathBuf,
    },
    /// Another program restores there.
    #[error("something is being restored to `{}` already{}", to.display(), if holder.is_empty() { String::new() } else { format!(" (process {holder})") })]
    Locked {
        /// The folder to restore to.
        to: PathBuf,
        /// Its process.
        holder: String,
    },
    /// The folder would lie inside a bundle.
    #[error("`{}` lies inside the backup `{}`", to.display(), bundle.display())]
    InsideBundle {
        /// The folder to restore to.
        to: PathBuf,
        /// The bundle's folder.
        bundle: PathBuf,
    },
    /// The disk cannot be written to.
    #[error("`{}` cannot be written to: {reason}", to.display())]
    NotWritable {
        /// The folder to restore to.
        to: PathBuf,
        /// The operating system's words.
        reason: String,
    },
    /// The disk is too small.
    #[error("`{}` has {} free; the restored folder needs {}", to.display(), ByteSize(*free), ByteSize(*needed))]
    NoSpace {
        /// The folder to restore to.
        to: PathBuf,
        /// Bytes needed.
        needed: u64,
        /// Bytes free.
        free: u64,
    },
    /// The disk's file system cannot hold a file.
    #[error("`{path}` has {}; `{}` cannot hold files of more than {}: {what}", ByteSize(*size), to.display(), ByteSize(*limit))]
    FileTooLarge {
        /// The folder to restore to.
        to: PathBuf,
        /// The file.
        path: String,
        /// Its size.
        size: u64,
        /// What can be held.
        limit: u64,
        /// What limits it.
        what: &'static str,
    },
    /// Two names of the folder are one there.
    #[error("`{path}` cannot be restored here: this file system takes it for a name that is there already")]
    NameTaken {
        /// The file.
        path: String,
    },
    /// A bundle is damaged where it is needed.
    #[error("{finding}\n  what was restored so far is kept and will be continued")]
    Damaged {
        /// What is wrong.
        finding: Finding,
    },
    /// The description of the folder contradicts itself.
    #[error(transparent)]
    Tree(ManifestError),
    /// Somebody asked to stop.
    #[error("stopped: what was restored so far is kept beside the folder")]
    Stopped(#[from] Stopped),
    /// The disk became full.
    #[error("the disk is full: {0}")]
    Full(io::Error),
    /// The operating system refused something.
    #[error("{0}")]
    Io(io::Error),
}

impl RestoreError {
    /// What to do now.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Open(error) => return error.hint(),
            Self::NotFrozen { .. } => "install it: `fieldforge install BUNDLE --home HOME`".to_owned(),
            Self::Ambiguous { .. } => "give only the one that you want, and those that it builds on".to_owned(),
            Self::Lacking { .. } => {
                "name their folders, too, in any order: `fieldforge restore BACKUP EARLIER… --to DIR`".to_owned()
            }
            Self::NotThere { .. } => {
                "name every bundle that the backup was made with (`--have`), in any order".to_owned()
            }
            Self::Unsigned { .. } => {
                "add `--allow-unsigned` if you made it and never let it out of your hands".to_owned()
            }
            Self::ForeignKey { key, .. } => format!(
                "ask the person who made it to read the words of their key to you; if they are the same, use `--trust {key}`"
            ),
            Self::NotEmpty { .. } => "name a folder that does not exist yet with `--to`".to_owned(),
            Self::StagingTaken { .. } => "move it away, or restore to another folder with `--to`".to_owned(),
            Self::Locked { .. } => "wait until it is done, then run the same command again".to_owned(),
            Self::InsideBundle { .. } => "choose a folder outside the backup with `--to`".to_owned(),
            Self::NotWritable { .. } => "choose a folder of your own with `--to`, or change its rights".to_owned(),
            Self::NoSpace { needed, free, .. } => {
                format!("free {} more, or choose another disk with `--to`", ByteSize(needed.saturating_sub(*free)))
            }
            Self::FileTooLarge { .. } => "choose a folder on another disk with `--to`".to_owned(),
            Self::NameTaken { .. } => {
                "restore to a disk that tells upper from lower case, with a Linux file system (ext4, btrfs, xfs)"
                    .to_owned()
            }
            Self::Damaged { .. } => {
                "run `fieldforge repair` on the backup, or copy it again, then run the same command again; `fieldforge \
                 verify` tells everything that is wrong"
                    .to_owned()
            }
            Self::Tree(error) => return error.hint(),
            Self::Stopped(_) => "run the same command again to go on".to_owned(),
            Self::Full(_) => "free space there and run the same command again: it goes on where it was".to_owned(),
            Self::Io(_) => "check the disk and your rights there, then run the same command again".to_owned(),
        })
    }

    /// Sorts an error of writing by what can be done about it.
    pub(crate) fn writing(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(error),
            _ => Self::Io(error),
        }
    }
}
