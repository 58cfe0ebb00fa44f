//! Repairs volumes with recovery volumes.

use crate::recovery_set::{RecoverySet, SegmentRecord};
use crate::section::read_at;
use crate::{ReadVolume, RecoveryVolume};
use reed_solomon_simd::engine::DefaultEngine;
use reed_solomon_simd::rate::{HighRateDecoder, RateDecoder as _};
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use twox_hash::XxHash3_64;

/// Bytes of all blocks that are computed at once.
const WORK: usize = 32 << 20;

/// What was done to the volumes, and what could not be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetRepair {
    /// Bytes that were computed, of all volumes.
    pub rebuilt: u64,
    /// Bytes of each volume that are damaged still.
    pub beyond_help: Vec<u64>,
    /// The worst place: how many blocks of a column are damaged there, and for how many there are recovery blocks.
    pub worst: Option<(usize, usize)>,
}

/// Takes bytes of a volume (its number, from 1) and where in it they belong.
pub type WriteVolume<'a, E> = dyn FnMut(u32, u64, &[u8]) -> Result<(), E> + 'a;

/// A stretch of columns and what is known about them.
struct Columns<'a> {
    set: &'a RecoverySet,
    /// Where the stretch begins in every volume.
    place: u64,
    /// The first column in its segment, and how many there are.
    first: usize,
    count: usize,
    /// Bytes of all volumes, one behind the other.
    data: Vec<u8>,
    /// Bytes of the recovery volumes that are there, one behind the other.
    recovery: Vec<u8>,
}

impl RecoverySet {
    /// Compares the volumes with what they were and computes what is damaged, with the recovery volumes that are there
    /// (each at most once); `write` gets the number of a volume, a place in it and the bytes that belong there, and
    /// only such as have the right digest. What `read` cannot read, or a volume has no more, counts as damaged.
    /// `looked_at` gets the bytes that were looked at so far, of all volumes.
    ///
    /// Memory: about 100 MiB, however large and however many the volumes are.
    ///
    /// # Errors
    /// What `write` answers.
    pub fn repair<R: Read + Seek, E>(
        &self,
        found: &mut [(RecoveryVolume, R)],
        read: &mut ReadVolume<'_>,
        write: &mut WriteVolume<'_, E>,
        looked_at: &mut dyn FnMut(u64),
    ) -> Result<SetRepair, E> {
        let mut report = SetRepair { beyond_help: vec![0; self.volumes.len()], ..SetRepair::default() };
        let block = self.block as usize;
        let shards = (self.volumes.len() + self.count.next_power_of_two() as usize).next_power_of_two();
        let step = (WORK / (shards * block)).max(1);
        let mut columns = Columns { set: self, place: 0, first: 0, count: 0, data: Vec::new(), recovery: Vec::new() };
        let mut seen = 0;
        let longest = found.iter_mut().filter_map(|(_, file)| file.seek(SeekFrom::End(0)).ok()).max().unwrap_or(0);
        for segment in 0..self.segments() {
            // Nothing is known of what lies behind the ends of all recovery volumes.
            if self.segment_place(segment) >= longest {
                break;
            }
            let records: Vec<Option<SegmentRecord>> =
                found.iter_mut().map(|(volume, file)| volume.record(segment, file)).collect();
            // Without any, nothing is known about the blocks of this segment.
            let Some(known) = records.iter().flatten().next() else { continue };
            let all = self.columns_of(segment) as usize;
            for first in (0..all).step_by(step) {
                columns.first = first;
                columns.count = step.min(all - first);
                columns.place = self.place(segment) + (first * block) as u64;
                columns.load(read);
                seen += columns.data.len() as u64;
                looked_at(seen);
                let lost = columns.damaged(&known.blocks, all);
                if lost.iter().any(|lost| !lost.is_empty()) {
                    let intact = columns.load_recovery(segment, found, &records);
                    columns.rebuild(&lost, &intact, found, (&known.blocks, all), &mut report, write)?;
                }
            }
        }
        Ok(report)
    }
}

