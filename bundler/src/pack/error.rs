//! Why a bundle could not be packed.

use super::PackFile;
use crate::{Content, SigningKeyError};
use manifest::{BundlePath, ByteSize, ManifestError, Sha256, Stopped};
use recovery::RecoverySetError;
use std::io;
use std::path::PathBuf;

/// Why a bundle could not be packed. Nothing is left under a final name.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A file could not be read.
    #[error("`{path}` cannot be read: {source}")]
    Source {
        /// Its place in the bundle.
        path: BundlePath,
        /// The operating system's words, with the file's name.
        source: io::Error,
    },
    /// A file has another size than was promised.
    #[error("`{path}` has {found} bytes; {expected} were expected")]
    WrongSize {
        /// Its place in the bundle.
        path: BundlePath,
        /// Bytes expected.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// A file has another content than was promised.
    #[error("`{path}` is not the expected file\n    expected sha256 {expected}\n    found    sha256 {found}")]
    WrongDigest {
        /// Its place in the bundle.
        path: BundlePath,
        /// Digest expected.
        expected: Sha256,
        /// Digest found.
        found: Sha256,
    },
    /// A file changed while it was being packed.
    #[error("`{path}` changed while it was being packed: {reason} (`{file}`)")]
    Changed {
        /// Its place in the bundle.
        path: BundlePath,
        /// Where it is.
        file: String,
        /// What changed.
        reason: &'static str,
    },
    /// The program changed while it was being copied.
    #[error("the program `{}` changed while it was being copied", path.display())]
    ProgramChanged {
        /// Where it is.
        path: PathBuf,
    },
    /// A program is for a machine whose name cannot be part of a file name.
    #[error("`{target}` cannot be part of a program's file name")]
    Target {
        /// The name.
        target: String,
    },
    /// There is something in the target folder.
    #[error("`{}` is not empty{}", folder.display(), bundle.as_ref().map(|name| format!(": it holds `{name}`")).unwrap_or_default())]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
        /// A volume in it.
        bundle: Option<String>,
    },
    /// Another program makes a bundle in the target folder.
    #[error("another program is making a bundle in `{}`", folder.display())]
    Busy {
        /// The folder.
        folder: PathBuf,
    },
    /// The bundle will not fit.
    #[error("`{}` has {} free; the bundle needs about {}", folder.display(), ByteSize(*free), ByteSize(*needed))]
    NoSpace {
        /// The folder.
        folder: PathBuf,
        /// Bytes needed, estimated.
        needed: u64,
        /// Bytes free.
        free: u64,
    },
    /// A volume cannot hold a single frame.
    #[error("volumes of {limit} are too small: this bundle needs at least {needed} bytes for one")]
    VolumeTooSmall {
        /// What was asked for.
        limit: ByteSize,
        /// The least.
        needed: u64,
    },
    /// A stick has no room for a volume.
    #[error("`{}` is too full for a volume of this bundle: the least that one needs is {}", folder.display(), ByteSize(*needed))]
    StickTooSmall {
        /// The folder.
        folder: PathBuf,
        /// Bytes needed.
        needed: u64,
    },
    /// The bundle needs another stick.
    #[error("`{}` is full: {state}; about {} are still to come", folder.display(), ByteSize(*to_come))]
    NoNextStick {
        /// The folder on the stick that is full.
        folder: PathBuf,
        /// What is complete.
        state: String,
        /// Bytes that are missing, estimated.
        to_come: u64,
    },
    /// The next stick is one that is written already.
    #[error("`{}` holds stick {stick} of this bundle already", folder.display())]
    SameStick {
        /// The folder.
        folder: PathBuf,
        /// Its number.
        stick: u32,
    },
    /// The medium does not hold what was written to it.
    #[error("the medium lies: `{}` does not hold what was written to it: {reason}", file.display())]
    Lies {
        /// The file.
        file: PathBuf,
        /// How it was noticed.
        reason: String,
    },
    /// A file cannot become as long as it should.
    #[error("a volume became too large for the file system or for a limit of this session (`ulimit -f`): {0}")]
    TooLarge(io::Error),
    /// What should be packed makes no sense.
    #[error(transparent)]
    Manifest(ManifestError),
    /// The disk is full.
    #[error("the disk is full: {0}")]
    Full(io::Error),
    /// The disk cannot be written to.
    #[error("the target cannot be written to: {0}")]
    ReadOnly(io::Error),
    /// Recovery volumes on several sticks.
    #[error(
        "recovery volumes are computed from all volumes, so that these must lie in one folder, not on several sticks"
    )]
    RecoveryOnSticks,
    /// There can be no such recovery volumes.
    #[error("recovery volumes cannot be made: {0}")]
    RecoveryVolumes(RecoverySetError),
    /// The manifest could not be signed.
    #[error("the bundle could not be signed: {0}")]
    Sign(SigningKeyError),
    /// zstd failed.
    #[error("compression failed: {0}")]
    Compress(io::Error),
    /// Somebody asked to stop.
    #[error("stopped: the bundle is not complete; volumes that are finished are kept")]
    Stopped(#[from] Stopped),
    /// The operating system refused something.
    #[error("{0}")]
    Io(io::Error),
}

