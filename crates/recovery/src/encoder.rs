use crate::Geometry;
use crate::code::GroupSum;
use crate::geometry::ROW;
use crate::record::Record;
use manifest::{Sha256, frame};
use reed_solomon_simd::engine::DefaultEngine;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use twox_hash::XxHash3_64;

/// Rows that may wait for the computing thread.
const WAITING: usize = 2;

/// Takes the bytes of a section as they are written and makes its recovery data, on a thread of its own.
///
/// Memory: the recovery data (at most 40 MiB) and three rows (at most 12 MiB).
pub struct SectionEncoder {
    record: Record,
    row: Vec<u8>,
    rows: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
    thread: JoinHandle<Sums>,
}

/// What the thread answers when there are no more rows.
struct Sums {
    groups: Vec<GroupSum>,
    /// Of every shard, also those beyond the end of the last row's bytes.
    digests: Vec<u64>,
    engine: DefaultEngine,
}

impl SectionEncoder {
    /// Begins the section at byte `start` of a volume.
    #[must_use]
    pub fn new(geometry: Geometry, bundle: Sha256, volume: u32, start: u64) -> Self {
        let (give_row, rows) = sync_channel::<Vec<u8>>(WAITING);
        let (give_empty, empty) = sync_channel::<Vec<u8>>(WAITING + 1);
        let thread = std::thread::spawn(move || {
            let shard = geometry.shard as usize;
            let mut sums = Sums { groups: Vec::new(), digests: Vec::new(), engine: DefaultEngine::new() };
            let mut scratch = Vec::new();
            for (number, row) in (0u32..).zip(rows) {
                sums.digests.extend(row.chunks_exact(shard).map(XxHash3_64::oneshot));
                let (index, group) = (number / geometry.groups, (number % geometry.groups) as usize);
                if group == sums.groups.len() {
                    sums.groups.push(GroupSum::new(ROW, shard));
                }
                if let Some(sum) = sums.groups.get_mut(group) {
                    sum.add(&sums.engine, &mut scratch, index, &row);
                }
                let _ = give_empty.try_send(row);
            }
            sums
        });
        let record = Record { bundle, volume, start, length: 0, geometry, shards: Vec::new(), recovery: Vec::new() };
        Self { record, row: Vec::new(), rows: give_row, empty, thread }
    }

    /// Bytes that still fit.
    #[must_use]
    pub fn room(&self) -> u64 {
        self.record.geometry.capacity() - self.record.length
    }

    /// Bytes that [`SectionEncoder::finish`] will write if `more` bytes are taken before.
    #[must_use]
    pub fn frame_length(&self, more: u64) -> u64 {
        match self.record.length + more {
            0 => 0,
            length => self.record.geometry.frame_length(length),
        }
    }

    /// Takes the next bytes; never more than [`SectionEncoder::room`].
    ///
    /// # Panics
    /// If the computing thread did.
    pub fn push(&mut self, mut bytes: &[u8]) {
        debug_assert!(bytes.len() as u64 <= self.room());
        self.record.length += bytes.len() as u64;
        let full = self.record.geometry.row_bytes() as usize;
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(full - self.row.len()));
            self.row.extend_from_slice(now);
            bytes = later;
            if self.row.len() == full {
                self.hand_over();
            }
        }
    }

    fn hand_over(&mut self) {
        let mut next = self.empty.try_recv().unwrap_or_default();
        next.clear();
        // Fails only if the thread is gone, which `finish` will tell.
        let _ = self.rows.send(std::mem::replace(&mut self.row, next));
    }

    /// Writes the frame with the recovery data; nothing when the section is empty.
    ///
    /// # Errors
    /// What `write` answers.
    ///
    /// # Panics
    /// If the computing thread did.
    pub fn finish<E>(mut self, write: &mut dyn FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let length = self.record.length;
        let geometry = self.record.geometry;
        if !self.row.is_empty() {
            self.row.resize(geometry.row_bytes() as usize, 0);
            self.hand_over();
        }
        drop(self.rows);
        let mut sums = match self.thread.join() {
            Ok(sums) => sums,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        if length == 0 {
            return Ok(());
        }
        sums.digests.truncate(length.div_ceil(u64::from(geometry.shard)) as usize);
        self.record.shards = sums.digests;
        let mut shard = Vec::new();
        for sum in &mut sums.groups {
            sum.finish(&sums.engine);
            for index in 0..ROW {
                sum.shard(index, &mut shard);
                self.record.recovery.push(XxHash3_64::oneshot(&shard));
            }
        }
        let record = self.record.encode();
        let content = geometry.frame_length(length) - 8;
        write(&frame::PARITY.to_le_bytes())?;
        write(&(content as u32).to_le_bytes())?;
        write(&record)?;
        for sum in &sums.groups {
            for index in 0..ROW {
                sum.shard(index, &mut shard);
                write(&shard)?;
            }
        }
        write(&record)
    }
}
