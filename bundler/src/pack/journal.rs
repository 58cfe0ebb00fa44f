//! What is finished, written down beside it, so that an interrupted packing goes on behind it.

use super::PackError;
use super::folder::sync;
use manifest::frame::SeekTable;
use manifest::{PublicKey, Sha256, Signature, layout};
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::path::Path;

/// What must be the same for a packing to go on behind what an earlier one wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// The bundle ([`manifest::BundleManifest::id`]).
    pub(crate) bundle: Sha256,
    /// Largest volume in bytes, if somebody chose one.
    pub(crate) volume_size: Option<u64>,
    /// Per cent.
    pub(crate) recovery: f64,
    /// How many recovery volumes.
    pub(crate) recovery_volumes: u32,
}

/// The volumes that are complete and on the disk, on this stick and on those before it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Journal {
    settings: Settings,
    /// The signature of the manifest: it holds random numbers, so that it cannot be made again.
    pub(crate) signature: Option<String>,
    /// The stick that this file lies on, from 1.
    pub(crate) stick: u32,
    pub(crate) volumes: Vec<FinishedVolume>,
}

/// One of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FinishedVolume {
    /// The stick that it lies on, from 1.
    pub(crate) stick: u32,
    /// Bytes.
    pub(crate) size: u64,
    pub(crate) sha256: Sha256,
    /// The number of the frame that comes next, ordinary frames counted from 0 over all volumes.
    pub(crate) next_frame: u64,
    /// Bytes of every frame in it, skippable ones included, packed and unpacked.
    pub(crate) frames: Vec<(u32, u32)>,
}

impl Journal {
    pub(crate) const fn new(settings: Settings, signature: Option<String>) -> Self {
        Self { settings, signature, stick: 1, volumes: Vec::new() }
    }

    /// Nothing is finished, and nothing was begun before.
    pub(crate) const fn is_new(&self) -> bool {
        self.volumes.is_empty() && self.stick == 1
    }

    /// The journal in `folder`, if there is one.
    pub(crate) fn read(folder: &Path) -> Option<Self> {
        let text = fs_err::read(folder.join(layout::PACKING)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Why what it tells cannot be gone on with.
    pub(crate) fn differs(
        &self,
        settings: &Settings,
        manifest: &[u8],
        key: Option<&PublicKey>,
    ) -> Option<&'static str> {
        if self.settings.bundle != settings.bundle {
            return Some("the files, their order or the program are not the same any more");
        }
        if self.settings != *settings {
            return Some("volume size or recovery data were chosen differently");
        }
        let signed = self.signature.as_ref().map(|signature| Signature::check(manifest, signature));
        match (signed, key) {
            (None, None) => None,
            (Some(Ok(signature)), Some(key)) if signature.key() == key => None,
            _ => Some("it was to be signed differently"),
        }
    }

    /// Does it tell of the same bundle, of no fewer volumes and of the same ones as far as `other` goes?
    pub(crate) fn continues(&self, other: &Self) -> bool {
        let same = |(one, other): (&FinishedVolume, &FinishedVolume)| one.sha256 == other.sha256;
        self.settings == other.settings
            && self.signature == other.signature
            && self.volumes.iter().zip(&other.volumes).all(same)
    }

    /// Puts it into `folder`, durably.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), PackError> {
        let text = serde_json::to_vec(self).map_err(|error| PackError::Io(error.into()))?;
        let path = folder.join(layout::PACKING);
        let partial = layout::partial(&path);
        let mut file = fs_err::File::create(&partial).map_err(PackError::writing)?;
        file.write_all(&text).map_err(PackError::writing)?;
        file.sync_all().map_err(PackError::writing)?;
        fs_err::rename(partial, path).map_err(PackError::writing)?;
        sync(folder)
    }

    /// The number of the frame that comes next.
    pub(crate) fn next_frame(&self) -> u64 {
        self.volumes.last().map_or(0, |volume| volume.next_frame)
    }

    /// The seek table of what is finished.
    pub(crate) fn seek_table(&self) -> SeekTable {
        let mut table = SeekTable::default();
        for (packed, content) in self.volumes.iter().flat_map(|volume| &volume.frames) {
            table.push(u64::from(*packed), u64::from(*content));
        }
        table
    }

    /// Bytes of the ordinary frames that are finished.
    pub(crate) fn packed(&self) -> u64 {
        let frames = self.volumes.iter().flat_map(|volume| &volume.frames);
        frames.filter(|(_, content)| *content > 0).map(|(packed, _)| u64::from(*packed)).sum()
    }

    /// Volumes on the stick that the journal lies on, with their numbers from 1.
    pub(crate) fn here(&self) -> impl Iterator<Item = (u32, &FinishedVolume)> {
        (1..).zip(&self.volumes).filter(|(_, volume)| volume.stick == self.stick)
    }
}
