//! A bundle, opened.

use crate::scan::{FrameScanner, ScanError, Scanned};
use crate::volumes::{Volume, VolumeSet};
use crate::{OpenError, generation};
use manifest::{
    ArchivePlan, BundleManifest, Finding, Problem, Sha256, Signature, layout, manifest_header, parse_manifest_header,
    parse_signature_header,
};
use std::io::{Read, Seek};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

/// Nobody has checked every byte of it yet.
#[derive(Clone, Copy, Debug)]
pub enum Unverified {}
/// Every byte of it was what its manifest says, a moment ago.
#[derive(Clone, Copy, Debug)]
pub enum Verified {}

/// A bundle whose table of contents is known. [`Bundle::verify`] turns a `Bundle<Unverified>` into a
/// `Bundle<Verified>`; nothing else does.
#[derive(Clone, Debug)]
pub struct Bundle<State = Unverified> {
    pub(crate) set: VolumeSet,
    pub(crate) manifest: BundleManifest,
    signature: Option<Signature>,
    state: PhantomData<State>,
}

impl Bundle<Unverified> {
    /// Opens the bundle in a folder, or the one that a volume belongs to. Reads headers and the manifest, no more.
    ///
    /// Missing, foreign, duplicated and misnamed volumes do not prevent this as long as the manifest can be read;
    /// [`Bundle::findings`] names them.
    ///
    /// # Errors
    /// When there is no bundle, there are several, or its manifest cannot be read or contradicts itself.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_all(&[path.to_path_buf()], None)
    }

    /// Opens the bundle whose volumes lie in several folders, on several sticks. Those of further sticks need not be there.
    /// An installation that was begun in `home` knows the manifest already, so that the first volume need not, either.
    ///
    /// # Errors
    /// As [`Bundle::open`]; when the first volume is on another stick; when the folders belong to different bundles.
    pub fn open_all(paths: &[PathBuf], home: Option<&Path>) -> Result<Self, OpenError> {
        let set = VolumeSet::find(paths)?;
        let Some(first) = set.volumes.first().filter(|volume| volume.number == 1) else {
            if !set.elsewhere.contains(&1) {
                return Err(OpenError::NoManifest { findings: set.findings });
            }
            let Some((manifest, signature)) = home.and_then(|home| generation::begun(home, set.bundle)) else {
                return Err(OpenError::NotFirst {
                    folder: set.folder().to_path_buf(),
                    here: set.volumes.iter().map(|volume| format!("`{}`", volume.name)).collect(),
                    first: layout::volume_name(&set.name, 1),
                });
            };
            return Ok(Self { set, manifest, signature, state: PhantomData });
        };
        let (text, signature) = match read_manifest(first) {
            Ok(read) => read,
            Err(problem) => {
                let mut findings = set.findings.clone();
                findings.push(Finding { subject: first.name.clone(), problem });
                return Err(OpenError::NoManifest { findings });
            }
        };
        if Sha256::of(&text) != set.bundle {
            return Err(OpenError::WrongManifest { volume: first.name.clone() });
        }
        let manifest = BundleManifest::parse(layout::MANIFEST, &text).map_err(OpenError::Manifest)?;
        if manifest.id() != set.bundle {
            // Not in canonical form: the frames of the archive would not be where its plan expects them.
            return Err(OpenError::WrongManifest { volume: first.name.clone() });
        }
        let signature = signature.map(|signature| Signature::check(&text, &signature)).transpose();
        let signature = signature.map_err(|reason| OpenError::WrongSignature { volume: first.name.clone(), reason })?;
        Ok(Self { set, manifest, signature, state: PhantomData })
    }

    pub(crate) fn into_verified(self) -> Bundle<Verified> {
        Bundle { set: self.set, manifest: self.manifest, signature: self.signature, state: PhantomData }
    }
}

impl<State> Bundle<State> {
    /// The table of contents.
    #[must_use]
    pub const fn manifest(&self) -> &BundleManifest {
        &self.manifest
    }

