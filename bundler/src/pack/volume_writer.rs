//! Writes frames into volumes.

use super::PackError;
use manifest::frame::{SeekTable, VolumeEnd, VolumeHeader};
use manifest::{ByteSize, Sha256, layout};
use recovery::{Geometry, SectionEncoder};
use sha2::Digest as _;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// Writes frames one behind the other and begins a new volume when one is full. A frame is never cut. Recovery data
/// follow each section that they protect; the seek table ends the last volume.
///
/// Volumes are written from front to back, once, under names that end in `.part`.
pub(crate) struct VolumeWriter {
    folder: PathBuf,
    name: String,
    bundle: Sha256,
    limit: u64,
    /// Per cent.
    recovery: f64,
    /// Bytes that are still to come, estimated.
    to_come: u64,
    seek_table: SeekTable,
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
    section: Option<SectionEncoder>,
}

impl VolumeWriter {
    /// `recovery`: how much recovery data, in per cent; `estimate`: bytes of all frames, about.
    pub(crate) fn new(
        folder: &Path,
        name: &str,
        bundle: Sha256,
        limit: Option<ByteSize>,
        recovery: f64,
        estimate: u64,
    ) -> Self {
        Self {
            folder: folder.to_path_buf(),
            name: name.to_owned(),
            bundle,
            limit: limit.map_or(u64::MAX, |limit| limit.0),
            recovery,
            to_come: estimate,
            seek_table: SeekTable::default(),
            open: None,
            done: Vec::new(),
            next_frame: 0,
        }
    }

    /// Writes one frame that decodes to `content` bytes.
    pub(crate) fn frame(&mut self, frame: &[u8], content: u64) -> Result<(), PackError> {
        let length = frame.len() as u64;
        if self.open.as_ref().is_some_and(|open| open.size + self.rest(open, length) > self.limit) {
            self.close(false)?;
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin()?,
        };
        if open.section.as_ref().is_some_and(|section| section.room() < length) {
            open.end_section(&mut self.seek_table)?;
            open.section = self.section(&open, length);
        }
        if open.size + self.rest(&open, length) > self.limit {
            let needed = open.size + self.rest(&open, length);
            return Err(PackError::VolumeTooSmall { limit: ByteSize(self.limit), needed });
        }
        open.write(frame)?;
        self.seek_table.push(length, content);
        self.to_come = self.to_come.saturating_sub(length);
        self.next_frame += 1;
        self.open = Some(open);
        Ok(())
    }

    /// Bytes that a volume needs for one more frame of `length` bytes and everything that must follow it.
    fn rest(&self, open: &OpenVolume, length: u64) -> u64 {
        let recovery = match &open.section {
            None => 0,
            Some(section) if section.room() >= length => section.frame_length(length),
            Some(section) => {
                let next = self.geometry(open, length);
                section.frame_length(0) + next.map_or(0, |next| next.frame_length(length))
            }
        };
        length + recovery + VolumeEnd::LENGTH as u64 + self.seek_table.length_with(4)
    }

    fn begin(&mut self) -> Result<OpenVolume, PackError> {
        let number = self.done.len() as u32 + 1;
        let header = VolumeHeader { bundle: self.bundle, number, first_frame: self.next_frame }.encode();
        let mut open = OpenVolume::create(&self.folder, &self.name, number)?;
        open.section = self.section(&open, header.len() as u64);
        open.write(&header)?;
        self.seek_table.push(header.len() as u64, 0);
        Ok(open)
    }

    /// How a section is divided that holds what is still to come in this volume, `least` bytes at least.
    fn geometry(&self, open: &OpenVolume, least: u64) -> Option<Geometry> {
        let expected = self.to_come.min(self.limit.saturating_sub(open.size)).max(least);
        Geometry::plan(expected, self.recovery)
    }

    /// That section.
    fn section(&self, open: &OpenVolume, least: u64) -> Option<SectionEncoder> {
        let geometry = self.geometry(open, least)?;
        Some(SectionEncoder::new(geometry, self.bundle, self.done.len() as u32 + 1, open.size))
    }

    fn close(&mut self, last: bool) -> Result<(), PackError> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        open.end_section(&mut self.seek_table)?;
        let end = VolumeEnd {
            bundle: self.bundle,
            number: self.done.len() as u32 + 1,
            last,
            next_frame: self.next_frame,
            sha256: Sha256::from_bytes(open.hasher.clone().finalize().into()),
        };
        open.write(&end.encode())?;
        self.seek_table.push(VolumeEnd::LENGTH as u64, 0);
        if last {
            open.write(&self.seek_table.encode())?;
        }
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
        Ok(Self {
            partial,
            file: BufWriter::with_capacity(256 << 10, file),
            size: 0,
            hasher: sha2::Sha256::new(),
            section: None,
        })
    }

    /// Ends the section, if there is one, and writes its recovery data.
    fn end_section(&mut self, seek_table: &mut SeekTable) -> Result<(), PackError> {
        let Some(section) = self.section.take() else { return Ok(()) };
        let before = self.size;
        section.finish(&mut |bytes| self.write(bytes))?;
        seek_table.push(self.size - before, 0);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), PackError> {
        if let Some(section) = &mut self.section {
            section.push(bytes);
        }
        self.file.write_all(bytes).map_err(PackError::writing)?;
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }
}
