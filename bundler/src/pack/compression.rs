//! How hard to press a file.

use std::collections::BTreeMap;
use std::io;
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

/// Level for short texts and for tar headers: small, so the time does not matter.
pub(crate) const TEXT: i32 = 19;
/// Level for long texts.
const LONG_TEXT: i32 = 9;
/// Level for weights. Higher ones gain nothing: what there is to gain is in the exponents, and Huffman coding finds it.
const FAST: i32 = 1;
/// Level for what cannot be pressed: blocks are stored almost at the speed of copying.
const STORED: i32 = -100;
/// A text longer than this in bytes is a long one.
const SHORT: u64 = 1 << 20;
/// What saves less than one part in fifty is stored.
const WORTH: f64 = 0.98;

/// Bytes that one look takes from a chunk.
pub(crate) const SAMPLE: usize = 64 << 10;

/// The level for a file of `size` bytes, judged by samples of it, and the part of its size that will remain, estimated.
pub(crate) fn choose(size: u64, sample: &[u8]) -> (i32, f64) {
    if sample.is_empty() {
        return (FAST, 1.0);
    }
    let pressed = zstd::bulk::compress(sample, FAST).map_or(sample.len(), |bytes| bytes.len());
    let remaining = (pressed as f64 / sample.len() as f64).min(1.0);
    match is_text(sample) {
        true if size <= SHORT => (TEXT, remaining),
        true => (LONG_TEXT, remaining),
        false if remaining > WORTH => (STORED, 1.0),
        false => (FAST, remaining),
    }
}

/// No control characters but white space: text in any encoding that contains ASCII.
fn is_text(sample: &[u8]) -> bool {
    sample.iter().all(|byte| *byte >= b' ' || matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b))
        && sample.iter().filter(|byte| byte.is_ascii()).count() * 10 >= sample.len() * 7
}

/// One compressor per level, made when first needed.
#[derive(Default)]
pub(crate) struct Compressors(BTreeMap<i32, Compressor<'static>>);

impl Compressors {
    /// Makes one frame with checksum and content size. `frame` must be empty.
    pub(crate) fn compress(&mut self, level: i32, bytes: &[u8], frame: &mut Vec<u8>) -> io::Result<()> {
        let compressor = match self.0.entry(level) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                let mut compressor = Compressor::new(level)?;
                // Without this, tar extracts a flipped bit without a word.
                compressor.set_parameter(CParameter::ChecksumFlag(true))?;
                compressor.set_parameter(CParameter::ContentSizeFlag(true))?;
                entry.insert(compressor)
            }
        };
        frame.reserve(zstd::zstd_safe::compress_bound(bytes.len()));
        compressor.compress_to_buffer(bytes, frame)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_weights_and_noise_get_their_levels() {
        let noise: Vec<u8> =
            (0u32..20_000).flat_map(|n| twox_hash::XxHash64::oneshot(7, &n.to_le_bytes()).to_le_bytes()).collect();
        let half: Vec<u8> =
            noise.iter().enumerate().map(|(at, byte)| if at % 2 == 0 { *byte } else { byte % 4 }).collect();
        assert_eq!(choose(1 << 30, &noise).0, STORED);
        assert_eq!(choose(1 << 30, &half).0, FAST);
        assert_eq!(choose(5_000, b"{ \"license\": \"MIT\" }\n").0, TEXT);
        assert_eq!(choose(5 << 20, "ein Text über Züge\n".repeat(9).as_bytes()).0, LONG_TEXT);
        assert_eq!(choose(0, b"").1, 1.0);
    }
}
