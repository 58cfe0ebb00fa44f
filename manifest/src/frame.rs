//! The frames of an archive: magic numbers, and the two records of ours that every volume carries.
//!
//! An archive is stock zstd (RFC 8878): ordinary frames, and skippable frames that every decoder passes over. What is
//! ours lives in skippable frames only, so stock tools open the archive without knowing us.
//!
//! ```text
//! volume:  VolumeHeader │ frame │ frame │ … │ VolumeEnd
//! ```
//! Numbers are little-endian. A reader passes over skippable frames that it does not know.

use crate::Sha256;
use std::ops::RangeInclusive;

/// The first four bytes of an ordinary zstd frame.
pub const ZSTD: u32 = 0xFD2F_B528;
/// The first four bytes of a skippable frame; four bytes with its length follow.
pub const SKIPPABLE: RangeInclusive<u32> = 0x184D_2A50..=0x184D_2A5F;
/// The skippable frame that holds a [`VolumeHeader`] or a [`VolumeEnd`].
pub const VOLUME: u32 = 0x184D_2A50;
/// Recovery data; the `recovery` crate makes and reads them.
pub const PARITY: u32 = 0x184D_2A51;
/// What a recovery volume consists of; the `recovery` crate makes and reads them.
pub const RECOVERY: u32 = 0x184D_2A52;
/// The seek table of zstd's seekable format.
pub const SEEK_TABLE: u32 = 0x184D_2A5E;

const HEADER_TAG: [u8; 8] = *b"FFVOL1\0\0";
const END_TAG: [u8; 8] = *b"FFEND1\0\0";

/// What a volume begins with: whose it is and where it continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumeHeader {
    /// The bundle ([`crate::BundleManifest::id`]).
    pub bundle: Sha256,
    /// The volume's place in the sequence, from 1.
    pub number: u32,
    /// The number of its first frame, counted from 0 over all volumes, ordinary frames only.
    pub first_frame: u64,
}

/// What a volume ends with. A volume without it was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumeEnd {
    /// The bundle ([`crate::BundleManifest::id`]).
    pub bundle: Sha256,
    /// The volume's place in the sequence, from 1.
    pub number: u32,
    /// No volume follows.
    pub last: bool,
    /// The number of the frame that comes next, in the following volume.
    pub next_frame: u64,
    /// Digest of everything in the volume before this record, so that a volume can be checked alone.
    pub sha256: Sha256,
}

/// The seek table of zstd's seekable format (version 0.1.0, in the zstd repository), without checksums: how long every
/// frame of the archive is, packed and unpacked. It is the archive's last frame. Our own readers do not need it: what
/// comes next follows from the manifest.
#[derive(Clone, Debug, Default)]
pub struct SeekTable {
    entries: Vec<u8>,
}

impl SeekTable {
    const MAGIC: u32 = 0x8F92_EAB1;
    const ENTRY: usize = 8;
    const FOOTER: usize = 9;

    /// Adds the next frame, skippable ones too (these unpack to 0 bytes).
    ///
    /// Frames of ours are shorter than 4 GiB.
    pub fn push(&mut self, packed: u64, unpacked: u64) {
        self.entries.extend((packed as u32).to_le_bytes());
        self.entries.extend((unpacked as u32).to_le_bytes());
    }

    /// How many frames it has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len() / Self::ENTRY
    }

    /// It has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of every frame, packed and unpacked.
    pub fn frames(&self) -> impl Iterator<Item = (u32, u32)> {
        let (entries, _) = self.entries.as_chunks::<8>();
        entries.iter().map(|[a, b, c, d, e, f, g, h]| {
            (u32::from_le_bytes([*a, *b, *c, *d]), u32::from_le_bytes([*e, *f, *g, *h]))
        })
    }

    /// Takes away all frames but the first `count`.
    pub fn truncate(&mut self, count: usize) {
        self.entries.truncate(count * Self::ENTRY);
    }

    /// Bytes of the whole skippable frame once `more` frames have been added.
    #[must_use]
    pub fn length_with(&self, more: usize) -> u64 {
        (8 + self.entries.len() + more * Self::ENTRY + Self::FOOTER) as u64
    }

    /// The whole skippable frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = SEEK_TABLE.to_le_bytes().to_vec();
        bytes.extend(((self.entries.len() + Self::FOOTER) as u32).to_le_bytes());
        bytes.extend(&self.entries);
        bytes.extend(((self.entries.len() / Self::ENTRY) as u32).to_le_bytes());
        bytes.push(0);
        bytes.extend(Self::MAGIC.to_le_bytes());
        bytes
    }

    /// Bytes of the seek table that a volume with this end has; 0 when it has none.
    #[must_use]
    pub fn length_from(end: &[u8]) -> u64 {
        let Some(footer) = end.last_chunk::<{ Self::FOOTER }>() else { return 0 };
        let [a, b, c, d, 0, magic @ ..] = *footer else { return 0 };
        let entries = u64::from(u32::from_le_bytes([a, b, c, d]));
        if magic == Self::MAGIC.to_le_bytes() { 8 + entries * Self::ENTRY as u64 + Self::FOOTER as u64 } else { 0 }
    }
}

