//! The recovery volumes of a bundle: how many, of which volumes, and where what lies in them.

use manifest::{Sha256, frame};

/// Most recovery volumes of a bundle.
pub(crate) const MOST_RECOVERY: u32 = 64;
/// Most volumes that recovery volumes can be made of. With these and 64 KiB blocks, a column is computed in 32 MiB.
pub(crate) const MOST_VOLUMES: u32 = 448;
/// Largest block in bytes.
const LARGEST_BLOCK: u64 = 64 << 10;
/// Smallest block in bytes that is planned.
const SMALLEST_BLOCK: u64 = 4 << 10;
/// Bytes of a block for each block of a column: their digests, 8 bytes, are kept twice.
const OF_DIGEST: u64 = 8 * 16;
/// A block is a multiple of this many bytes.
const BLOCK_STEP: u64 = 64;
/// Blocks that a planned volume has, if that makes them neither too large nor too small.
const BLOCKS: u64 = 4096;
/// Bytes of a segment's recovery blocks in all recovery volumes: what bounds the memory.
const SEGMENT: u64 = 16 << 20;
/// How the head of a recovery volume begins.
const TAG: [u8; 8] = *b"FFRVL1\0\0";
/// Bytes of a head besides what it says about each volume.
const HEAD: usize = 8 + 32 + 5 * 4 + 32;
/// Bytes of a head for each volume.
const OF_VOLUME: usize = 8 + 32;

/// What all recovery volumes of a bundle say alike.
///
/// The volumes of the bundle, each filled up with zeros to the length of the longest, are cut into blocks. Those with
/// the same place in their volumes are a *column*; each recovery volume adds one block to every column, computed from
/// the others. A column in which no more blocks are lost than there are recovery blocks can be computed again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoverySet {
    /// The bundle.
    pub bundle: Sha256,
    /// How many recovery volumes there are.
    pub count: u32,
    /// Bytes of a block.
    pub(crate) block: u32,
    /// Columns of a segment.
    pub(crate) columns: u32,
    /// The volumes that they protect, in order.
    pub volumes: Vec<ProtectedVolume>,
}

/// A volume as it was when the recovery volumes were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtectedVolume {
    /// Its size in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Sha256,
}

/// Why there can be no such recovery volumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecoverySetError {
    /// So many recovery volumes are not possible.
    #[error("{0} recovery volumes were asked for; {MOST_RECOVERY} are possible")]
    TooManyWanted(u32),
    /// The bundle has too many volumes.
    #[error("the bundle has {0} volumes; recovery volumes can be made of {MOST_VOLUMES}")]
    TooManyVolumes(usize),
}

impl RecoverySet {
    /// Bytes of the frame with the head of a set with one volume.
    pub(crate) const SHORTEST_HEAD: usize = 8 + HEAD + OF_VOLUME;
    /// Bytes of the longest one.
    pub(crate) const LONGEST_HEAD: usize = 8 + HEAD + MOST_VOLUMES as usize * OF_VOLUME;

    /// `count` recovery volumes of `volumes`.
    ///
    /// # Errors
    /// When there are too many of either.
    pub fn plan(bundle: Sha256, count: u32, volumes: Vec<ProtectedVolume>) -> Result<Self, RecoverySetError> {
        if !(1..=MOST_RECOVERY).contains(&count) {
            return Err(RecoverySetError::TooManyWanted(count));
        }
        if volumes.is_empty() || volumes.len() > MOST_VOLUMES as usize {
            return Err(RecoverySetError::TooManyVolumes(volumes.len()));
        }
        let block = planned_block(&volumes);
        let columns = SEGMENT / (block * u64::from(count.next_power_of_two()));
        Ok(Self { bundle, count, block: block as u32, columns: columns as u32, volumes })
    }

