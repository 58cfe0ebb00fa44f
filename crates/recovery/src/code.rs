//! The Reed-Solomon code of one group, a row at a time.
//!
//! `reed-solomon-simd` wants all shards of a group in memory before it computes. Its code is linear, though, and in
//! its form for many shards (`HighRate`) works on one chunk of shards after the other and adds up; such a chunk has as
//! many shards as there are recovery shards, rounded up to a power of two, and is one of our rows. [`GroupSum`] does
//! the same over rows as they come, and the tests compare it with the library's own encoder.

use reed_solomon_simd::engine::{DefaultEngine, Engine as _, ShardsRefMut, utils};

/// 64-byte blocks of a row that are worked on at once: 256 KiB, which fits second-level caches.
const SLICE: usize = 4096;

/// What the rows of a group add up to, and after [`GroupSum::finish`] its recovery shards.
pub(crate) struct GroupSum {
    /// Slice by slice, shard by shard.
    blocks: Vec<[u8; 64]>,
    /// Shards of a row, and recovery shards: a power of two, at most 4096.
    row: usize,
    /// 64-byte blocks of a shard.
    length: usize,
}

impl GroupSum {
    /// For rows of `row` shards of `shard` bytes, a multiple of 64.
    pub(crate) fn new(row: usize, shard: usize) -> Self {
        let length = shard / 64;
        Self { blocks: vec![[0; 64]; length * row], row, length }
    }

    /// 64-byte blocks of a shard that are worked on at once.
    fn slice(&self) -> usize {
        (SLICE / self.row).max(1)
    }

    /// Adds row number `index` of the group; `row` holds its shards one behind the other.
    pub(crate) fn add(&mut self, engine: &DefaultEngine, scratch: &mut Vec<[u8; 64]>, index: u32, row: &[u8]) {
        let (row, _) = row.as_chunks::<64>();
        for start in (0..self.length).step_by(self.slice()) {
            let width = self.slice().min(self.length - start);
            scratch.clear();
            for shard in row.chunks_exact(self.length) {
                scratch.extend_from_slice(&shard[start..start + width]);
            }
            let mut shards = ShardsRefMut::new(self.row, width, scratch);
            engine.ifft(&mut shards, 0, self.row, self.row, (index as usize + 1) * self.row);
            utils::xor(&mut self.blocks[start * self.row..(start + width) * self.row], scratch);
        }
    }

    /// Turns the sum into recovery shards.
    pub(crate) fn finish(&mut self, engine: &DefaultEngine) {
        for start in (0..self.length).step_by(self.slice()) {
            let width = self.slice().min(self.length - start);
            let row = self.row;
            let blocks = &mut self.blocks[start * row..(start + width) * row];
            engine.fft(&mut ShardsRefMut::new(row, width, blocks), 0, row, row, 0);
        }
    }

    /// Recovery shard number `index`.
    pub(crate) fn shard(&self, index: usize, bytes: &mut Vec<u8>) {
        bytes.clear();
        for start in (0..self.length).step_by(self.slice()) {
            let width = self.slice().min(self.length - start);
            let from = start * self.row + index * width;
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
        let cases = [(64, 64, 1), (64, 64, 5), (64, 192, 3), (64, 64 * 65, 2), (64, 4096, 4)];
        for (row, shard, rows) in cases.into_iter().chain([(1, 64, 3), (1, 64 * 5000, 2), (2, 128, 4), (16, 320, 2)]) {
            let data: Vec<u8> =
                (0..shard * row * rows).map(|n| (n as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
            let mut sum = GroupSum::new(row, shard);
            let mut scratch = Vec::new();
            for (index, shards) in data.chunks_exact(shard * row).enumerate() {
                sum.add(&engine, &mut scratch, index as u32, shards);
            }
            sum.finish(&engine);
            let mut encoder = HighRateEncoder::new(row * rows, row, shard, DefaultEngine::new(), None).unwrap();
            for shard in data.chunks_exact(shard) {
                encoder.add_original_shard(shard).unwrap();
            }
            let expected = encoder.encode().unwrap();
            let mut found = Vec::new();
            for index in 0..row {
                sum.shard(index, &mut found);
                assert_eq!(Some(found.as_slice()), expected.recovery(index), "shard {index} of {row}x{shard}x{rows}");
            }
        }
    }
}