/// Why a record is not one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// It is something else.
    NotOurs,
    /// It was ours and has been changed.
    Damaged,
}

impl VolumeHeader {
    /// Bytes that [`VolumeHeader::encode`] makes.
    pub const LENGTH: usize = 8 + 60;

    /// The whole skippable frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let number = self.number.to_le_bytes();
        record(&HEADER_TAG, &[self.bundle.as_bytes(), &number, &self.first_frame.to_le_bytes()])
    }

    /// Reads the content of a skippable frame.
    ///
    /// # Errors
    /// When it is not a volume header or its checksum is wrong.
    pub fn parse(content: &[u8]) -> Result<Self, RecordError> {
        let mut fields = Fields::open(content, &HEADER_TAG, Self::LENGTH)?;
        Ok(Self { bundle: fields.digest()?, number: fields.u32()?, first_frame: fields.u64()? })
    }
}

impl VolumeEnd {
    /// Bytes that [`VolumeEnd::encode`] makes.
    pub const LENGTH: usize = 8 + 93;

    /// The whole skippable frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (number, next_frame) = (self.number.to_le_bytes(), self.next_frame.to_le_bytes());
        let last = [u8::from(self.last)];
        record(&END_TAG, &[self.bundle.as_bytes(), &number, &last, &next_frame, self.sha256.as_bytes()])
    }

    /// Reads the content of a skippable frame.
    ///
    /// # Errors
    /// When it is not a volume's end or its checksum is wrong.
    pub fn parse(content: &[u8]) -> Result<Self, RecordError> {
        let mut fields = Fields::open(content, &END_TAG, Self::LENGTH)?;
        Ok(Self {
            bundle: fields.digest()?,
            number: fields.u32()?,
            last: fields.take::<1>()? != [0],
            next_frame: fields.u64()?,
            sha256: fields.digest()?,
        })
    }
}

/// A skippable frame: magic, length, tag, fields, and the first eight bytes of the digest over tag and fields.
fn record(tag: &[u8; 8], fields: &[&[u8]]) -> Vec<u8> {
    let mut content = tag.to_vec();
    fields.iter().for_each(|field| content.extend_from_slice(field));
    let check = check(&content);
    content.extend_from_slice(&check);
    let mut frame = VOLUME.to_le_bytes().to_vec();
    frame.extend_from_slice(&u32::try_from(content.len()).unwrap_or_default().to_le_bytes());
    frame.extend_from_slice(&content);
    frame
}