    /// The largest volume that may be written so that `count` recovery volumes of at most `volumes` such ones are not
    /// larger than `limit`; 0 when there is none.
    #[must_use]
    pub fn largest_volume(limit: u64, volumes: u64, count: u32) -> u64 {
        let volumes = volumes.clamp(1, u64::from(MOST_VOLUMES)) as usize;
        let mut size = limit;
        while size > 0 {
            let volume = ProtectedVolume { size, sha256: Sha256::from_bytes([0; 32]) };
            let recovery = Self::plan(volume.sha256, count, vec![volume; volumes]).map_or(0, |set| set.size());
            match recovery.checked_sub(limit) {
                None | Some(0) => break,
                Some(excess) => size = size.saturating_sub(excess),
            }
        }
        size
    }

    /// Bytes of every recovery volume.
    #[must_use]
    pub fn size(&self) -> u64 {
        // The last segment may be shorter. What a head claims may be far more than what is there: nothing is counted up.
        let segments = match self.segments().checked_sub(1) {
            Some(last) => self.segment_place(last) - self.head_length() + self.segment_length(last),
            None => 0,
        };
        2 * self.head_length() + segments
    }

    /// Blocks of the longest volume.
    pub(crate) fn all_columns(&self) -> u64 {
        let longest = self.volumes.iter().map(|volume| volume.size).max().unwrap_or(0);
        longest.div_ceil(u64::from(self.block))
    }

    /// Segments of a recovery volume.
    pub(crate) fn segments(&self) -> u64 {
        self.all_columns().div_ceil(u64::from(self.columns))
    }

    /// Columns of one segment; the last one may have fewer.
    pub(crate) fn columns_of(&self, segment: u64) -> u32 {
        let before = segment.saturating_mul(u64::from(self.columns));
        self.all_columns().saturating_sub(before).min(u64::from(self.columns)) as u32
    }

    /// Where the blocks of a segment begin in every volume.
    pub(crate) fn place(&self, segment: u64) -> u64 {
        segment.saturating_mul(u64::from(self.columns)).saturating_mul(u64::from(self.block))
    }

    /// Bytes of the frame with the head.
    pub(crate) fn head_length(&self) -> u64 {
        (8 + HEAD + self.volumes.len() * OF_VOLUME) as u64
    }

    /// Bytes of a segment's record.
    pub(crate) fn record_length(&self, segment: u64) -> u64 {
        let columns = u64::from(self.columns_of(segment));
        SegmentRecord::HEAD as u64 + 8 * columns * (self.volumes.len() as u64 + 1)
    }

    /// Bytes of a segment's frame.
    pub(crate) fn segment_length(&self, segment: u64) -> u64 {
        let blocks = u64::from(self.columns_of(segment)) * u64::from(self.block);
        8 + 2 * self.record_length(segment) + blocks
    }

    /// Where the frame of a segment begins in a recovery volume.
    pub(crate) fn segment_place(&self, segment: u64) -> u64 {
        // All segments before are full.
        self.head_length() + if segment == 0 { 0 } else { segment * self.segment_length(0) }
    }

    /// The frame that recovery volume `number` begins and ends with.
    pub(crate) fn head(&self, number: u32) -> Vec<u8> {
        let mut content = TAG.to_vec();
        content.extend(self.bundle.as_bytes());
        for field in [number, self.count, self.block, self.columns, self.volumes.len() as u32] {
            content.extend(field.to_le_bytes());
        }
        for volume in &self.volumes {
            content.extend(volume.size.to_le_bytes());
            content.extend(volume.sha256.as_bytes());
        }
        content.extend(Sha256::of(&content).as_bytes());
        let mut frame = frame_head(content.len());
        frame.extend(content);
        frame
    }

    /// Bytes of the whole frame that begins with `bytes` (at least [`RecoverySet::SHORTEST_HEAD`]); nothing when no head begins so.
    pub(crate) fn head_length_from(bytes: &[u8]) -> Option<usize> {
        let content = bytes.get(8..)?;
        let volumes = u32::from_le_bytes(*content.get(56..)?.first_chunk()?);
        let right = bytes.first_chunk::<4>() == Some(&frame::RECOVERY.to_le_bytes()) && content.starts_with(&TAG);
        (right && (1..=MOST_VOLUMES).contains(&volumes)).then_some(8 + HEAD + volumes as usize * OF_VOLUME)
    }

