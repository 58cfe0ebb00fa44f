//! Writes frames into volumes.

use super::PackError;
use super::journal::FinishedVolume;
use super::sticks::{Sticks, Written};
use manifest::frame::{SeekTable, VolumeEnd, VolumeHeader};
use manifest::{ByteSize, Sha256, layout};
use recovery::{Geometry, SectionEncoder};
use sha2::Digest as _;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

/// A volume is not begun on the rest of a stick if it could hold less than this many bytes.
const LEAST: u64 = 32 << 20;

/// Writes frames one behind the other and begins a new volume when one is full, or a new stick when that is. A frame is
/// never cut. Recovery data follow each section that they protect; the seek table ends the last volume.
///
/// Volumes are written from front to back, once, under names that end in `.part`.
pub(crate) struct VolumeWriter<'a> {
    sticks: Sticks<'a>,
    name: String,
    bundle: Sha256,
    /// Per cent.
    recovery: f64,
    /// Bytes that are still to come, estimated.
    to_come: u64,
    seek_table: SeekTable,
    open: Option<OpenVolume>,
    next_frame: u64,
    /// How things stood when the open volume was begun.
    before: Before,
    /// The stick has no room for the open volume.
    full: bool,
}

#[derive(Clone, Default)]
struct Before {
    partial: PathBuf,
    frames: usize,
    next_frame: u64,
    to_come: u64,
}

struct OpenVolume {
    number: u32,
    partial: PathBuf,
    file: BufWriter<fs_err::File>,
    /// Most bytes that it may get.
    limit: u64,
    size: u64,
    hasher: sha2::Sha256,
    section: Option<SectionEncoder>,
}

impl<'a> VolumeWriter<'a> {
    /// Goes on behind what is finished on `sticks`. `recovery`: how much recovery data, in per cent; `estimate`: bytes of
    /// all frames, about.
    pub(crate) fn new(sticks: Sticks<'a>, name: &str, bundle: Sha256, recovery: f64, estimate: u64) -> Self {
        let journal = sticks.journal();
        Self {
            name: name.to_owned(),
            bundle,
            recovery,
            to_come: estimate.saturating_sub(journal.packed()),
            seek_table: journal.seek_table(),
            open: None,
            next_frame: journal.next_frame(),
            before: Before::default(),
            full: false,
            sticks,
        }
    }

    /// The number of the frame that comes next.
    pub(crate) const fn next_frame(&self) -> u64 {
        self.next_frame
    }

    /// Writes one frame that decodes to `content` bytes.
    pub(crate) fn frame(&mut self, frame: &[u8], content: u64) -> Result<(), PackError> {
        let length = frame.len() as u64;
        if self.open.as_ref().is_some_and(|open| open.size + self.rest(open, length) > open.limit) {
            self.close(false)?;
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin(length)?,
        };
        if open.section.as_ref().is_some_and(|section| section.room() < length) {
            let ended = open.end_section(&mut self.seek_table);
            self.watch(ended)?;
            open.section = self.section(&open, length);
        }
        let needed = open.size + self.rest(&open, length);
        if needed > open.limit {
            return Err(match self.sticks.largest_volume() {
                (_, true) => PackError::StickTooSmall { folder: self.sticks.path().to_path_buf(), needed },
                (limit, false) => PackError::VolumeTooSmall { limit: ByteSize(limit), needed },
            });
        }
        let written = open.write(frame);
        self.watch(written)?;
        self.seek_table.push(length, content);
        self.to_come = self.to_come.saturating_sub(length);
        self.next_frame += 1;
        self.open = Some(open);
        Ok(())
    }

    /// Takes back the open volume because the stick is full, so that it can be made again: shorter, or on the next stick.
    ///
    /// # Errors
    /// `error`, when that was something else or there is no other stick.
    pub(crate) fn retreat(&mut self, error: PackError) -> Result<(), PackError> {
        if !self.full || !self.sticks.can_go_on() {
            return Err(error);
        }
        self.full = false;
        self.open = None;
        let written = fs_err::metadata(&self.before.partial).map_or(0, |metadata| metadata.len());
        fs_err::remove_file(&self.before.partial).map_err(PackError::writing)?;
        self.sticks.is_full(written);
        self.seek_table.truncate(self.before.frames);
        (self.next_frame, self.to_come) = (self.before.next_frame, self.before.to_come);
        Ok(())
    }

    /// Remembers that the disk was full.
    fn watch<T>(&mut self, outcome: Result<T, PackError>) -> Result<T, PackError> {
        self.full |= matches!(outcome, Err(PackError::Full(_)));
        outcome
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

    fn begin(&mut self, length: u64) -> Result<OpenVolume, PackError> {
        let (largest, short) = self.sticks.largest_volume();
        let least = LEAST.min(self.to_come).max(length + length / 8 + VolumeHeader::LENGTH as u64);
        if !self.sticks.is_fresh() && short && largest < least {
            self.sticks.change()?;
        }
        let number = self.sticks.journal().volumes.len() as u32 + 1;
        let partial = layout::partial(&self.sticks.path().join(layout::volume_name(&self.name, number)));
        let header = VolumeHeader { bundle: self.bundle, number, first_frame: self.next_frame }.encode();
        self.before = Before {
            partial: partial.clone(),
            frames: self.seek_table.len(),
            next_frame: self.next_frame,
            to_come: self.to_come,
        };
        let mut open = OpenVolume::create(partial, number, self.sticks.largest_volume().0)?;
        open.section = self.section(&open, header.len() as u64);
        open.write(&header)?;
        self.seek_table.push(header.len() as u64, 0);
        Ok(open)
    }

    /// How a section is divided that holds what is still to come in this volume, `least` bytes at least.
    fn geometry(&self, open: &OpenVolume, least: u64) -> Option<Geometry> {
        let expected = self.to_come.min(open.limit.saturating_sub(open.size)).max(least);
        Geometry::plan(expected, self.recovery)
    }

    /// That section.
    fn section(&self, open: &OpenVolume, least: u64) -> Option<SectionEncoder> {
        let geometry = self.geometry(open, least)?;
        Some(SectionEncoder::new(geometry, self.bundle, open.number, open.size))
    }

    fn close(&mut self, last: bool) -> Result<(), PackError> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        let ended = self.end(&mut open, last);
        self.watch(ended)?;
        let sha256 = Sha256::from_bytes(open.hasher.finalize().into());
        let frames = self.seek_table.frames().skip(self.before.frames).collect();
        let volume = FinishedVolume { stick: 0, size: open.size, sha256, next_frame: self.next_frame, frames };
        drop(open.file);
        self.sticks.add_volume(open.partial, volume)
    }

    /// Writes what a volume ends with and waits for the disk.
    fn end(&mut self, open: &mut OpenVolume, last: bool) -> Result<(), PackError> {
        open.end_section(&mut self.seek_table)?;
        let end = VolumeEnd {
            bundle: self.bundle,
            number: open.number,
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
        open.file.get_ref().sync_all().map_err(PackError::writing)
    }

    /// Ends the last volume.
    pub(crate) fn end_last(&mut self) -> Result<(), PackError> {
        self.close(true)
    }

    /// Finishes the last stick.
    pub(crate) fn finish(self) -> Result<Written, PackError> {
        self.sticks.finish()
    }
}

impl OpenVolume {
    fn create(partial: PathBuf, number: u32, limit: u64) -> Result<Self, PackError> {
        let file = fs_err::File::create(&partial).map_err(PackError::writing)?;
        Ok(Self {
            number,
            partial,
            file: BufWriter::with_capacity(256 << 10, file),
            limit,
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