    /// The checked signature of the table of contents, where there is one.
    #[must_use]
    pub const fn signature(&self) -> Option<&Signature> {
        self.signature.as_ref()
    }

    /// Which frame of the archive holds what.
    pub(crate) fn plan(&self) -> ArchivePlan<'_> {
        ArchivePlan::new(&self.manifest, self.signature.as_ref().map(Signature::text))
    }

    /// The bundle's identity.
    #[must_use]
    pub const fn id(&self) -> Sha256 {
        self.set.bundle
    }

    /// The folder that it lies in.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.set.folder().to_path_buf()
    }

    /// The volumes that are there, in order.
    #[must_use]
    pub fn volumes(&self) -> &[Volume] {
        &self.set.volumes
    }

    /// Volumes that are not here because they lie on another stick: their numbers, from 1, as far as they are known.
    #[must_use]
    pub fn elsewhere(&self) -> &[u32] {
        &self.set.elsewhere
    }

    /// No volume lies on another stick.
    #[must_use]
    pub fn is_all_here(&self) -> bool {
        self.set.elsewhere.is_empty() && self.set.last().is_some()
    }

    /// What was wrong with the volumes at first sight.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.set.findings
    }
}

/// The text of the manifest, at the head of the first volume, and that of its signature.
fn read_manifest(volume: &Volume) -> Result<(Vec<u8>, Option<String>), Problem> {
    let file = fs_err::File::open(&volume.path).map_err(|error| Problem::Unreadable { reason: error.to_string() })?;
    let mut scanner = FrameScanner::new(file, false);
    let header = decoded(&mut scanner)?;
    let refuse = |reason: String| Problem::Foreign { reason };
    let size = parse_manifest_header(&header)
        .ok_or_else(|| refuse(format!("its first member is not `{}`", layout::MANIFEST)))?;
    if size > BundleManifest::MAX_TEXT {
        return Err(refuse(format!("its `{}` claims to have {size} bytes", layout::MANIFEST)));
    }
    debug_assert_eq!(manifest_header(size), header);
    let mut text = Vec::new();
    while (text.len() as u64) < size {
        let piece = decoded(&mut scanner)?;
        if piece.is_empty() || (text.len() + piece.len()) as u64 > size {
            return Err(refuse(format!("its `{}` is not {size} bytes long", layout::MANIFEST)));
        }
        text.extend(piece);
    }
    // A first volume that ends here holds no signature.
    let Ok(next) = decoded(&mut scanner) else { return Ok((text, None)) };
    let Some(size) = parse_signature_header(&next, size) else { return Ok((text, None)) };
    let signature = decoded(&mut scanner)?;
    if signature.len() as u64 != size || size > Signature::MAX_TEXT {
        return Err(refuse(format!("its `{}` is not {size} bytes long", layout::MANIFEST_SIGNATURE)));
    }
    Ok((text, Some(String::from_utf8_lossy(&signature).into_owned())))
}

/// The content of the next ordinary frame.
fn decoded<R: Read + Seek>(scanner: &mut FrameScanner<R>) -> Result<Vec<u8>, Problem> {
    loop {
        let offset = scanner.offset();
        let damaged = |reason: String, length: u64| Problem::Damaged { offset, length, reason };
        match scanner.next_frame(Vec::new(), true) {
            Ok(Some(Scanned::Frame { bytes, content, .. })) => {
                return zstd::bulk::decompress(&bytes, content)
                    .map_err(|error| damaged(format!("it does not decompress: {error}"), bytes.len() as u64));
            }
            Ok(Some(Scanned::Skippable { .. })) => {}
            Ok(None) => return Err(Problem::Truncated { at: offset }),
            Err(ScanError::Truncated { at, .. }) => return Err(Problem::Truncated { at }),
            Err(ScanError::Damaged { reason, .. }) => return Err(damaged(reason.to_owned(), 0)),
            Err(ScanError::Io(error)) => return Err(Problem::Unreadable { reason: error.to_string() }),
        }
    }
}