    /// Reads a head: the set and the number of the recovery volume. Nothing when a bit of it is wrong.
    pub(crate) fn parse_head(bytes: &[u8]) -> Option<(Self, u32)> {
        if Self::head_length_from(bytes)? != bytes.len() {
            return None;
        }
        let (content, digest) = bytes.get(8..)?.split_last_chunk::<32>()?;
        if Sha256::of(content).as_bytes() != digest {
            return None;
        }
        let field = |at: usize| Some(u32::from_le_bytes(*content.get(40 + 4 * at..)?.first_chunk()?));
        let (number, count, block, columns) = (field(0)?, field(1)?, field(2)?, field(3)?);
        let volumes = content.get(HEAD - 32..)?.chunks_exact(OF_VOLUME).map(|volume| {
            let (size, digest) = volume.split_first_chunk::<8>()?;
            Some(ProtectedVolume {
                size: u64::from_le_bytes(*size),
                sha256: Sha256::from_bytes(*digest.first_chunk()?),
            })
        });
        let bundle = Sha256::from_bytes(*content.get(8..)?.first_chunk()?);
        let set = Self { bundle, count, block, columns, volumes: volumes.collect::<Option<_>>()? };
        set.makes_sense().then_some(()).filter(|()| (1..=count).contains(&number)).map(|()| (set, number))
    }

    fn makes_sense(&self) -> bool {
        let block = u64::from(self.block);
        (1..=MOST_RECOVERY).contains(&self.count)
            && (BLOCK_STEP..=LARGEST_BLOCK).contains(&block)
            && block.is_multiple_of(BLOCK_STEP)
            && self.columns >= 1
            && u64::from(self.columns) * block * u64::from(self.count.next_power_of_two()) <= SEGMENT
            && self.volumes.iter().all(|volume| volume.size <= 1 << 50)
    }
}

fn planned_block(volumes: &[ProtectedVolume]) -> u64 {
    let longest = volumes.iter().map(|volume| volume.size).max().unwrap_or(0);
    let least = SMALLEST_BLOCK.max(OF_DIGEST * (volumes.len() as u64 + 1));
    (longest / BLOCKS).next_multiple_of(BLOCK_STEP).clamp(least, LARGEST_BLOCK)
}

/// The first eight bytes of a skippable frame with so much content.
pub(crate) fn frame_head(content: usize) -> Vec<u8> {
    let mut bytes = frame::RECOVERY.to_le_bytes().to_vec();
    bytes.extend((content as u32).to_le_bytes());
    bytes
}

/// The digests of all blocks of a segment: what tells which ones are damaged. It stands before and behind the recovery
/// blocks, so that one bad place cannot hide both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentRecord {
    pub(crate) bundle: Sha256,
    /// Of the recovery volume, from 1.
    pub(crate) number: u32,
    pub(crate) segment: u64,
    /// XXH3-64 of the blocks, volume by volume.
    pub(crate) blocks: Vec<u64>,
    /// XXH3-64 of the recovery blocks.
    pub(crate) recovery: Vec<u64>,
}

