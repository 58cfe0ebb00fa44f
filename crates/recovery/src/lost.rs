//! The lost shards of a group, from its recovery shards.
//!
//! A decoder of the library works on the whole group and takes as long for one lost shard as for 64. Few are lost,
//! usually, and encoding is several times as fast: what the intact shards contribute to the recovery shards is summed up
//! as when they were made ([`GroupSum`]), and what remains of the recovery shards are as many linear equations as there
//! are lost shards.

use crate::code::GroupSum;
use crate::geometry::ROW;
use reed_solomon_simd::engine::tables::{self, get_exp_log};
use reed_solomon_simd::engine::{DefaultEngine, Engine as _, GF_MODULUS, utils};

/// Elements of GF(2^16) in a block: the low bytes come first, then the high ones.
const ELEMENTS: usize = 32;

/// The equations of a group.
pub(crate) struct Lost {
    /// Numbers of the lost shards in their group, ascending.
    shards: Vec<usize>,
    /// Numbers of as many recovery shards.
    helpers: Vec<usize>,
    /// For every lost shard, by what the helpers' remainders are multiplied.
    inverse: Vec<Vec<u16>>,
}

impl Lost {
    /// Sets the equations up; nothing if they contradict each other, which this code never does.
    pub(crate) fn new(engine: &DefaultEngine, shards: &[usize], helpers: &[usize]) -> Option<Self> {
        let inverse = invert(coefficients(engine, shards, helpers))?;
        Some(Self { shards: shards.to_vec(), helpers: helpers.to_vec(), inverse })
    }

    /// Is that shard of the group lost?
    pub(crate) fn contains(&self, shard: usize) -> bool {
        self.shards.binary_search(&shard).is_ok()
    }

    /// The lost shards, in order. `sum` is finished and had zeros in their places; `recovery` holds the helpers' shards
    /// in order, one behind the other.
    pub(crate) fn solve(&self, engine: &DefaultEngine, sum: &GroupSum, mut recovery: Vec<u8>) -> Vec<Vec<u8>> {
        let length = recovery.len() / self.helpers.len().max(1);
        let mut contributed = Vec::new();
        for (helper, remainder) in self.helpers.iter().zip(recovery.chunks_exact_mut(length)) {
            sum.shard(*helper, &mut contributed);
            utils::xor(remainder.as_chunks_mut().0, contributed.as_chunks().0);
        }
        let log = &get_exp_log().log;
        let mut product = vec![[0; 64]; length / 64];
        let mut solved = Vec::new();
        for row in &self.inverse {
            let mut shard = vec![[0; 64]; length / 64];
            for (factor, remainder) in row.iter().zip(recovery.chunks_exact(length)).filter(|(factor, _)| **factor != 0)
            {
                product.copy_from_slice(remainder.as_chunks().0);
                engine.mul(&mut product, log[usize::from(*factor)]);
                utils::xor(&mut shard, &product);
            }
            solved.push(shard.into_flattened());
        }
        solved
    }
}

/// What one unit of every lost shard contributes to every helper: `[helper][lost]`.
fn coefficients(engine: &DefaultEngine, shards: &[usize], helpers: &[usize]) -> Vec<Vec<u16>> {
    let mut matrix = vec![Vec::with_capacity(shards.len()); helpers.len()];
    let (mut scratch, mut found) = (Vec::new(), Vec::new());
    // Elements do not mix, so a block tells about as many shards as it has elements.
    for shards in shards.chunks(ELEMENTS) {
        let mut sum = GroupSum::new(ROW, 64);
        for of_a_row in shards.chunk_by(|a, b| a / ROW == b / ROW) {
            let mut row = vec![0; ROW * 64];
            for shard in of_a_row {
                let element = shards.iter().position(|other| other == shard).unwrap_or_default();
                row[shard % ROW * 64 + element] = 1;
            }
            sum.add(engine, &mut scratch, (of_a_row[0] / ROW) as u32, &row);
        }
        sum.finish(engine);
        for (helper, coefficients) in helpers.iter().zip(&mut matrix) {
            sum.shard(*helper, &mut found);
            let elements = (0..shards.len()).map(|at| u16::from_le_bytes([found[at], found[at + ELEMENTS]]));
            coefficients.extend(elements);
        }
    }
    matrix
}

/// Gauss and Jordan's way.
fn invert(mut matrix: Vec<Vec<u16>>) -> Option<Vec<Vec<u16>>> {
    let tables = get_exp_log();
    let log = |of: u16| tables.log[usize::from(of)];
    let multiply = |row: &mut [u16], log_factor| {
        row.iter_mut().for_each(|of| *of = tables::mul(*of, log_factor, &tables.exp, &tables.log));
    };
    let count = matrix.len();
    for (at, row) in matrix.iter_mut().enumerate() {
        row.extend((0..count).map(|column| u16::from(column == at)));
    }
    for at in 0..count {
        let pivot = (at..count).find(|row| matrix[*row][at] != 0)?;
        matrix.swap(at, pivot);
        let mut row = matrix[at].clone();
        let inverse = (GF_MODULUS - log(row[at])) % GF_MODULUS;
        multiply(&mut row, inverse);
        for other in (0..count).filter(|other| *other != at && matrix[*other][at] != 0).collect::<Vec<_>>() {
            let mut part = row.clone();
            multiply(&mut part, log(matrix[other][at]));
            matrix[other].iter_mut().zip(part).for_each(|(of, part)| *of ^= part);
        }
        matrix[at] = row;
    }
    Some(matrix.into_iter().map(|mut row| row.split_off(count)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_shards_come_back_from_any_recovery_shards() {
        let engine = DefaultEngine::new();
        let (rows, length) = (5, 64 * 3);
        let data: Vec<u8> =
            (0..rows * ROW * length).map(|n| (n as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
        let sum_of = |data: &[u8]| {
            let mut sum = GroupSum::new(ROW, length);
            let mut scratch = Vec::new();
            for (index, row) in data.chunks_exact(ROW * length).enumerate() {
                sum.add(&engine, &mut scratch, index as u32, row);
            }
            sum.finish(&engine);
            sum
        };
        let recovery = sum_of(&data);
        let every_fifth: Vec<usize> = (0..rows * ROW).step_by(5).collect();
        let cases: [(Vec<usize>, usize); 5] = [
            (vec![0], 0),
            (vec![7, 8, 200], 61),
            (every_fifth, 0),
            ((64..128).collect(), 0),
            ((100..133).collect(), 20),
        ];
        for (shards, first) in cases {
            let helpers: Vec<usize> = (first..first + shards.len()).collect();
            let lost = Lost::new(&engine, &shards, &helpers).unwrap();
            let mut damaged = data.clone();
            for shard in &shards {
                assert!(lost.contains(*shard));
                damaged[shard * length..(shard + 1) * length].fill(0);
            }
            let (mut one, mut remainders) = (Vec::new(), Vec::new());
            for helper in &helpers {
                recovery.shard(*helper, &mut one);
                remainders.extend_from_slice(&one);
            }
            let solved = lost.solve(&engine, &sum_of(&damaged), remainders);
            assert_eq!(solved.len(), shards.len());
            for (shard, solved) in shards.iter().zip(solved) {
                assert!(solved == data[shard * length..(shard + 1) * length], "shard {shard} of {shards:?}");
            }
        }
    }
}
