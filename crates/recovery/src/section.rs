use crate::code::GroupSum;
use crate::geometry::ROW;
use crate::lost::Lost;
use crate::record::{HEAD, Record, TAG};
use crate::{Geometry, SectionEncoder};
use manifest::Sha256;
use memchr::memmem;
use reed_solomon_simd::engine::DefaultEngine;
use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};
use twox_hash::XxHash3_64;

/// A section of a volume and where its recovery data are.
#[derive(Clone, Debug)]
pub struct Section {
    record: Record,
    /// Where the frame with the recovery data begins.
    frame: u64,
    /// How many of its two records are whole.
    records: u8,
}

/// Which shards are not what they were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// Shards of the section.
    shards: Vec<usize>,
    /// Recovery shards.
    recovery: Vec<usize>,
    /// What is around the recovery shards.
    around: bool,
}

/// Why a section could not be rebuilt.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The operating system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// More is lost than there are recovery data for.
    #[error("{lost} bytes are lost in a part of the volume that has intact recovery data for {intact}")]
    TooMuch {
        /// Bytes of damaged shards in the worst group.
        lost: u64,
        /// Bytes of intact recovery shards of that group.
        intact: u64,
    },
    /// What was computed is not what the shard was.
    #[error("the recovery data contradict themselves")]
    Contradiction,
}

impl Damage {
    /// Nothing is damaged, the recovery shards included.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.shards.is_empty() && self.recovery.is_empty() && !self.around
    }

    /// Nothing but shards of the section itself is damaged: the frame with the recovery data is whole.
    #[must_use]
    pub fn spares_recovery(&self) -> bool {
        self.recovery.is_empty() && !self.around
    }

    /// Damaged shards of the section itself.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.shards.len()
    }
}

/// Finds the recovery data of a volume by their tags, whatever else the volume holds or lacks.
///
/// Of each section's two records one that is whole is enough. Sections come in order.
///
/// # Errors
/// When the operating system refuses.
pub fn find_sections(volume: &mut (impl Read + Seek)) -> io::Result<Vec<Section>> {
    let mut found: BTreeMap<u64, Section> = BTreeMap::new();
    for at in places(volume)? {
        let mut head = vec![0; HEAD];
        if read_at(volume, at, &mut head)? < HEAD {
            continue;
        }
        let Some(length) = Record::length(&head) else { continue };
        let mut bytes = vec![0; length];
        if read_at(volume, at, &mut bytes)? < length {
            continue;
        }
        let Some(record) = Record::parse(&bytes) else { continue };
        // The first of the two stands behind the head of the frame, the second at the frame's end.
        let size = record.geometry.frame_length(record.length);
        let end = record.start + record.length;
        let frame = if at == end + 8 { end } else { (at + length as u64).saturating_sub(size) };
        if frame == end {
            found.entry(record.start).or_insert(Section { record, frame, records: 0 }).records += 1;
        }
    }
    Ok(found.into_values().collect())
}

/// Which shards of `size` bytes do not have the digests that they should have; `load` reads shards that follow one
/// another, from one with a given number on.
fn differing<V: Read + Seek>(
    expected: &[u64],
    size: u32,
    open: &(impl Fn() -> io::Result<V> + Sync),
    load: &(impl Fn(&mut V, usize, &mut [u8]) -> io::Result<()> + Sync),
) -> io::Result<Vec<usize>> {
    let size = size as usize;
    let together = ((1 << 20) / size).max(1);
    let mut found = Vec::new();
    let read = ordered::run(
        ordered::default_threads(),
        |give| {
            (0..).step_by(together).zip(expected.chunks(together)).all(give);
            Ok(())
        },
        || (open(), Vec::new()),
        |(volume, buffer), (first, expected)| -> io::Result<Vec<usize>> {
            let volume = volume.as_mut().map_err(|error| io::Error::new(error.kind(), error.to_string()))?;
            buffer.resize(expected.len() * size, 0);
            let all = load(volume, first, buffer).is_ok();
            let numbered = (first..).zip(expected).zip(buffer.chunks_exact_mut(size));
            Ok(numbered
                .filter_map(|((index, expected), shard)| {
                    // One that cannot be read says nothing about its neighbours.
                    let read = all || load(volume, index, shard).is_ok();
                    (!read || XxHash3_64::oneshot(shard) != *expected).then_some(index)
                })
                .collect())
        },
        |differing| {
            found.extend(differing?);
            Ok::<(), io::Error>(())
        },
    );
    read.map(|()| found)
}

