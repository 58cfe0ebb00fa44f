//! Writes frames into volumes.

use super::PackError;
use manifest::frame::{VolumeEnd, VolumeHeader};
use manifest::{ByteSize, Sha256, layout};
use sha2::Digest as _;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// Writes frames one behind the other and begins a new volume when one is full. A frame is never cut.
///
/// Volumes are written from front to back, once, under names that end in `.part`.
pub(crate) struct VolumeWriter {
    folder: PathBuf,
    name: String,
    bundle: Sha256,
    limit: u64,
    open: Option<OpenVolume>,
    done: Vec<WrittenVolume>,
    next_frame: u64,
}

/// A volume that is complete and on the disk, still under a name that ends in `.part`.
pub(crate) struct WrittenVolume {
    pub(crate) partial: PathBuf,
    pub(crate) size: u64,
    pub(crate) sha256: Sha256,
}

struct OpenVolume {
    partial: PathBuf,
    file: BufWriter<fs_err::File>,
    size: u64,
    hasher: sha2::Sha256,
}

impl VolumeWriter {
    pub(crate) fn new(folder: &Path, name: &str, bundle: Sha256, limit: Option<ByteSize>) -> Self {
        Self {
            folder: folder.to_path_buf(),
            name: name.to_owned(),
            bundle,
            limit: limit.map_or(u64::MAX, |limit| limit.0),
            open: None,
            done: Vec::new(),
            next_frame: 0,
        }
    }

    pub(crate) fn frame(&mut self, frame: &[u8]) -> Result<(), PackError> {
        let overhead = (VolumeHeader::LENGTH + VolumeEnd::LENGTH) as u64;
        let length = frame.len() as u64;
        if overhead + length > self.limit {
            return Err(PackError::VolumeTooSmall { limit: ByteSize(self.limit), needed: overhead + length });
        }
        if self.open.as_ref().is_some_and(|open| open.size + length + VolumeEnd::LENGTH as u64 > self.limit) {
            self.close(false)?;
        }
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                let number = self.done.len() as u32 + 1;
                let header = VolumeHeader { bundle: self.bundle, number, first_frame: self.next_frame };
                let mut open = OpenVolume::create(&self.folder, &self.name, number)?;
                open.write(&header.encode())?;
                self.open.insert(open)
            }
        };
        open.write(frame)?;
        self.next_frame += 1;
        Ok(())
    }

    fn close(&mut self, last: bool) -> Result<(), PackError> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        let end = VolumeEnd {
            bundle: self.bundle,
            number: self.done.len() as u32 + 1,
            last,
            next_frame: self.next_frame,
            sha256: Sha256::from_bytes(open.hasher.clone().finalize().into()),
        };
        open.write(&end.encode())?;
        open.file.flush().map_err(PackError::writing)?;
        open.file.get_ref().sync_all().map_err(PackError::writing)?;
        let sha256 = Sha256::from_bytes(open.hasher.finalize().into());
        self.done.push(WrittenVolume { partial: open.partial, size: open.size, sha256 });
        Ok(())
    }

    /// Ends the last volume.
    pub(crate) fn finish(mut self) -> Result<Vec<WrittenVolume>, PackError> {
        self.close(true)?;
        Ok(self.done)
    }
}

impl OpenVolume {
    fn create(folder: &Path, name: &str, number: u32) -> Result<Self, PackError> {
        let partial = layout::partial(&folder.join(layout::volume_name(name, number)));
        let file = fs_err::File::create(&partial).map_err(PackError::writing)?;
        Ok(Self { partial, file: BufWriter::with_capacity(256 << 10, file), size: 0, hasher: sha2::Sha256::new() })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), PackError> {
        self.file.write_all(bytes).map_err(PackError::writing)?;
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }
}
