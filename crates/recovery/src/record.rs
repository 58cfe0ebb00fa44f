//! What stands in a frame with recovery data, before and behind the recovery shards.

use crate::Geometry;
use crate::geometry::ROW;
use manifest::Sha256;

/// How a record begins.
pub(crate) const TAG: [u8; 8] = *b"FFREC1\0\0";
/// Bytes of a record besides its digests of shards.
pub(crate) const HEAD: usize = 8 + 32 + 4 + 8 + 8 + 3 * 4 + 32;

/// Where a section lies, how it is divided, and what its shards were.
///
/// It stands twice in its frame, so that one bad place cannot hide both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) bundle: Sha256,
    pub(crate) volume: u32,
    /// Where the section begins in the volume.
    pub(crate) start: u64,
    /// Its bytes.
    pub(crate) length: u64,
    pub(crate) geometry: Geometry,
    /// XXH3-64 of every shard; the last one filled up with zeros.
    pub(crate) shards: Vec<u64>,
    /// XXH3-64 of every recovery shard, group by group.
    pub(crate) recovery: Vec<u64>,
}

impl Record {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = TAG.to_vec();
        bytes.extend(self.bundle.as_bytes());
        bytes.extend(self.volume.to_le_bytes());
        bytes.extend(self.start.to_le_bytes());
        bytes.extend(self.length.to_le_bytes());
        let Geometry { shard, rows, groups } = self.geometry;
        [shard, rows, groups].iter().for_each(|number| bytes.extend(number.to_le_bytes()));
        self.shards.iter().chain(&self.recovery).for_each(|digest| bytes.extend(digest.to_le_bytes()));
        let digest = Sha256::of(&bytes);
        bytes.extend(digest.as_bytes());
        bytes
    }

    /// Bytes of the whole record that begins with `head` ([`HEAD`] bytes); nothing when no record begins so.
    pub(crate) fn length(head: &[u8]) -> Option<usize> {
        let (_, geometry, length) = Self::head(head)?;
        let shards = length.div_ceil(u64::from(geometry.shard));
        let recovery = u64::from(geometry.groups_of(length)) * ROW as u64;
        usize::try_from(8 * (shards + recovery)).ok()?.checked_add(HEAD)
    }

    /// Reads a record; nothing when a bit of it is wrong.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (start, geometry, length) = Self::head(bytes)?;
        let (content, digest) = bytes.split_last_chunk::<32>()?;
        if Self::length(bytes) != Some(bytes.len()) || Sha256::of(content).as_bytes() != digest {
            return None;
        }
        let bundle = Sha256::from_bytes(*content.get(8..)?.first_chunk()?);
        let volume = u32::from_le_bytes(*content.get(40..)?.first_chunk()?);
        let (digests, _) = content.get(HEAD - 32..)?.as_chunks::<8>();
        let mut shards: Vec<u64> = digests.iter().map(|digest| u64::from_le_bytes(*digest)).collect();
        let recovery = shards.split_off(length.div_ceil(u64::from(geometry.shard)) as usize);
        Some(Self { bundle, volume, start, length, geometry, shards, recovery })
    }

    /// Start, geometry and length.
    fn head(bytes: &[u8]) -> Option<(u64, Geometry, u64)> {
        let number = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        let long = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        if bytes.first_chunk::<8>() != Some(&TAG) {
            return None;
        }
        let geometry = Geometry::checked(number(60)?, number(64)?, number(68)?)?;
        let (start, length) = (long(44)?, long(52)?);
        (length <= geometry.capacity() && start.checked_add(length).is_some()).then_some((start, geometry, length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record() -> Record {
        let geometry = Geometry { shard: 128, rows: 3, groups: 2 };
        Record {
            bundle: Sha256::of(b"bundle"),
            volume: 7,
            start: 5,
            length: 9000,
            geometry,
            shards: (0..71).collect(),
            recovery: (0..128).collect(),
        }
    }

    #[test]
    fn a_record_reads_back_and_every_flipped_bit_is_noticed() {
        let mut bytes = record().encode();
        assert_eq!(Record::length(&bytes), Some(bytes.len()));
        assert_eq!(Record::parse(&bytes), Some(record()));
        for at in 0..bytes.len() * 8 {
            bytes[at / 8] ^= 1 << (at % 8);
            assert_eq!(Record::parse(&bytes), None, "bit {at}");
            bytes[at / 8] ^= 1 << (at % 8);
        }
    }

    proptest! {
        #[test]
        fn any_record_reads_back(
            (shard, rows, groups) in (1u32..=1024, 1u32..=1000, 1u32..=10),
            (bundle, volume, start) in (any::<[u8; 32]>(), any::<u32>(), 0u64..1 << 60),
            length in 0u64..2_000_000,
        ) {
            let geometry = Geometry::checked(shard * 64, rows, groups).unwrap();
            let length = length.min(geometry.capacity());
            let many = length.div_ceil(u64::from(geometry.shard));
            let recovery = u64::from(geometry.groups_of(length)) * ROW as u64;
            let record = Record {
                bundle: Sha256::from_bytes(bundle),
                volume,
                start,
                length,
                geometry,
                shards: (0..many).map(|n| n.wrapping_mul(start | 1)).collect(),
                recovery: (0..recovery).map(|n| n ^ start).collect(),
            };
            let bytes = record.encode();
            prop_assert_eq!(Record::length(&bytes), Some(bytes.len()));
            prop_assert_eq!(Record::parse(&bytes[..bytes.len() - 1]), None);
            prop_assert_eq!(Record::parse(&bytes), Some(record));
        }

        #[test]
        fn no_bytes_make_it_panic(tagged in any::<bool>(), bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let bytes = if tagged { [TAG.as_slice(), &bytes].concat() } else { bytes };
            let _ = Record::parse(&bytes);
            let _ = Record::length(&bytes);
        }
    }
}
