//! Why an installation did not happen. The generation in use stays in use.

use manifest::{ByteSize, Finding, FrozenKind, PublicKey, Stopped};
use std::io;
use std::path::PathBuf;

/// Why an installation, or a change of generations, did not happen.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The bundle is damaged or incomplete.
    #[error("{finding}{}", if *kept { "\n  what was installed so far is kept and will be continued; the installation in use was not touched" } else { "" })]
    Damaged {
        /// The first thing that is wrong.
        finding: Finding,
        /// The unfinished folder stays, for another try.
        kept: bool,
    },
    /// The bundle is there to be restored.
    #[error("`{bundle}` is {what}: it is restored as a folder, not installed")]
    Frozen {
        /// The bundle.
        bundle: String,
        /// What it holds.
        what: FrozenKind,
    },
    /// Nobody signed the bundle.
    #[error("nobody signed the bundle `{bundle}`: whoever held it on its way could have changed it")]
    Unsigned {
        /// The bundle.
        bundle: String,
    },
    /// The home trusts other keys.
    #[error("this bundle was signed by somebody else\n    its key's words: {}\n    trusted here:    {}", key.words(), expected.join("\n                     "))]
    ForeignKey {
        /// The key that signed it.
        key: PublicKey,
        /// The words of the keys that are trusted.
        expected: Vec<String>,
    },
    /// The file with the trusted keys holds something else.
    #[error("`{}` holds a line that is no key: `{}`", file.display(), line.escape_debug())]
    BadTrustedKeys {
        /// The file.
        file: PathBuf,
        /// The line.
        line: String,
    },
    /// A newer edition is installed.
    #[error("this is edition {offered} of `{name}`; edition {installed} is installed already")]
    Older {
        /// The bundle.
        name: String,
        /// The edition that is installed.
        installed: u64,
        /// The edition of this bundle.
        offered: u64,
    },
    /// The home's disk is too full.
    #[error("`{}` has {} free; the installation needs {}", home.display(), ByteSize(*free), ByteSize(*needed))]
    NoSpace {
        /// The home.
        home: PathBuf,
        /// Bytes needed.
        needed: u64,
        /// Bytes free.
        free: u64,
    },
    /// The home's file system cannot hold a file of the bundle.
    #[error("`{path}` has {}; `{}` cannot hold files of more than {}: {what}", ByteSize(*size), home.display(), ByteSize(*limit))]
    FileTooLarge {
        /// The home.
        home: PathBuf,
        /// The file.
        path: String,
        /// Its size.
        size: u64,
        /// What can be held.
        limit: u64,
        /// What limits it.
        what: &'static str,
    },
    /// A path would be too long.
    #[error("`{path}` in `{}` would be longer than the {limit} bytes that this system allows for a path", home.display())]
    PathTooLong {
        /// The home.
        home: PathBuf,
        /// The file.
        path: String,
        /// The longest allowed.
        limit: usize,
    },
    /// The home would lie inside the bundle.
    #[error("`{}` lies inside the bundle `{}`", home.display(), bundle.display())]
    HomeInBundle {
        /// The home.
        home: PathBuf,
        /// The bundle folder.
        bundle: PathBuf,
    },
    /// The home cannot be written to.
    #[error("`{}` cannot be written to: {reason}", home.display())]
    NotWritable {
        /// The home.
        home: PathBuf,
        /// The operating system's words.
        reason: String,
    },
    /// Another program changes this home.
    #[error("another installation into `{}` is going on{}", home.display(), if holder.is_empty() { String::new() } else { format!(" (process {holder})") })]
    Locked {
        /// The home.
        home: PathBuf,
        /// Its process.
        holder: String,
    },
    /// An update builds on files that are not installed.
    #[error("this is an update; it does not hold all of `{path}`, and what is missing is not installed here")]
    NotThere {
        /// The file.
        path: String,
    },
    /// An update builds on a file that is damaged.
    #[error("this is an update; it takes parts of `{path}` from the installed `{from}`, which is damaged")]
    BaseDamaged {
        /// The file of the bundle.
        path: String,
        /// The installed file.
        from: String,
    },
    /// The rest of the bundle is on another stick.
    #[error(
        "{why}\n  what was installed so far is kept and will be continued; the installation in use was not touched"
    )]
    Elsewhere {
        /// Which volume is not here.
        why: String,
    },
    /// The disk became full.
    #[error("the disk is full: {0}")]
    Full(io::Error),
    /// `CURRENT` cannot be used.
    #[error("`{}` cannot be used: {reason}", file.display())]
    BadCurrent {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A generation is not complete.
    #[error("`{}` cannot be used: {reason}", file.display())]
    BadGeneration {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing is installed there.
    #[error("nothing is installed in `{}`", home.display())]
    NothingInstalled {
        /// The home.
        home: PathBuf,
    },
    /// There is no older generation.
    #[error("`{}` holds nothing older than generation {number}", home.display())]
    NothingBefore {
        /// The home.
        home: PathBuf,
        /// The generation in use.
        number: u32,
    },
    /// Somebody asked to stop.
    #[error("stopped: what is installed so far is kept; the installation in use was not touched")]
    Stopped(#[from] Stopped),
    /// The operating system refused something.
    #[error("{0}")]
    Io(io::Error),
}

impl InstallError {
    /// What to do now.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Damaged { .. } => {
                "run `fieldforge repair` on the bundle, or copy it again, then run the same command again; `fieldforge \
                 verify` tells everything that is wrong. With `--salvage`, what is whole is installed without the rest"
                    .to_owned()
            }
            Self::Frozen { .. } => "restore it into a new folder: `fieldforge restore BACKUP --to DIR`".to_owned(),
            Self::Unsigned { .. } => {
                "get a signed one (`fieldforge bundle` signs by itself), or add `--allow-unsigned` if you made it and never \
                 let it out of your hands"
                    .to_owned()
            }
            Self::ForeignKey { key, .. } => format!(
                "ask the person who made it to read the words of their key to you; if they are the same, add `--trust {key}`"
            ),
            Self::BadTrustedKeys { .. } => "remove that line, or the file: then the next bundle's key is trusted".to_owned(),
            Self::Older { .. } => {
                "add `--allow-older` if you want to go back; `fieldforge install --roll-back` needs no bundle".to_owned()
            }
            Self::NoSpace { needed, free, .. } => {
                format!("free {} more, or choose another disk with `--home`", ByteSize(needed.saturating_sub(*free)))
            }
            Self::FileTooLarge { .. } => "choose a home on another disk with `--home`".to_owned(),
            Self::PathTooLong { .. } => "choose a shorter path with `--home`".to_owned(),
            Self::HomeInBundle { .. } => "choose a folder outside the bundle with `--home`".to_owned(),
            Self::NotWritable { .. } => "choose a folder of your own with `--home`, or change its rights".to_owned(),
            Self::Locked { .. } => "wait until it is done, then run the same command again".to_owned(),
            Self::NotThere { .. } | Self::BaseDamaged { .. } => {
                "make an inventory here (`fieldforge inventory`) and have the bundle made for it, or get a whole bundle \
                 (made without `--have`)"
                    .to_owned()
            }
            Self::Elsewhere { .. } => {
                "run the same command with the folder on that stick, or name the folders on all sticks: `fieldforge install \
                 A B`. On a terminal it asks for the next stick"
                    .to_owned()
            }
            Self::Full(_) => {
                "free space there, or choose another disk with `--home`; then run the same command again".to_owned()
            }
            Self::BadCurrent { .. } | Self::BadGeneration { .. } => {
                "install the bundle again: `fieldforge install BUNDLE --home HOME`".to_owned()
            }
            Self::NothingInstalled { .. } => {
                "install a bundle first: `fieldforge install BUNDLE --home HOME`".to_owned()
            }
            Self::NothingBefore { .. } => "install the older bundle again".to_owned(),
            Self::Stopped(_) => "run the same command again to go on".to_owned(),
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

    /// Is it worth keeping what was installed so far?
    pub(crate) const fn worth_continuing(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Elsewhere { .. } | Self::Stopped(_) | Self::Io(_))
    }
}
