//! The Reed-Solomon code of one group, a row at a time.
//!
//! `reed-solomon-simd` wants all shards of a group in memory before it computes. Its code is linear, though, and in
//! its form for many shards (`HighRate`) works on one chunk of shards after the other and adds up; with 64 recovery
//! shards such a chunk is one of our rows. [`GroupSum`] does the same over rows as they come, and the tests compare
//! it with the library's own encoder.

use crate::geometry::ROW;
use reed_solomon_simd::engine::{DefaultEngine, Engine as _, ShardsRefMut, utils};

/// 64-byte blocks of a shard that are worked on at once: with 64 shards 256 KiB, which fits second-level caches.
const SLICE: usize = 64;

/// What the rows of a group add up to, and after [`GroupSum::finish`] its recovery shards.
pub(crate) struct GroupSum {
    /// Slice by slice, shard by shard.
    blocks: Vec<[u8; 64]>,
    /// 64-byte blocks of a shard.
    length: usize,
}

impl GroupSum {
    /// # Panics
    /// Never: a shard is a multiple of 64 bytes.
    pub(crate) fn new(shard: usize) -> Self {
        let length = shard / 64;
        Self { blocks: vec![[0; 64]; length * ROW], length }
    }

    /// Adds row number `index` of the group; `row` holds its shards one behind the other.
    pub(crate) fn add(&mut self, engine: &DefaultEngine, scratch: &mut Vec<[u8; 64]>, index: u32, row: &[u8]) {
        let (row, _) = row.as_chunks::<64>();
        for start in (0..self.length).step_by(SLICE) {
            let width = SLICE.min(self.length - start);
            scratch.clear();
            for shard in row.chunks_exact(self.length) {
                scratch.extend_from_slice(&shard[start..start + width]);
            }
            let mut shards = ShardsRefMut::new(ROW, width, scratch);
            engine.ifft(&mut shards, 0, ROW, ROW, (index as usize + 1) * ROW);
            utils::xor(&mut self.blocks[start * ROW..(start + width) * ROW], scratch);
        }
    }

    /// Turns the sum into recovery shards.
    pub(crate) fn finish(&mut self, engine: &DefaultEngine) {
        for start in (0..self.length).step_by(SLICE) {
            let width = SLICE.min(self.length - start);
            let blocks = &mut self.blocks[start * ROW..(start + width) * ROW];
            engine.fft(&mut ShardsRefMut::new(ROW, width, blocks), 0, ROW, ROW, 0);
        }
    }

    /// Recovery shard number `index`.
    pub(crate) fn shard(&self, index: usize, bytes: &mut Vec<u8>) {
        bytes.clear();
        for start in (0..self.length).step_by(SLICE) {
            let width = SLICE.min(self.length - start);
            let from = start * ROW + index * width;
            bytes.extend_from_slice(self.blocks[from..from + width].as_flattened());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reed_solomon_simd::rate::{HighRateEncoder, RateEncoder as _};

    #[test]
    fn rows_add_up_to_what_the_library_computes_at_once() {
        let engine = DefaultEngine::new();
        for (shard, rows) in [(64, 1), (64, 5), (192, 3), (64 * 65, 2), (4096, 4)] {
            let data: Vec<u8> =
                (0..shard * ROW * rows).map(|n| (n as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
            let mut sum = GroupSum::new(shard);
            let mut scratch = Vec::new();
            for (index, row) in data.chunks_exact(shard * ROW).enumerate() {
                sum.add(&engine, &mut scratch, index as u32, row);
            }
            sum.finish(&engine);
            let mut encoder = HighRateEncoder::new(ROW * rows, ROW, shard, DefaultEngine::new(), None).unwrap();
            for shard in data.chunks_exact(shard) {
                encoder.add_original_shard(shard).unwrap();
            }
            let expected = encoder.encode().unwrap();
            let mut found = Vec::new();
            for index in 0..ROW {
                sum.shard(index, &mut found);
                assert_eq!(Some(found.as_slice()), expected.recovery(index), "shard {index} of {shard}x{rows}");
            }
        }
    }
}
