//! How hard to press a file.

use manifest::Codec;
use std::collections::BTreeMap;
use std::io;
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

/// Level for short texts and for tar headers: small, so the time does not matter.
pub(crate) const TEXT: i32 = 19;
/// Level for long texts.
const LONG_TEXT: i32 = 9;
/// Level for weights. Higher ones gain nothing: what there is to gain is in the exponents, and Huffman coding finds it.
pub(crate) const FAST: i32 = 1;
/// Level for what cannot be pressed: blocks are stored almost at the speed of copying.
const STORED: i32 = -100;
/// A text longer than this in bytes is a long one.
const SHORT: u64 = 1 << 20;
/// What saves less than one part in fifty is stored.
const WORTH: f64 = 0.98;

/// Bytes that one look takes from a chunk.
const SAMPLE: usize = 64 << 10;

/// A piece from the middle of a chunk, where its numbers begin; nothing of a head, which is unlike what follows.
pub(crate) fn look(chunk: &[u8], head: bool) -> Vec<u8> {
    let middle = (chunk.len() / 2).min(chunk.len().saturating_sub(SAMPLE)) / 8 * 8;
    chunk.iter().skip(middle).take(if head { 0 } else { SAMPLE }).copied().collect()
}

/// The codec that makes weights smaller by what is worth it, and the part of their size that will remain. `plain`: the
/// part that remains without.
pub(crate) fn planes(sample: &[u8], plain: f64) -> Option<(Codec, f64)> {
    let worth = |remaining: f64| remaining - (1.0 - WORTH);
    let mut best = (None, worth(plain));
    for codec in [Codec::Planes2, Codec::Planes4] {
        let mut planes = Vec::with_capacity(sample.len());
        codec.split(sample, &mut planes);
        // Each by itself: in a whole chunk, no block of zstd's, which has one table of symbols, spans two planes.
        let each = planes.chunks((sample.len() / codec.width()).max(1));
        let pressed = each.map(|plane| zstd::bulk::compress(plane, FAST).map_or(plane.len(), |bytes| bytes.len()));
        let remaining = pressed.sum::<usize>() as f64 / sample.len().max(1) as f64;
        if remaining < if best.0.is_some() { worth(best.1) } else { best.1 } && !sample.is_empty() {
            best = (Some(codec), remaining);
        }
    }
    best.0.map(|codec| (codec, best.1))
}

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

    #[test]
    fn weights_of_two_and_of_four_bytes_get_their_planes_and_nothing_else_does() {
        let noise = |n: u32, salt: u64| twox_hash::XxHash64::oneshot(salt, &n.to_le_bytes());
        // Sums of noise are normally distributed, as weights are.
        let weight = |n: u32| (0..8).map(|salt| (noise(n, salt) >> 40) as f32 / 8e6 - 1.0).sum::<f32>() * 0.01;
        let single: Vec<u8> = (0..50_000).flat_map(|n| weight(n).to_le_bytes()).collect();
        let brain: Vec<u8> =
            (0..50_000).flat_map(|n| (weight(n).to_bits() >> 16).to_le_bytes()[..2].to_vec()).collect();
        let codec = |sample: &[u8]| planes(sample, choose(1 << 30, sample).1).map(|(codec, _)| codec);
        assert_eq!(codec(&single), Some(Codec::Planes4));
        assert_eq!(codec(&brain), Some(Codec::Planes2));
        let bytes: Vec<u8> = (0..30_000).flat_map(|n| noise(n, 9).to_le_bytes()).collect();
        assert_eq!(codec(&bytes), None);
        assert_eq!(codec(&[0; 200_000]), None);
        assert_eq!(codec(b""), None);
        assert_eq!(look(&[1; 300_000], true), b"");
        let chunk: Vec<u8> = (0..SAMPLE as u32 * 2 + 13).map(|n| n as u8).collect();
        assert_eq!(look(&chunk, false), &chunk[SAMPLE..SAMPLE * 2]);
    }
}