impl Columns<'_> {
    fn block(&self) -> usize {
        self.set.block as usize
    }

    /// Bytes of each volume.
    fn width(&self) -> usize {
        self.count * self.block()
    }

    /// Reads the blocks of all volumes.
    fn load(&mut self, read: &mut ReadVolume<'_>) {
        let (width, block) = (self.width(), self.block());
        self.data.clear();
        self.data.resize(self.set.volumes.len() * width, 0);
        for ((number, volume), stretch) in (1u32..).zip(&self.set.volumes).zip(self.data.chunks_exact_mut(width)) {
            let there = volume.size.saturating_sub(self.place).min(width as u64) as usize;
            let now = stretch.get_mut(..there).unwrap_or_default();
            if now.is_empty() || matches!(read(number, self.place, now), Ok(count) if count == there) {
                continue;
            }
            // One bad place must not cost the others.
            for (index, piece) in (0u64..).zip(now.chunks_mut(block)) {
                let count = read(number, self.place + index * block as u64, piece).unwrap_or(0);
                piece.get_mut(count..).unwrap_or_default().fill(0);
            }
        }
    }

    /// Which volumes have a damaged block, column by column. `known` are the digests of the segment with `all` columns.
    fn damaged(&self, known: &[u64], all: usize) -> Vec<Vec<usize>> {
        let mut lost = vec![Vec::new(); self.count];
        for (volume, stretch) in self.data.chunks_exact(self.width()).enumerate() {
            for ((column, piece), lost) in stretch.chunks_exact(self.block()).enumerate().zip(&mut lost) {
                if known.get(volume * all + self.first + column) != Some(&XxHash3_64::oneshot(piece)) {
                    lost.push(volume);
                }
            }
        }
        lost
    }

    /// Reads the recovery blocks; answers which of the recovery volumes have an intact one, column by column.
    fn load_recovery<R: Read + Seek>(
        &mut self,
        segment: u64,
        found: &mut [(RecoveryVolume, R)],
        records: &[Option<SegmentRecord>],
    ) -> Vec<Vec<usize>> {
        let (width, block) = (self.width(), self.block());
        self.recovery.clear();
        self.recovery.resize(found.len() * width, 0);
        let mut intact = vec![Vec::new(); self.count];
        let stretches = self.recovery.chunks_exact_mut(width);
        for (at, (((volume, file), record), stretch)) in found.iter_mut().zip(records).zip(stretches).enumerate() {
            let Some(record) = record else { continue };
            let start = volume.blocks_place(segment) + (self.first * block) as u64;
            for ((column, piece), intact) in stretch.chunks_exact_mut(block).enumerate().zip(&mut intact) {
                let read = read_at(file, start + (column * block) as u64, piece);
                if matches!(read, Ok(count) if count == block)
                    && record.recovery.get(self.first + column) == Some(&XxHash3_64::oneshot(piece))
                {
                    intact.push(at);
                }
            }
        }
        intact
    }

    /// Computes what is lost; neighbouring columns that lack the same at once.
    fn rebuild<R, E>(
        &self,
        lost: &[Vec<usize>],
        intact: &[Vec<usize>],
        found: &[(RecoveryVolume, R)],
        known: (&[u64], usize),
        report: &mut SetRepair,
        write: &mut WriteVolume<'_, E>,
    ) -> Result<(), E> {
        let mut start = 0;
        while let (Some(lacks), Some(has)) = (lost.get(start), intact.get(start)) {
            let same = |at: &usize| lost.get(*at) == Some(lacks) && intact.get(*at) == Some(has);
            let end = (start..self.count).take_while(same).count() + start;
            if !lacks.is_empty() {
                let computed = match has.get(..lacks.len()) {
                    Some(helpers) => self.compute(start..end, lacks, helpers, found).unwrap_or_default(),
                    None => Vec::new(),
                };
                if has.len() < lacks.len() && report.worst.is_none_or(|(lost, _)| lost < lacks.len()) {
                    report.worst = Some((lacks.len(), has.len()));
                }
                for (at, volume) in lacks.iter().enumerate() {
                    self.deliver(start..end, *volume, computed.get(at).map(Vec::as_slice), known, report, write)?;
                }
            }
            start = end;
        }
        Ok(())
    }

    /// The blocks of the volumes `lost` in a stretch of columns, computed with the recovery volumes `helpers`.
    fn compute<R>(
        &self,
        columns: Range<usize>,
        lost: &[usize],
        helpers: &[usize],
        found: &[(RecoveryVolume, R)],
    ) -> Option<Vec<Vec<u8>>> {
        let block = self.block();
        let bytes = columns.start * block..columns.end * block;
        let volumes = self.set.volumes.len();
        let engine = DefaultEngine::new();
        let mut decoder = HighRateDecoder::new(volumes, self.set.count as usize, bytes.len(), engine, None).ok()?;
        for (volume, stretch) in self.data.chunks_exact(self.width()).enumerate() {
            if !lost.contains(&volume) {
                decoder.add_original_shard(volume, stretch.get(bytes.clone())?).ok()?;
            }
        }
        for at in helpers {
            let stretch = self.recovery.chunks_exact(self.width()).nth(*at)?.get(bytes.clone())?;
            decoder.add_recovery_shard(found.get(*at)?.0.number as usize - 1, stretch).ok()?;
        }
        let result = decoder.decode().ok()?;
        lost.iter().map(|volume| result.restored_original(*volume).map(<[u8]>::to_vec)).collect()
    }

    /// Hands over the blocks of one volume that are what they were; the others are beyond help.
    fn deliver<E>(
        &self,
        columns: Range<usize>,
        volume: usize,
        computed: Option<&[u8]>,
        (known, all): (&[u64], usize),
        report: &mut SetRepair,
        write: &mut WriteVolume<'_, E>,
    ) -> Result<(), E> {
        let block = self.block();
        let size = self.set.volumes.get(volume).map_or(0, |volume| volume.size);
        for (index, column) in columns.enumerate() {
            let at = self.place + (column * block) as u64;
            let there = size.saturating_sub(at).min(block as u64) as usize;
            let piece = computed.and_then(|bytes| bytes.get(index * block..(index + 1) * block));
            match piece
                .filter(|piece| known.get(volume * all + self.first + column) == Some(&XxHash3_64::oneshot(piece)))
            {
                Some(piece) => {
                    write(volume as u32 + 1, at, piece.get(..there).unwrap_or_default())?;
                    report.rebuilt += there as u64;
                }
                None => {
                    if let Some(beyond_help) = report.beyond_help.get_mut(volume) {
                        *beyond_help += there as u64;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProtectedVolume;
    use manifest::Sha256;
    use proptest::prelude::*;
    use std::io::{self, Cursor};

    fn noise(length: usize, seed: u32) -> Vec<u8> {
        (0..length as u32).map(|n| (n ^ seed << 20).wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect()
    }

    fn read_from(volumes: &[Vec<u8>], number: u32, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        read_at(&mut Cursor::new(&volumes[number as usize - 1]), at, buffer)
    }

    /// Volumes of these lengths, and their recovery volumes with small blocks and short segments.
    fn made(lengths: &[usize], count: u32, block: u32, columns: u32) -> (RecoverySet, Vec<Vec<u8>>, Vec<Vec<u8>>) {
        let volumes: Vec<Vec<u8>> =
            lengths.iter().enumerate().map(|(at, length)| noise(*length, at as u32 + 1)).collect();
        let protected = volumes.iter().map(|v| ProtectedVolume { size: v.len() as u64, sha256: Sha256::of(v) });
        let set = RecoverySet::plan(Sha256::of(b"bundle"), count, protected.collect()).unwrap();
        let set = RecoverySet { block, columns, ..set };
        let mut recovery = vec![Vec::new(); count as usize];
        set.encode::<io::Error>(
            &mut |number, at, buffer| read_from(&volumes, number, at, buffer),
            &mut |number, bytes| {
                recovery[number as usize - 1].extend_from_slice(bytes);
                Ok(())
            },
        )
        .unwrap();
        assert!(recovery.iter().all(|volume| volume.len() as u64 == set.size()));
        (set, volumes, recovery)
    }

    /// Repairs `damaged` in place with those recovery volumes that can be opened.
    fn repair(set: &RecoverySet, damaged: &mut [Vec<u8>], recovery: &[Vec<u8>]) -> SetRepair {
        let mut found: Vec<(RecoveryVolume, Cursor<&Vec<u8>>)> = recovery
            .iter()
            .filter_map(|bytes| Some((RecoveryVolume::open(&mut Cursor::new(bytes)).unwrap()?, Cursor::new(bytes))))
            .collect();
        let before = damaged.to_vec();
        let mut write = |number: u32, at: u64, bytes: &[u8]| {
            let volume = &mut damaged[number as usize - 1];
            let end = at as usize + bytes.len();
            volume.resize(volume.len().max(end), 0);
            volume[at as usize..end].copy_from_slice(bytes);
            Ok::<(), io::Error>(())
        };
        let mut read = |number: u32, at: u64, buffer: &mut [u8]| read_from(&before, number, at, buffer);
        set.repair(&mut found, &mut read, &mut write, &mut |_| {}).unwrap()
    }

    const LENGTHS: [usize; 5] = [9_000, 10_000, 10_001, 4_096, 700];

    #[test]
    fn any_volumes_that_are_lost_come_back() {
        for count in 1..=3u32 {
            let (set, whole, recovery) = made(&LENGTHS, count, 256, 8);
            for lost in 0..1u32 << whole.len() {
                let mut damaged = whole.clone();
                (0..whole.len()).filter(|at| lost >> at & 1 == 1).for_each(|at| damaged[at].clear());
                let report = repair(&set, &mut damaged, &recovery);
                if lost.count_ones() <= count {
                    assert!(damaged == whole, "{lost:b} of {count}");
                    assert_eq!(report.beyond_help, [0; 5]);
                } else if lost & 0b1100 == 0 {
                    // Too much in the columns that all three long volumes have; the others come back.
                    assert!(report.worst.is_some_and(|(lost, has)| lost > has && has == count as usize));
                    assert!(report.beyond_help.iter().sum::<u64>() > 0);
                }
            }
        }
    }

    #[test]
    fn a_volume_and_damage_to_another_need_two_only_where_both_are_hit() {
        let (set, whole, recovery) = made(&LENGTHS, 1, 256, 8);
        let mut damaged = whole.clone();
        damaged[1].clear();
        damaged[0][600..700].fill(0xAA);
        let report = repair(&set, &mut damaged, &recovery);
        assert_eq!(report.beyond_help, [256, 256, 0, 0, 0]);
        assert_eq!(report.worst, Some((2, 1)));
        assert!(damaged[1][..512] == whole[1][..512] && damaged[1][768..] == whole[1][768..]);
    }

    #[test]
    fn a_damaged_recovery_volume_helps_where_it_is_whole() {
        let (set, whole, recovery) = made(&LENGTHS, 1, 256, 8);
        let mut hurt = recovery.clone();
        // Its beginning, with the head and the first record of the first segment, and one block of the second segment.
        hurt[0][..set.segment_place(0) as usize + 100].fill(0);
        let (volume, _) =
            RecoverySet::parse_head(&set.head(1)).map(|(set, number)| (RecoveryVolume { set, number }, ())).unwrap();
        let block = volume.blocks_place(1) as usize;
        hurt[0][block + 300] ^= 1;
        let found = RecoveryVolume::open(&mut Cursor::new(&hurt[0])).unwrap().unwrap();
        assert_eq!(found, volume);
        let places = found.damage(&mut Cursor::new(&hurt[0])).unwrap();
        assert_eq!(places.last(), Some(&(block as u64 + 256, 256)));
        let mut damaged = whole.clone();
        damaged[0].clear();
        let report = repair(&set, &mut damaged, &hurt);
        assert_eq!(report.beyond_help, [256, 0, 0, 0, 0]);
        let lost = 9 * 256..10 * 256;
        assert!(damaged[0][..lost.start] == whole[0][..lost.start] && damaged[0][lost.end..] == whole[0][lost.end..]);
        assert_eq!(volume.damage(&mut Cursor::new(&recovery[0])).unwrap(), []);
        hurt[0].truncate(5000);
        assert_eq!(RecoveryVolume::open(&mut Cursor::new(&hurt[0])).unwrap(), None);
    }

    #[test]
    fn every_flipped_byte_of_a_recovery_volume_is_named() {
        let (_, _, recovery) = made(&[700, 900], 2, 64, 4);
        let volume = RecoveryVolume::open(&mut Cursor::new(&recovery[1])).unwrap().unwrap();
        for at in 0..recovery[1].len() {
            let mut hurt = recovery[1].clone();
            hurt[at] ^= 0x20;
            let places = volume.damage(&mut Cursor::new(&hurt)).unwrap();
            assert!(matches!(places.as_slice(), [(from, long)] if (*from..from + long).contains(&(at as u64))), "{at}");
            assert_eq!(RecoveryVolume::open(&mut Cursor::new(&hurt)).unwrap().as_ref(), Some(&volume));
        }
        let long = [recovery[1].clone(), vec![1; 9]].concat();
        let places = volume.damage(&mut Cursor::new(&long)).unwrap();
        assert_eq!(places, [(recovery[1].len() as u64, 9)]);
    }

    proptest! {
        #[test]
        fn any_damage_within_bounds_is_repaired(
            lengths in prop::collection::vec(1usize..5000, 1..9),
            count in 1u32..5,
            (block, columns) in (1u32..5, 1u32..9),
            holes in prop::collection::vec((0usize..99, 0usize..5000, 1usize..900), 0..5),
            gone in prop::collection::vec(0usize..99, 0..4),
            truncated in (0usize..99, 0usize..5000),
        ) {
            let (set, whole, recovery) = made(&lengths, count, block * 64, columns);
            let mut damaged = whole.clone();
            for (volume, at, long) in holes {
                let volume = volume % lengths.len();
                let end = (at + long).min(lengths[volume]);
                damaged[volume][at.min(end)..end].iter_mut().for_each(|byte| *byte ^= 0x55);
            }
            gone.iter().for_each(|at| damaged[at % lengths.len()].clear());
            damaged[truncated.0 % lengths.len()].truncate(truncated.1);
            let hit = damaged.iter().zip(&whole).filter(|(damaged, whole)| damaged != whole).count();
            let report = repair(&set, &mut damaged, &recovery);
            if hit <= count as usize {
                prop_assert!(damaged == whole);
            }
            // Whatever was not possible: nothing is made worse, and what is whole again is not counted as lost.
            for ((damaged, whole), lost) in damaged.iter().zip(&whole).zip(&report.beyond_help) {
                prop_assert_eq!(*lost == 0, damaged == whole);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(at in 0usize..3000, bytes in prop::collection::vec(any::<u8>(), 1..90)) {
            let (_, _, mut recovery) = made(&[700, 900], 2, 64, 4);
            let at = at % recovery[0].len();
            let end = (at + bytes.len()).min(recovery[0].len());
            recovery[0].splice(at..end, bytes);
            if let Some(volume) = RecoveryVolume::open(&mut Cursor::new(&recovery[0])).unwrap() {
                let _ = volume.damage(&mut Cursor::new(&recovery[0])).unwrap();
            }
        }
    }
}
