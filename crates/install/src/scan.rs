//! Finds the frames of a volume, without decoding and without trusting them.

use manifest::{BundleManifest, frame};
use sha2::Digest as _;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

/// Longest frame in bytes: a chunk that could not be compressed, and what zstd puts around it.
pub(crate) const LONGEST_FRAME: usize = BundleManifest::CHUNK_SIZE as usize + (256 << 10);
/// Longest content of a skippable frame that is handed out; longer ones are passed over.
const LONGEST_RECORD: u64 = 4096;
/// Longest block of a zstd frame in bytes (RFC 8878, 3.1.1.2.4).
const LONGEST_BLOCK: usize = 128 << 10;
/// Frames are at least this long: header, one block header, checksum.
const SHORTEST_STEP: u64 = 1;

/// Reads a volume frame by frame. Memory is bounded by [`LONGEST_FRAME`], whatever the bytes say.
pub struct FrameScanner<R> {
    reader: BufReader<R>,
    offset: u64,
    hasher: Option<sha2::Sha256>,
}

/// One frame of a volume.
#[derive(Debug, PartialEq, Eq)]
pub enum Scanned {
    /// An ordinary frame.
    Frame {
        /// Where it begins in the volume.
        offset: u64,
        /// The whole frame; empty when only its place was wanted.
        bytes: Vec<u8>,
        /// Bytes that it claims to decode to; at most one chunk.
        content: usize,
    },
    /// A skippable frame.
    Skippable {
        /// Where it begins in the volume.
        offset: u64,
        /// Its first four bytes.
        magic: u32,
        /// What it holds; empty when that is longer than 4 KiB.
        content: Vec<u8>,
    },
}