fn check(content: &[u8]) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = *Sha256::of(content).as_bytes();
    [a, b, c, d, e, f, g, h]
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn open(content: &'a [u8], tag: &[u8; 8], frame_length: usize) -> Result<Self, RecordError> {
        let fields = content.strip_prefix(tag).ok_or(RecordError::NotOurs)?;
        let (body, found) = content.split_last_chunk::<8>().ok_or(RecordError::Damaged)?;
        if content.len() + 8 != frame_length || *found != check(body) {
            return Err(RecordError::Damaged);
        }
        Ok(Self(fields))
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let (field, rest) = self.0.split_first_chunk::<N>().ok_or(RecordError::Damaged)?;
        self.0 = rest;
        Ok(*field)
    }

    fn u32(&mut self) -> Result<u32, RecordError> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    fn u64(&mut self) -> Result<u64, RecordError> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    fn digest(&mut self) -> Result<Sha256, RecordError> {
        Ok(Sha256::from_bytes(self.take()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header() -> VolumeHeader {
        VolumeHeader { bundle: Sha256::of(b"bundle"), number: 3, first_frame: 1 << 40 }
    }

    fn end() -> VolumeEnd {
        let (bundle, sha256) = (Sha256::of(b"bundle"), Sha256::of(b"volume"));
        VolumeEnd { bundle, number: 3, last: true, next_frame: 77, sha256 }
    }

    #[test]
    fn what_is_written_reads_back() {
        let (written, end_written) = (header().encode(), end().encode());
        assert_eq!((written.len(), end_written.len()), (VolumeHeader::LENGTH, VolumeEnd::LENGTH));
        assert_eq!(VolumeHeader::parse(&written[8..]), Ok(header()));
        assert_eq!(VolumeEnd::parse(&end_written[8..]), Ok(end()));
        assert_eq!(VolumeEnd::parse(&written[8..]), Err(RecordError::NotOurs));
    }

    #[test]
    fn a_seek_table_tells_its_length() {
        let mut table = SeekTable::default();
        table.push(68, 0);
        table.push(1000, 4096);
        assert_eq!(table.length_with(0), table.encode().len() as u64);
        assert_eq!(SeekTable::length_from(&table.encode()), table.encode().len() as u64);
        assert_eq!(SeekTable::length_from(&end().encode()), 0);
        assert_eq!(SeekTable::length_from(b"short"), 0);
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        for at in 0..(VolumeEnd::LENGTH - 8) * 8 {
            let mut content = end().encode().split_off(8);
            content[at / 8] ^= 1 << (at % 8);
            let expected = if at < 64 { RecordError::NotOurs } else { RecordError::Damaged };
            assert_eq!(VolumeEnd::parse(&content), Err(expected), "bit {at}");
        }
        for length in 8..VolumeEnd::LENGTH - 8 {
            assert_eq!(VolumeEnd::parse(&end().encode()[8..][..length]), Err(RecordError::Damaged));
        }
    }

    /// The record with the right check, as nobody guesses one.
    fn checked(mut content: Vec<u8>) -> Vec<u8> {
        let check = check(&content);
        content.extend(check);
        content
    }

    proptest! {
        #[test]
        fn any_record_reads_back(
            bundle in crate::any::sha256(),
            sha256 in crate::any::sha256(),
            number in any::<u32>(),
            frame in any::<u64>(),
            last in any::<bool>(),
        ) {
            let header = VolumeHeader { bundle, number, first_frame: frame };
            prop_assert_eq!(VolumeHeader::parse(&header.encode()[8..]), Ok(header));
            prop_assert_eq!(VolumeEnd::parse(&header.encode()[8..]), Err(RecordError::NotOurs));
            let end = VolumeEnd { bundle, number, last, next_frame: frame, sha256 };
            prop_assert_eq!(VolumeEnd::parse(&end.encode()[8..]), Ok(end));
            prop_assert_eq!(end.encode().len(), VolumeEnd::LENGTH);
        }

        #[test]
        fn any_seek_table_reads_back(frames in prop::collection::vec(any::<(u32, u32)>(), 0..50), keep in 0usize..60) {
            let mut table = SeekTable::default();
            frames.iter().for_each(|(packed, unpacked)| table.push(u64::from(*packed), u64::from(*unpacked)));
            prop_assert_eq!(table.frames().collect::<Vec<_>>(), frames.clone());
            prop_assert_eq!(SeekTable::length_from(&table.encode()), table.encode().len() as u64);
            table.truncate(keep);
            prop_assert_eq!(table.len(), frames.len().min(keep));
            prop_assert_eq!(table.length_with(3), table.encode().len() as u64 + 24);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..120), tag in 0usize..3) {
            let tag = [&[] as &[u8], &HEADER_TAG, &END_TAG][tag];
            for content in [[tag, &bytes].concat(), checked([tag, &bytes].concat())] {
                if let Ok(header) = VolumeHeader::parse(&content) {
                    prop_assert_eq!(&header.encode()[8..], &content);
                }
                if let Ok(end) = VolumeEnd::parse(&content) {
                    prop_assert_eq!(VolumeEnd::parse(&end.encode()[8..]), Ok(end));
                }
                let length = SeekTable::length_from(&content);
                prop_assert!(length == 0 || length >= 17);
            }
        }
    }
}