impl SegmentRecord {
    const TAG: [u8; 8] = *b"FFRSG1\0\0";
    /// Bytes of a record besides the digests.
    pub(crate) const HEAD: usize = 8 + 32 + 4 + 8 + 32;

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Self::TAG.to_vec();
        bytes.extend(self.bundle.as_bytes());
        bytes.extend(self.number.to_le_bytes());
        bytes.extend(self.segment.to_le_bytes());
        self.blocks.iter().chain(&self.recovery).for_each(|digest| bytes.extend(digest.to_le_bytes()));
        let digest = Sha256::of(&bytes);
        bytes.extend(digest.as_bytes());
        bytes
    }

    /// Reads the record of that segment in that recovery volume; nothing when a bit of it is wrong.
    pub(crate) fn parse(set: &RecoverySet, number: u32, segment: u64, bytes: &[u8]) -> Option<Self> {
        let (content, digest) = bytes.split_last_chunk::<32>()?;
        if set.record_length(segment) != bytes.len() as u64 || Sha256::of(content).as_bytes() != digest {
            return None;
        }
        let (digests, _) = content.get(Self::HEAD - 32..)?.as_chunks::<8>();
        let mut blocks: Vec<u64> = digests.iter().map(|digest| u64::from_le_bytes(*digest)).collect();
        let recovery = blocks.split_off(set.volumes.len() * set.columns_of(segment) as usize);
        let record = Self { bundle: set.bundle, number, segment, blocks, recovery };
        (record.encode() == bytes).then_some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(super) fn set(sizes: &[u64], count: u32) -> RecoverySet {
        let volumes = sizes.iter().map(|size| ProtectedVolume { size: *size, sha256: Sha256::of(&size.to_le_bytes()) });
        RecoverySet::plan(Sha256::of(b"bundle"), count, volumes.collect()).unwrap()
    }

    #[test]
    fn a_head_reads_back_and_every_flipped_bit_is_noticed() {
        let set = set(&[5000, 7000, 1], 3);
        let mut bytes = set.head(2);
        assert_eq!(bytes.len() as u64, set.head_length());
        assert_eq!(RecoverySet::parse_head(&bytes), Some((set.clone(), 2)));
        for at in 0..bytes.len() * 8 {
            if (4..8).contains(&(at / 8)) {
                continue; // The length of the frame is known without it.
            }
            bytes[at / 8] ^= 1 << (at % 8);
            assert_eq!(RecoverySet::parse_head(&bytes), None, "bit {at}");
            bytes[at / 8] ^= 1 << (at % 8);
        }
    }

    #[test]
    fn a_record_reads_back_and_every_flipped_bit_is_noticed() {
        let set = set(&[9000, 7000], 2);
        let record = SegmentRecord {
            bundle: set.bundle,
            number: 2,
            segment: 0,
            blocks: (0..6).collect(),
            recovery: (0..3).collect(),
        };
        let mut bytes = record.encode();
        assert_eq!(bytes.len() as u64, set.record_length(0));
        assert_eq!(SegmentRecord::parse(&set, 2, 0, &bytes), Some(record));
        assert_eq!(SegmentRecord::parse(&set, 1, 0, &bytes), None);
        for at in 0..bytes.len() * 8 {
            bytes[at / 8] ^= 1 << (at % 8);
            assert_eq!(SegmentRecord::parse(&set, 2, 0, &bytes), None, "bit {at}");
            bytes[at / 8] ^= 1 << (at % 8);
        }
    }

    #[test]
    fn recovery_volumes_keep_to_the_limit_and_cost_little() {
        for limit in [200_000u64, 1 << 20, 20 << 20, 1 << 30, (4 << 30) - (64 << 10), 50 << 30] {
            for (volumes, count) in [(1, 1), (2, 1), (5, 2), (20, 7), (100, 64)] {
                let largest = RecoverySet::largest_volume(limit, volumes, count);
                for shorter in [0, 1, 5000, largest / 50, largest / 2] {
                    let size = set(&vec![largest - shorter; volumes as usize], count).size();
                    assert!(
                        size <= limit,
                        "{size} bytes for {volumes} volumes of {largest} - {shorter}, limit {limit}"
                    );
                }
                let least = if limit >= 20 << 20 { 0.85 } else { 0.4 };
                assert!(largest as f64 > least * limit as f64, "{largest} of {limit}, {volumes}");
            }
        }
    }

    #[test]
    fn a_head_that_claims_too_much_costs_nothing() {
        let mut huge = set(&[1 << 50, 1 << 50], 1);
        (huge.block, huge.columns) = (64, 1);
        let (found, number) = RecoverySet::parse_head(&huge.head(1)).unwrap();
        assert!(found == huge && number == 1 && huge.size() > 1 << 50);
        let bytes = huge.head(1);
        let volume = crate::RecoveryVolume::open(&mut std::io::Cursor::new(&bytes)).unwrap().unwrap();
        let places = volume.damage(&mut std::io::Cursor::new(&bytes)).unwrap();
        assert_eq!(places, [(huge.head_length(), huge.size() - huge.head_length())]);
        let mut files = [(volume, std::io::Cursor::new(&bytes))];
        let report = huge.repair(&mut files, &mut |_, _, _| Ok(0), &mut |_, _, _| Err(()), &mut |_| {}).unwrap();
        assert_eq!(report.rebuilt, 0);
    }

    #[test]
    fn what_is_not_possible_is_refused() {
        let volume = ProtectedVolume { size: 1, sha256: Sha256::of(b"") };
        let plan = |count, volumes| RecoverySet::plan(Sha256::of(b"bundle"), count, vec![volume; volumes]).err();
        assert_eq!(plan(0, 1), Some(RecoverySetError::TooManyWanted(0)));
        assert_eq!(plan(65, 1), Some(RecoverySetError::TooManyWanted(65)));
        assert_eq!(plan(1, 449), Some(RecoverySetError::TooManyVolumes(449)));
        assert_eq!(plan(64, 448), None);
    }

    fn any_set() -> impl Strategy<Value = RecoverySet> {
        let volumes = prop::collection::vec((0u64..1 << 50, any::<[u8; 32]>()), 1..20);
        (any::<[u8; 32]>(), 1u32..=64, volumes).prop_map(|(bundle, count, volumes)| {
            let protected =
                volumes.into_iter().map(|(size, sha256)| ProtectedVolume { size, sha256: Sha256::from_bytes(sha256) });
            RecoverySet::plan(Sha256::from_bytes(bundle), count, protected.collect()).unwrap()
        })
    }

    proptest! {
        #[test]
        fn any_head_reads_back(set in any_set(), number in any::<prop::sample::Index>()) {
            let number = number.index(set.count as usize) as u32 + 1;
            let head = set.head(number);
            prop_assert_eq!(RecoverySet::head_length_from(&head), Some(head.len()));
            prop_assert_eq!(RecoverySet::parse_head(&head), Some((set, number)));
        }

        #[test]
        fn any_record_of_a_segment_reads_back(
            lengths in prop::collection::vec(1u64..40_000, 1..6),
            count in 1u32..5,
            seed in any::<u64>(),
        ) {
            let set = set(&lengths, count);
            for segment in 0..set.segments() {
                let columns = u64::from(set.columns_of(segment));
                let digests = |from: u64, many: u64| (from..from + many).map(|n| seed.wrapping_mul(n | 1)).collect();
                let record = SegmentRecord {
                    bundle: set.bundle,
                    number: count,
                    segment,
                    blocks: digests(0, columns * set.volumes.len() as u64),
                    recovery: digests(7, columns),
                };
                let bytes = record.encode();
                prop_assert_eq!(SegmentRecord::parse(&set, count, segment, &bytes), Some(record));
                prop_assert_eq!(SegmentRecord::parse(&set, count, segment + 1, &bytes), None);
                prop_assert_eq!(SegmentRecord::parse(&set, count, segment, &bytes[..bytes.len() - 1]), None);
            }
        }

        #[test]
        fn what_a_head_claims_makes_nothing_panic(
            fields in any::<[u32; 4]>(),
            volumes in prop::collection::vec((any::<u64>(), any::<[u8; 32]>()), 0..6),
            rest in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            // A head with any content and the right digest, and any bytes behind it.
            let mut content = [TAG.as_slice(), Sha256::of(b"bundle").as_bytes()].concat();
            fields.into_iter().chain([volumes.len() as u32]).for_each(|field| content.extend(field.to_le_bytes()));
            for (size, sha256) in &volumes {
                content.extend(size.to_le_bytes());
                content.extend(sha256);
            }
            content.extend(Sha256::of(&content).as_bytes());
            let file = [frame_head(content.len()), content, rest].concat();
            if let Some(volume) = crate::RecoveryVolume::open(&mut std::io::Cursor::new(&file)).unwrap() {
                prop_assert_eq!(&RecoverySet::parse_head(&volume.set.head(volume.number)), &Some((volume.set.clone(), volume.number)));
                prop_assert!(!volume.damage(&mut std::io::Cursor::new(&file)).unwrap().is_empty());
            }
        }

        #[test]
        fn no_bytes_make_it_panic(at in 0usize..200, byte in any::<u8>(), bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = RecoverySet::parse_head(&bytes);
            let mut head = set(&[5000, 7000], 2).head(1);
            let at = at % head.len();
            head[at] = byte;
            let _ = RecoverySet::parse_head(&head);
        }
    }
}