/// Why a volume could not be read on.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The operating system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The volume ends inside a frame.
    #[error("it ends in the middle of a frame")]
    Truncated {
        /// Where that frame begins.
        frame: u64,
        /// Where the volume ends.
        at: u64,
    },
    /// These bytes are not a frame of ours.
    #[error("{reason}")]
    Damaged {
        /// Where the frame begins.
        frame: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl<R: Read + Seek> FrameScanner<R> {
    /// Scans from the beginning. With `hash`, [`FrameScanner::digest`] can tell the digest of what was read.
    pub fn new(reader: R, hash: bool) -> Self {
        let hasher = hash.then(sha2::Sha256::new);
        Self { reader: BufReader::with_capacity(256 << 10, reader), offset: 0, hasher }
    }

    /// Where the next frame begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Digest of everything up to here, when it was wanted and nothing was passed over.
    pub fn digest(&self) -> Option<manifest::Sha256> {
        let hasher = self.hasher.as_ref()?;
        Some(manifest::Sha256::from_bytes(hasher.clone().finalize().into()))
    }

    /// The next frame; nothing at the end of the volume. `bytes` is used for what is read. Without `keep` an
    /// ordinary frame is passed over and comes back empty.
    ///
    /// # Errors
    /// When the bytes are not a frame of the kind that archives of ours consist of. The scanner then stands somewhere
    /// inside that frame; [`FrameScanner::resume_after`] finds the next one.
    pub fn next_frame(&mut self, mut bytes: Vec<u8>, keep: bool) -> Result<Option<Scanned>, ScanError> {
        let frame = self.offset;
        bytes.clear();
        if self.at_end()? {
            return Ok(None);
        }
        let magic = u32::from_le_bytes(self.take(frame, &mut bytes)?);
        if magic == frame::ZSTD {
            let content = self.ordinary(frame, &mut bytes, keep || self.hasher.is_some())?;
            if !keep {
                bytes.clear();
            }
            return Ok(Some(Scanned::Frame { offset: frame, bytes, content }));
        }
        if !frame::SKIPPABLE.contains(&magic) {
            return Err(ScanError::Damaged { frame, reason: "no frame begins here" });
        }
        let length = u64::from(u32::from_le_bytes(self.take(frame, &mut bytes)?));
        bytes.clear();
        if length <= LONGEST_RECORD {
            self.fill(frame, &mut bytes, length as usize)?;
        } else {
            self.pass_over(frame, length)?;
        }
        Ok(Some(Scanned::Skippable { offset: frame, magic, content: bytes }))
    }

    /// Goes to the next place behind `frame` that could be the beginning of a frame; nothing when there is none.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn resume_after(&mut self, frame: u64) -> io::Result<Option<u64>> {
        self.hasher = None;
        self.offset = self.reader.seek(SeekFrom::Start(frame.saturating_add(SHORTEST_STEP)))?;
        let mut window: u32 = 0;
        let mut seen = 0u64;
        for byte in self.reader.by_ref().bytes() {
            window = (window >> 8) | (u32::from(byte?) << 24);
            seen += 1;
            if seen >= 4 && (window == frame::ZSTD || window == frame::VOLUME) {
                self.offset += seen - 4;
                self.reader.seek(SeekFrom::Start(self.offset))?;
                return Ok(Some(self.offset));
            }
        }
        self.offset += seen;
        Ok(None)
    }

    /// Reads one ordinary frame behind its magic number (RFC 8878, 3.1.1).
    fn ordinary(&mut self, frame: u64, bytes: &mut Vec<u8>, keep: bool) -> Result<usize, ScanError> {
        let damaged = |reason| ScanError::Damaged { frame, reason };
        let [descriptor] = self.take(frame, bytes)?;
        let single_segment = descriptor & 0x20 != 0;
        if descriptor & 0x08 != 0 {
            return Err(damaged("its frame header has a reserved bit set"));
        }
        if descriptor & 0x03 != 0 {
            return Err(damaged("it was compressed with a dictionary"));
        }
        if descriptor & 0x04 == 0 {
            return Err(damaged("it carries no checksum"));
        }
        if !single_segment {
            let [window] = self.take(frame, bytes)?;
            // Stock decoders take no more than 8 MiB unasked (RFC 8878, 3.1.1.1.2).
            if window > 13 << 3 {
                return Err(damaged("it needs more memory than any frame of ours"));
            }
        }
        let content = match (descriptor >> 6, single_segment) {
            (0, false) => return Err(damaged("it does not state its size")),
            (0, true) => u64::from(u8::from_le_bytes(self.take(frame, bytes)?)),
            (1, _) => u64::from(u16::from_le_bytes(self.take(frame, bytes)?)) + 256,
            (2, _) => u64::from(u32::from_le_bytes(self.take(frame, bytes)?)),
            (_, _) => u64::from_le_bytes(self.take(frame, bytes)?),
        };
        if content > BundleManifest::CHUNK_SIZE {
            return Err(damaged("it claims to hold more than one chunk"));
        }
        let start = self.offset;
        loop {
            let [low, middle, high] = self.take(frame, bytes)?;
            let header = u32::from_le_bytes([low, middle, high, 0]);
            let size = (header >> 3) as usize;
            let length = match header >> 1 & 3 {
                0 | 2 => size,
                1 => 1,
                _ => return Err(damaged("it has a block of an unknown kind")),
            };
            if size > LONGEST_BLOCK || self.offset - start + length as u64 > LONGEST_FRAME as u64 - 64 {
                return Err(damaged("it is longer than any frame of ours"));
            }
            if keep {
                self.fill(frame, bytes, length)?;
            } else {
                self.pass_over(frame, length as u64)?;
                bytes.clear();
            }
            if header & 1 == 1 {
                break;
            }
        }
        let _checksum: [u8; 4] = self.take(frame, bytes)?;
        Ok(content as usize)
    }

    fn at_end(&mut self) -> io::Result<bool> {
        use std::io::BufRead as _;
        Ok(self.reader.fill_buf()?.is_empty())
    }

    fn take<const N: usize>(&mut self, frame: u64, bytes: &mut Vec<u8>) -> Result<[u8; N], ScanError> {
        self.fill(frame, bytes, N)?;
        bytes.last_chunk::<N>().copied().ok_or(ScanError::Truncated { frame, at: self.offset })
    }

    fn fill(&mut self, frame: u64, bytes: &mut Vec<u8>, length: usize) -> Result<(), ScanError> {
        let before = bytes.len();
        let read = self.reader.by_ref().take(length as u64).read_to_end(bytes)?;
        if let (Some(hasher), Some(new)) = (&mut self.hasher, bytes.get(before..)) {
            hasher.update(new);
        }
        self.offset += read as u64;
        if read < length {
            return Err(ScanError::Truncated { frame, at: self.offset });
        }
        Ok(())
    }

    fn pass_over(&mut self, frame: u64, length: u64) -> Result<(), ScanError> {
        if self.hasher.is_none() && length > 0 {
            // To the last byte but one, and then that: a seek beyond the end would go unnoticed.
            let far = i64::try_from(length - 1).unwrap_or(i64::MAX);
            self.reader.seek_relative(far)?;
            self.offset += length - 1;
            let mut last = Vec::with_capacity(1);
            return self.fill(frame, &mut last, 1);
        }
        let mut left = length;
        let mut buffer = Vec::new();
        while left > 0 {
            let step = left.min(64 << 10);
            buffer.clear();
            self.fill(frame, &mut buffer, step as usize)?;
            left -= step;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;
    use zstd::zstd_safe::CParameter;

    fn compressed(content: &[u8], checksum: bool) -> Vec<u8> {
        let mut compressor = zstd::bulk::Compressor::new(1).unwrap();
        compressor.set_parameter(CParameter::ChecksumFlag(checksum)).unwrap();
        compressor.compress(content).unwrap()
    }

    fn skippable(magic: u32, content: &[u8]) -> Vec<u8> {
        let mut bytes = magic.to_le_bytes().to_vec();
        bytes.extend((content.len() as u32).to_le_bytes());
        bytes.extend(content);
        bytes
    }

    fn scan_all(volume: &[u8], keep: bool, hash: bool) -> Result<Vec<Scanned>, ScanError> {
        let mut scanner = FrameScanner::new(Cursor::new(volume), hash);
        let mut found = Vec::new();
        while let Some(scanned) = scanner.next_frame(Vec::new(), keep)? {
            found.push(scanned);
        }
        if hash {
            assert_eq!(scanner.digest(), Some(manifest::Sha256::of(volume)));
        }
        Ok(found)
    }

    #[test]
    fn finds_every_frame_and_passes_over_what_it_does_not_know() {
        let noise: Vec<u8> = (0..300_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let frames = [
            compressed(&noise, true),
            skippable(0x184D_2A5C, &[7; 9000]),
            compressed(b"x", true),
            compressed(&[0; 4 << 20], true),
        ];
        let volume = frames.concat();
        for (keep, hash) in [(true, true), (true, false), (false, true), (false, false)] {
            let found = scan_all(&volume, keep, hash).unwrap();
            let mut at = 0;
            for (scanned, frame) in found.iter().zip(&frames) {
                match scanned {
                    Scanned::Frame { offset, bytes, .. } => {
                        assert_eq!(*offset, at);
                        assert_eq!(bytes, if keep { frame } else { &[][..] });
                    }
                    Scanned::Skippable { offset, magic, content } => {
                        assert_eq!((*offset, *magic, content.len()), (at, 0x184D_2A5C, 0));
                    }
                }
                at += frame.len() as u64;
            }
            assert_eq!(found.len(), 4);
        }
    }

    #[test]
    fn refuses_by_name_what_archives_of_ours_never_hold() {
        let reason = |volume: &[u8]| scan_all(volume, true, false).unwrap_err().to_string();
        assert_eq!(reason(&compressed(b"abc", false)), "it carries no checksum");
        assert_eq!(reason(&compressed(&[0; (4 << 20) + 1], true)), "it claims to hold more than one chunk");
        assert_eq!(reason(b"PK\x03\x04"), "no frame begins here");
        let mut streamed = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
        streamed.include_checksum(true).unwrap();
        io::Write::write_all(&mut streamed, b"abc").unwrap();
        assert_eq!(reason(&streamed.finish().unwrap()), "it does not state its size");
        let whole = compressed(b"abc", true);
        for length in 1..whole.len() {
            assert!(matches!(scan_all(&whole[..length], true, false), Err(ScanError::Truncated { frame: 0, .. })));
            assert!(matches!(scan_all(&whole[..length], false, false), Err(ScanError::Truncated { frame: 0, .. })));
        }
    }

    #[test]
    fn goes_on_behind_damage() {
        let mut volume = vec![1; 1000];
        volume.extend(compressed(b"here", true));
        let mut scanner = FrameScanner::new(Cursor::new(&volume), true);
        assert!(matches!(scanner.next_frame(Vec::new(), true), Err(ScanError::Damaged { frame: 0, .. })));
        assert_eq!(scanner.resume_after(0).unwrap(), Some(1000));
        assert!(matches!(scanner.next_frame(Vec::new(), true), Ok(Some(Scanned::Frame { offset: 1000, .. }))));
        assert_eq!(scanner.resume_after(1000).unwrap(), None);
        assert_eq!(scanner.digest(), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_grow(start in any::<bool>(), bytes in prop::collection::vec(any::<u8>(), 0..600), keep in any::<bool>()) {
            let mut volume = if start { frame::ZSTD.to_le_bytes().to_vec() } else { Vec::new() };
            volume.extend(&bytes);
            let mut scanner = FrameScanner::new(Cursor::new(&volume), false);
            let mut from = 0;
            for _ in 0..700 {
                match scanner.next_frame(Vec::new(), keep) {
                    Ok(None) => break,
                    Ok(Some(Scanned::Frame { bytes, .. })) => prop_assert!(bytes.len() <= LONGEST_FRAME),
                    Ok(Some(_)) => {}
                    Err(_) => match scanner.resume_after(from).unwrap() {
                        Some(next) => from = next,
                        None => break,
                    },
                }
                prop_assert!(scanner.offset() <= volume.len() as u64);
            }
        }

        #[test]
        fn a_changed_byte_never_panics(at in 0usize..4000, byte in any::<u8>()) {
            let mut volume = [compressed(&[7; 5000], true), skippable(frame::VOLUME, b"record"), compressed(b"abc", true)].concat();
            let at = at % volume.len();
            volume[at] = byte;
            let _ = scan_all(&volume, true, false);
        }
    }
}