impl PackError {
    /// What to do now.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Source { .. } => "check that the file exists and may be read, then run the command again".to_owned(),
            Self::WrongSize { .. } | Self::WrongDigest { .. } => {
                "run the same `fieldforge bundle` command again: it fetches the file anew".to_owned()
            }
            Self::Changed { .. } | Self::ProgramChanged { .. } => {
                "wait until nothing writes to that file any more, then run the command again".to_owned()
            }
            Self::Target { .. } => "name machines like `x86_64-linux`".to_owned(),
            Self::NotEmpty { bundle: Some(_), .. } => {
                "choose another folder with `--out`, or replace that bundle with `--replace`".to_owned()
            }
            Self::Busy { .. } => "wait until it is done, or choose another folder with `--out`".to_owned(),
            Self::NotEmpty { .. } => "choose a new or empty folder with `--out`".to_owned(),
            Self::NoSpace { needed, free, .. } => {
                format!(
                    "free {} more, choose another disk with `--out`, or use several sticks: `--next DIR` names the folder on \
                     each further one",
                    ByteSize(needed.saturating_sub(*free))
                )
            }
            Self::StickTooSmall { .. } => "free space there, or take another stick".to_owned(),
            Self::NoNextStick { .. } => {
                "run the same command again with `--next DIR`, the folder on the next stick, once for every further one: it \
                 goes on behind what is complete. On a terminal it asks for the next stick"
                    .to_owned()
            }
            Self::SameStick { .. } => "put in another stick, or name a folder on another one".to_owned(),
            Self::Lies { .. } => {
                "the stick is failing, or smaller than it says: write the bundle to another one with `--out`. The file was \
                 left as it is; the same command again would write it anew"
                    .to_owned()
            }
            Self::TooLarge(_) => {
                "cut the archive into smaller volumes, for example `--volume-size 2GB`, and run the command again".to_owned()
            }
            Self::VolumeTooSmall { .. } => "choose larger volumes: `--volume-size 8MiB` always works. If you did not choose \
                any, a limit of this session keeps files that short (`ulimit -f`): raise it"
                .to_owned(),
            Self::Manifest(error) => return error.hint(),
            Self::Full(_) => {
                "free space there, choose another disk with `--out`, or name a further stick with `--next DIR`; then run the \
                 same command again: it goes on behind the volumes that are complete"
                    .to_owned()
            }
            Self::ReadOnly(_) => {
                "check the stick's write protection and your rights, or choose another folder with `--out`".to_owned()
            }
            Self::RecoveryOnSticks => {
                "write the bundle into one folder on a disk, with `--volume-size` as large as a stick, and copy the files onto \
                 the sticks, the recovery volumes onto one of their own; should a stick be lost, copy what is on the others \
                 into one folder and run `fieldforge repair` on it. Or leave out `--recovery-volumes`"
                    .to_owned()
            }
            Self::RecoveryVolumes(_) => {
                "ask for fewer with `--recovery-volumes`, or choose larger volumes with `--volume-size`".to_owned()
            }
            Self::Compress(_) | Self::Sign(_) => return None,
            Self::Stopped(_) => "run the same command again to go on".to_owned(),
            Self::Io(_) => "check the medium and your rights there, then run the same command again".to_owned(),
        })
    }

    pub(crate) fn source(file: &PackFile, source: io::Error) -> Self {
        Self::Source { path: file.path.clone(), source }
    }

    pub(crate) fn changed(file: &PackFile, reason: &'static str) -> Self {
        let place = match &file.content {
            Content::Disk(path) => path.display().to_string(),
            Content::Memory(_) | Content::Bytes(_) => "built in".to_owned(),
        };
        Self::Changed { path: file.path.clone(), file: place, reason }
    }

    /// Sorts an error of writing by what can be done about it.
    pub(crate) fn writing(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(error),
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Self::ReadOnly(error),
            io::ErrorKind::FileTooLarge => Self::TooLarge(error),
            _ => Self::Io(error),
        }
    }
}