/// All places where a record may begin.
fn places(volume: &mut (impl Read + Seek)) -> io::Result<Vec<u64>> {
    let mut places = Vec::new();
    let mut buffer = Vec::new();
    let mut start = 0;
    volume.seek(SeekFrom::Start(0))?;
    loop {
        let read = volume.by_ref().take(1 << 20).read_to_end(&mut buffer)?;
        places.extend(memmem::find_iter(&buffer, &TAG).map(|at| start + at as u64));
        if read == 0 {
            return Ok(places);
        }
        let keep = buffer.len().min(TAG.len() - 1);
        start += (buffer.len() - keep) as u64;
        buffer.drain(..buffer.len() - keep);
    }
}

pub(crate) fn read_at(volume: &mut (impl Read + Seek), at: u64, buffer: &mut [u8]) -> io::Result<usize> {
    volume.seek(SeekFrom::Start(at))?;
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match volume.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The same; a volume that ends before is an error.
fn read_exactly(volume: &mut (impl Read + Seek), at: u64, buffer: &mut [u8]) -> io::Result<()> {
    match read_at(volume, at, buffer)? {
        count if count == buffer.len() => Ok(()),
        _ => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the volume ends in its recovery data or before them")),
    }
}

impl Section {
    /// The bundle that the volume belongs to.
    #[must_use]
    pub const fn bundle(&self) -> Sha256 {
        self.record.bundle
    }

    /// The volume's number.
    #[must_use]
    pub const fn volume(&self) -> u32 {
        self.record.volume
    }

    /// Where the section begins in its volume.
    #[must_use]
    pub const fn start(&self) -> u64 {
        self.record.start
    }

    /// Where the frame with its recovery data begins.
    #[must_use]
    pub const fn frame(&self) -> u64 {
        self.frame
    }

    /// Where that frame ends.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.frame + self.record.geometry.frame_length(self.record.length)
    }

    /// Bytes of the section.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.record.length
    }

    /// Reads the section and its recovery shards and compares them with their digests, on several threads; each opens the
    /// volume for itself. What cannot be read, because the volume is shorter or the medium answers with an error, counts
    /// as damaged.
    ///
    /// # Errors
    /// When the volume cannot be opened.
    pub fn damage<V: Read + Seek>(&self, open: &(impl Fn() -> io::Result<V> + Sync)) -> io::Result<Damage> {
        let mut head = [0; 8];
        let whole = matches!(read_at(&mut open()?, self.frame, &mut head), Ok(8)) && head == self.frame_head();
        Ok(Damage {
            shards: differing(&self.record.shards, self.record.geometry.shard, open, &|volume, index, buffer| {
                self.load(volume, index, 0, buffer)
            })?,
            recovery: differing(&self.record.recovery, self.record.geometry.shard, open, &|volume, index, buffer| {
                self.load_recovery(volume, index, 0, buffer)
            })?,
            around: !whole || self.records < 2,
        })
    }

    /// The first bytes of the frame with the recovery data.
    fn frame_head(&self) -> [u8; 8] {
        let [a, b, c, d] = manifest::frame::PARITY.to_le_bytes();
        let [e, f, g, h] = ((self.end() - self.frame - 8) as u32).to_le_bytes();
        [a, b, c, d, e, f, g, h]
    }

    /// Reads bytes from `offset` of shard number `index` on; what lies behind the end of the section is zero.
    fn load(&self, volume: &mut (impl Read + Seek), index: usize, offset: usize, buffer: &mut [u8]) -> io::Result<()> {
        let from = index as u64 * u64::from(self.record.geometry.shard) + offset as u64;
        let there = self.record.length.saturating_sub(from).min(buffer.len() as u64) as usize;
        let (now, beyond) = buffer.split_at_mut(there);
        beyond.fill(0);
        read_exactly(volume, self.record.start + from, now)
    }

    fn load_recovery(
        &self,
        volume: &mut (impl Read + Seek),
        index: usize,
        offset: usize,
        buffer: &mut [u8],
    ) -> io::Result<()> {
        let head = 8 + HEAD + 8 * (self.record.shards.len() + self.record.recovery.len());
        let at = self.frame + head as u64 + index as u64 * u64::from(self.record.geometry.shard) + offset as u64;
        read_exactly(volume, at, buffer)
    }

    /// The group that a shard belongs to, and its number there.
    fn place(&self, shard: usize) -> (usize, usize) {
        let groups = self.record.geometry.groups as usize;
        let row = shard / ROW;
        (row % groups, row / groups * ROW + shard % ROW)
    }

    /// The shard with that number in a group.
    fn shard_of(&self, group: usize, index: usize) -> usize {
        (index / ROW * self.record.geometry.groups as usize + group) * ROW + index % ROW
    }

    /// Computes the damaged shards of the section and hands them to `write` with their place in the volume; only what
    /// has the right digest is handed over. Groups that cannot be rebuilt do not keep the others from it. Each thread
    /// opens the volume for itself and computes one group after the other.
    ///
    /// Memory: of each thread and of each group that waits to be written, as much as the group has recovery data (at most
    /// 4 MiB), twice.
    ///
    /// # Errors
    /// When more is lost than there are recovery data for, the volume cannot be read any more, or `write` refuses.
    pub fn rebuild<V: Read + Seek>(
        &self,
        open: &(impl Fn() -> io::Result<V> + Sync),
        damage: &Damage,
        write: &mut dyn FnMut(u64, &[u8]) -> io::Result<()>,
    ) -> Result<(), RebuildError> {
        let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for shard in &damage.shards {
            let (group, index) = self.place(*shard);
            groups.entry(group).or_default().push(index);
        }
        let mut outcome = Ok(());
        ordered::run(
            ordered::default_threads(),
            |give| {
                groups.into_iter().all(give);
                Ok(())
            },
            open,
            |volume, (group, lost)| match volume {
                Ok(volume) => self.rebuild_group(volume, group, &lost, damage),
                Err(error) => Err(io::Error::new(error.kind(), error.to_string()).into()),
            },
            |rebuilt| match rebuilt {
                Ok(shards) => shards.iter().try_for_each(|(at, bytes)| write(*at, bytes)).map_err(RebuildError::Io),
                Err(RebuildError::Io(error)) => Err(RebuildError::Io(error)),
                Err(error) => {
                    outcome = Err(error);
                    Ok(())
                }
            },
        )?;
        outcome
    }

    /// The damaged shards of a group with their places in the volume.
    fn rebuild_group(
        &self,
        volume: &mut (impl Read + Seek),
        group: usize,
        lost: &[usize],
        damage: &Damage,
    ) -> Result<Vec<(u64, Vec<u8>)>, RebuildError> {
        let Geometry { shard: size, .. } = self.record.geometry;
        let intact: Vec<usize> =
            (group * ROW..(group + 1) * ROW).filter(|index| damage.recovery.binary_search(index).is_err()).collect();
        let Some(helpers) = intact.get(..lost.len()) else {
            let bytes = |count: usize| count as u64 * u64::from(size);
            return Err(RebuildError::TooMuch { lost: bytes(lost.len()), intact: bytes(intact.len()) });
        };
        let helpers: Vec<usize> = helpers.iter().map(|index| index - group * ROW).collect();
        let engine = DefaultEngine::new();
        let equations = Lost::new(&engine, lost, &helpers).ok_or(RebuildError::Contradiction)?;
        let mut sum = GroupSum::new(ROW, size as usize);
        let (mut scratch, mut row) = (Vec::new(), vec![0; ROW * size as usize]);
        for number in 0..self.record.geometry.rows_of_group(self.record.length, group as u32) {
            for (index, shard) in (number as usize * ROW..).zip(row.chunks_exact_mut(size as usize)) {
                if equations.contains(index) {
                    shard.fill(0);
                } else {
                    self.load(volume, self.shard_of(group, index), 0, shard)?;
                }
            }
            sum.add(&engine, &mut scratch, number, &row);
        }
        sum.finish(&engine);
        let mut recovery = vec![0; helpers.len() * size as usize];
        for (helper, shard) in helpers.iter().zip(recovery.chunks_exact_mut(size as usize)) {
            self.load_recovery(volume, group * ROW + helper, 0, shard)?;
        }
        let mut shards = Vec::with_capacity(lost.len());
        for (index, mut whole) in lost.iter().zip(equations.solve(&engine, &sum, recovery)) {
            let shard = self.shard_of(group, *index);
            if self.record.shards.get(shard) != Some(&XxHash3_64::oneshot(&whole)) {
                return Err(RebuildError::Contradiction);
            }
            let from = shard as u64 * u64::from(size);
            let there = self.record.length.saturating_sub(from).min(whole.len() as u64) as usize;
            whole.truncate(there);
            shards.push((self.record.start + from, whole));
        }
        Ok(shards)
    }

    /// Computes the frame with the recovery data again, from a section that is whole, and hands it to `write` piece
    /// by piece with its place in the volume.
    ///
    /// # Errors
    /// When the section cannot be read or `write` refuses.
    pub fn encode_again(
        &self,
        volume: &mut (impl Read + Seek),
        write: &mut dyn FnMut(u64, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let Record { geometry, bundle, volume: number, start, length, .. } = self.record;
        let mut encoder = SectionEncoder::new(geometry, bundle, number, start);
        let mut buffer = vec![0; 1 << 20];
        let mut at = 0;
        while at < length {
            let now = buffer.get_mut(..(length - at).min(1 << 20) as usize).unwrap_or_default();
            read_exactly(volume, start + at, now)?;
            encoder.push(now);
            at += now.len() as u64;
        }
        let mut place = self.frame;
        encoder.finish(&mut |bytes| {
            write(place, bytes)?;
            place += bytes.len() as u64;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    fn noise(length: usize, seed: u32) -> Vec<u8> {
        (0..length as u32).map(|n| (n ^ seed).wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect()
    }

    /// `lengths` bytes in as many sections, each with its recovery data behind it.
    fn volume(geometry: Geometry, lengths: &[usize]) -> Vec<u8> {
        let mut volume = Vec::new();
        for (at, length) in lengths.iter().enumerate() {
            let mut encoder = SectionEncoder::new(geometry, Sha256::of(b"bundle"), 1, volume.len() as u64);
            let content = noise(*length, at as u32);
            volume.extend(&content);
            content.chunks(1000).for_each(|piece| encoder.push(piece));
            let expected = encoder.frame_length(0);
            let before = volume.len();
            encoder.finish(&mut |bytes| io::Write::write_all(&mut volume, bytes)).unwrap();
            assert_eq!((volume.len() - before) as u64, expected);
        }
        volume
    }

    /// Repairs as far as it goes; true when every byte is back.
    fn repaired(damaged: &[u8], whole: &[u8], sections: usize) -> bool {
        let mut file = Cursor::new(damaged);
        let found = find_sections(&mut file).unwrap();
        if found.len() != sections {
            return false;
        }
        let mut result = damaged.to_vec();
        result.resize(whole.len(), 0);
        for section in found {
            let open = || Ok(Cursor::new(damaged));
            let damage = section.damage(&open).unwrap();
            let put = |result: &mut Vec<u8>, at: u64, bytes: &[u8]| {
                result[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
                Ok(())
            };
            if section.rebuild(&open, &damage, &mut |at, bytes| put(&mut result, at, bytes)).is_err() {
                return false;
            }
            let data = Cursor::new(result.clone());
            section.encode_again(&mut data.clone(), &mut |at, bytes| put(&mut result, at, bytes)).unwrap();
        }
        result == whole
    }

    const GEOMETRY: Geometry = Geometry { shard: 64, rows: 6, groups: 3 };

    #[test]
    fn a_hole_as_long_as_the_recovery_data_is_filled_anywhere() {
        let whole = volume(GEOMETRY, &[18 * 4096, 9 * 4096 + 100]);
        // three groups x 64 shards x 64 bytes
        for from in (0..18 * 4096 - 12_288).step_by(1_777) {
            let from = from / 64 * 64;
            let mut damaged = whole.clone();
            damaged[from..from + 12_288].fill(0xEE);
            assert!(repaired(&damaged, &whole, 2), "hole at {from}");
        }
    }

    #[test]
    fn scattered_damage_and_damage_to_the_recovery_data_are_repaired() {
        let whole = volume(GEOMETRY, &[18 * 4096, 5000]);
        let mut damaged = whole.clone();
        // Not in the records: one digest of theirs does not tell which of their bytes are right.
        let recovery = 18 * 4096 + 8 + HEAD + 8 * (1152 + 192);
        for at in (0..18 * 4096).chain(recovery..recovery + 10_000).step_by(1201) {
            damaged[at] ^= 0x10;
        }
        assert!(repaired(&damaged, &whole, 2));
        let mut damaged = whole.clone();
        let record = 18 * 4096;
        damaged[record..record + 200].fill(0);
        damaged[10..500].fill(0);
        assert!(repaired(&damaged, &whole, 2));
    }

    #[test]
    fn a_tail_that_is_missing_is_damage_like_any_other() {
        let whole = volume(GEOMETRY, &[18 * 4096]);
        let mut file = Cursor::new(&whole);
        let section = find_sections(&mut file).unwrap().pop().unwrap();
        // The second record is gone, and half of the recovery shards.
        let cut = &whole[..whole.len() - section.record.encode().len() - 50 * 64];
        assert!(repaired(cut, &whole, 1));
        let damage = section.damage(&|| Ok(Cursor::new(cut))).unwrap();
        assert!(damage.shards.is_empty() && damage.recovery.len() == 50);
    }

    #[test]
    fn more_damage_than_recovery_data_is_said_and_the_rest_is_rebuilt() {
        let whole = volume(GEOMETRY, &[18 * 4096]);
        let mut damaged = whole.clone();
        damaged[..4096 + 64].fill(1); // group 0 loses 64, group 1 loses 1
        damaged[3 * 4096..3 * 4096 + 64].fill(1); // group 0 loses one more
        let mut file = Cursor::new(&damaged);
        let section = find_sections(&mut file).unwrap().pop().unwrap();
        let open = || Ok(Cursor::new(&damaged));
        let damage = section.damage(&open).unwrap();
        let mut written = Vec::new();
        let outcome = section.rebuild(&open, &damage, &mut |at, _| {
            written.push(at);
            Ok(())
        });
        assert!(matches!(outcome, Err(RebuildError::TooMuch { lost: 4160, intact: 4096 })));
        assert_eq!(written, [4096]);
    }

    proptest! {
        #[test]
        fn any_damage_within_bounds_is_repaired(
            length in 1usize..18 * 4096,
            holes in prop::collection::vec((0usize..18 * 4096, 1usize..400), 0..6),
        ) {
            let whole = volume(GEOMETRY, &[length]);
            let mut damaged = whole.clone();
            for (at, long) in holes {
                let at = at % length;
                let end = (at + long).min(length);
                damaged[at..end].iter_mut().for_each(|byte| *byte ^= 0x55);
            }
            prop_assert!(repaired(&damaged, &whole, 1));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), at in 0usize..300) {
            let mut bytes = bytes;
            if at < bytes.len() {
                bytes.splice(at..at, TAG);
            }
            let mut file = Cursor::new(&bytes);
            prop_assert!(find_sections(&mut file).unwrap().is_empty());
        }
    }
}
