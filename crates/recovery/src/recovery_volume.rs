//! A recovery volume, found.

use crate::recovery_set::{RecoverySet, SegmentRecord, frame_head};
use crate::section::read_at;
use std::io::{self, Read, Seek, SeekFrom};
use twox_hash::XxHash3_64;

/// A recovery volume whose head could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryVolume {
    /// What it protects, and how.
    pub set: RecoverySet,
    /// Which one of the set it is, from 1.
    pub number: u32,
}

impl RecoveryVolume {
    /// Reads the head of a recovery volume: the one at its beginning or the one at its end. Nothing when it is none, or
    /// both are damaged.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn open(file: &mut (impl Read + Seek)) -> io::Result<Option<Self>> {
        if let Some(found) = Self::head_at(file, 0)? {
            return Ok(Some(found));
        }
        // Where the one at the end begins depends on how many volumes there are.
        let size = file.seek(SeekFrom::End(0))?;
        let longest = RecoverySet::LONGEST_HEAD as u64;
        let start = size.saturating_sub(longest);
        let mut end = vec![0; (size - start) as usize];
        let read = read_at(file, start, &mut end)?;
        end.truncate(read);
        let places = (0..end.len()).rev().filter(|at| {
            end.get(*at..)
                .is_some_and(|rest| RecoverySet::head_length_from(rest).is_some_and(|length| length <= rest.len()))
        });
        for at in places {
            if let Some(found) = Self::head_at(file, start + at as u64)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn head_at(file: &mut (impl Read + Seek), at: u64) -> io::Result<Option<Self>> {
        let mut bytes = vec![0; RecoverySet::SHORTEST_HEAD];
        // A bad place is damage, like other bytes there.
        if !matches!(read_at(file, at, &mut bytes), Ok(read) if read == bytes.len()) {
            return Ok(None);
        }
        let Some(length) = RecoverySet::head_length_from(&bytes) else { return Ok(None) };
        bytes.resize(length, 0);
        if !matches!(read_at(file, at, &mut bytes), Ok(read) if read == length) {
            return Ok(None);
        }
        Ok(RecoverySet::parse_head(&bytes).map(|(set, number)| Self { set, number }))
    }

    /// The record of a segment: the one before its blocks or the one behind.
    pub(crate) fn record(&self, segment: u64, file: &mut (impl Read + Seek)) -> Option<SegmentRecord> {
        let length = self.set.record_length(segment);
        let first = self.set.segment_place(segment) + 8;
        let second = self.set.segment_place(segment) + self.set.segment_length(segment) - length;
        if file.seek(SeekFrom::End(0)).ok()? < first + length {
            return None;
        }
        let mut bytes = vec![0; length as usize];
        [first, second].into_iter().find_map(|at| {
            let whole = matches!(read_at(file, at, &mut bytes), Ok(read) if read == bytes.len());
            whole.then(|| SegmentRecord::parse(&self.set, self.number, segment, &bytes))?
        })
    }

    /// Where the recovery blocks of a segment begin.
    pub(crate) fn blocks_place(&self, segment: u64) -> u64 {
        self.set.segment_place(segment) + 8 + self.set.record_length(segment)
    }

    /// Compares all of it with its own digests; answers the places that are damaged: offset and length.
    ///
    /// # Errors
    /// Never at present: what cannot be read is damage.
    pub fn damage(&self, file: &mut (impl Read + Seek)) -> io::Result<Vec<(u64, u64)>> {
        let mut damage: Vec<(u64, u64)> = Vec::new();
        let mut note = |at: u64, length: u64| match damage.last_mut() {
            Some((from, long)) if *from + *long == at => *long += length,
            _ => damage.push((at, length)),
        };
        let head = self.set.head(self.number);
        compare(file, 0, &head, &mut note);
        let mut block = vec![0; self.set.block as usize];
        let size = file.seek(SeekFrom::End(0))?;
        for segment in 0..self.set.segments() {
            if self.set.segment_place(segment) >= size {
                // Cut off, or the head claims what never was.
                note(self.set.segment_place(segment), self.set.size() - self.set.segment_place(segment));
                return Ok(damage);
            }
            let (place, length) = (self.set.segment_place(segment), self.set.segment_length(segment));
            let Some(record) = self.record(segment, file) else {
                note(place, length);
                continue;
            };
            let text = record.encode();
            let start = [frame_head((length - 8) as usize), text.clone()].concat();
            compare(file, place, &start, &mut note);
            for (index, expected) in (0u64..).zip(&record.recovery) {
                let at = self.blocks_place(segment) + index * block.len() as u64;
                let whole = matches!(read_at(file, at, &mut block), Ok(read) if read == block.len());
                if !whole || XxHash3_64::oneshot(&block) != *expected {
                    note(at, block.len() as u64);
                }
            }
            compare(file, place + length - text.len() as u64, &text, &mut note);
        }
        compare(file, self.set.size() - head.len() as u64, &head, &mut note);
        if size > self.set.size() {
            note(self.set.size(), size - self.set.size());
        }
        Ok(damage)
    }
}

fn compare(file: &mut (impl Read + Seek), at: u64, expected: &[u8], note: &mut dyn FnMut(u64, u64)) {
    let mut bytes = vec![0; expected.len()];
    let whole = matches!(read_at(file, at, &mut bytes), Ok(read) if read == expected.len());
    if !whole || bytes != expected {
        note(at, expected.len() as u64);
    }
}
