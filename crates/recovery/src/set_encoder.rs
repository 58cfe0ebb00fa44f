//! Makes recovery volumes from volumes that are written.

use crate::code::GroupSum;
use crate::recovery_set::{RecoverySet, SegmentRecord, frame_head};
use reed_solomon_simd::engine::DefaultEngine;
use std::io;
use twox_hash::XxHash3_64;

/// Reads a volume (its number, from 1) from an offset on, as far as it goes; answers how many bytes there were.
pub type ReadVolume<'a> = dyn FnMut(u32, u64, &mut [u8]) -> io::Result<usize> + 'a;
/// Takes the next bytes of a recovery volume (its number, from 1).
pub type WriteRecovery<'a, E> = dyn FnMut(u32, &[u8]) -> Result<(), E> + 'a;

impl RecoverySet {
    /// Computes all recovery volumes, from their first to their last byte; `write` gets the number of one (from 1) and
    /// its next bytes. The volumes are read once, a stretch of each in turn.
    ///
    /// Memory: about 48 MiB, however large and however many the volumes are.
    ///
    /// # Errors
    /// What `read` and `write` answer; and when a volume is shorter than it was.
    pub fn encode<E: From<io::Error>>(
        &self,
        read: &mut ReadVolume<'_>,
        write: &mut WriteRecovery<'_, E>,
    ) -> Result<(), E> {
        let engine = DefaultEngine::new();
        let row = self.count.next_power_of_two() as usize;
        let block = self.block as usize;
        let (mut scratch, mut stretches, mut shard) = (Vec::new(), Vec::new(), Vec::new());
        for number in 1..=self.count {
            write(number, &self.head(number))?;
        }
        for segment in 0..self.segments() {
            let width = self.columns_of(segment) as usize * block;
            let mut sum = GroupSum::new(row, width);
            let mut blocks = Vec::new();
            for (index, group) in (0u32..).zip(self.volumes.chunks(row)) {
                stretches.clear();
                stretches.resize(row * width, 0);
                let first = index * row as u32 + 1;
                for ((number, volume), stretch) in (first..).zip(group).zip(stretches.chunks_exact_mut(width)) {
                    let there = volume.size.saturating_sub(self.place(segment)).min(width as u64) as usize;
                    let now = stretch.get_mut(..there).unwrap_or_default();
                    if !now.is_empty() && read(number, self.place(segment), now)? < there {
                        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                    }
                    blocks.extend(stretch.chunks_exact(block).map(XxHash3_64::oneshot));
                }
                sum.add(&engine, &mut scratch, index, &stretches);
            }
            sum.finish(&engine);
            let mut record = SegmentRecord { bundle: self.bundle, number: 0, segment, blocks, recovery: Vec::new() };
            for number in 1..=self.count {
                sum.shard(number as usize - 1, &mut shard);
                record.number = number;
                record.recovery = shard.chunks_exact(block).map(XxHash3_64::oneshot).collect();
                let text = record.encode();
                write(number, &frame_head(2 * text.len() + shard.len()))?;
                write(number, &text)?;
                write(number, &shard)?;
                write(number, &text)?;
            }
        }
        for number in 1..=self.count {
            write(number, &self.head(number))?;
        }
        Ok(())
    }
}
