use crate::{BundleManifest, BundlePath, ChunkDigest, Codec, ComponentId, Sha256};
use serde::{Deserialize, Serialize};

/// One file of a bundle, or of an inventory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Its place in the bundle and below an installed generation.
    pub path: BundlePath,
    /// Its size in bytes.
    pub size: u64,
    /// The digest of the whole file.
    pub sha256: Sha256,
    /// The component that it belongs to.
    pub component: ComponentId,
    /// Bytes at its beginning that are cut into chunks by themselves. In a safetensors file that is the header: when
    /// it grows, the weights behind it are still the same chunks.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub head: u64,
    /// The digest of every chunk, in order; none for an empty file.
    pub chunks: Vec<ChunkDigest>,
    /// Which chunks the archive holds, as ranges (first, behind the last); absent: all of them. The others are taken
    /// from files of the same content that are installed already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried: Option<Vec<(u64, u64)>>,
    /// How its chunks behind the head stand in the archive; absent: as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<Codec>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl FileEntry {
    /// How many chunks a file has whose first `head` bytes are cut by themselves.
    #[must_use]
    pub const fn chunks_of(size: u64, head: u64) -> u64 {
        head.div_ceil(BundleManifest::CHUNK_SIZE) + size.saturating_sub(head).div_ceil(BundleManifest::CHUNK_SIZE)
    }

    /// Where chunk number `index` begins in the file, and how long it is.
    #[must_use]
    pub fn place(&self, index: usize) -> Option<(u64, u64)> {
        let index = index as u64;
        let in_head = self.head.div_ceil(BundleManifest::CHUNK_SIZE);
        let (start, end, index) = match index.checked_sub(in_head) {
            None => (0, self.head, index),
            Some(index) => (self.head, self.size, index),
        };
        let offset = index.checked_mul(BundleManifest::CHUNK_SIZE)?.checked_add(start)?;
        let length = end.checked_sub(offset)?.min(BundleManifest::CHUNK_SIZE);
        (length > 0).then_some((offset, length))
    }

    /// How chunk number `index` stands in the archive: the head is never changed.
    #[must_use]
    pub fn codec_of(&self, index: usize) -> Option<Codec> {
        self.codec.filter(|_| index as u64 >= self.head.div_ceil(BundleManifest::CHUNK_SIZE))
    }

    /// The chunks that the archive holds, as ranges.
    #[must_use]
    pub fn runs(&self) -> Vec<(u64, u64)> {
        match &self.carried {
            Some(runs) => runs.clone(),
            None if self.chunks.is_empty() => Vec::new(),
            None => vec![(0, self.chunks.len() as u64)],
        }
    }

    /// Bytes of the chunks that the archive holds.
    #[must_use]
    pub fn carried_bytes(&self) -> u64 {
        if self.carried.is_none() {
            return self.size;
        }
        let chunks = self.runs().into_iter().flat_map(|(first, end)| first..end);
        chunks.filter_map(|index| self.place(index as usize)).map(|(_, length)| length).sum()
    }

    /// What is wrong with it, if anything.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Self { size, head, .. } = self;
        if head > size {
            return Err(format!("has {size} bytes, but a head of {head}"));
        }
        let (chunks, found) = (Self::chunks_of(*size, *head), self.chunks.len() as u64);
        if chunks != found {
            return Err(format!("has {size} bytes, so {chunks} chunks, but {found} digests"));
        }
        let mut before = None;
        for (first, end) in self.carried.iter().flatten() {
            if first >= end {
                return Err("is carried in a part that holds nothing".to_owned());
            }
            if *end > chunks {
                return Err("is carried in a part beyond its end".to_owned());
            }
            if before.is_some_and(|before| *first <= before) {
                return Err("is carried in parts that are out of order or touch".to_owned());
            }
            before = Some(*end);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_carried_lies_in_the_file(file in crate::any::file_entry()) {
            prop_assert_eq!(file.check(), Ok(()));
            prop_assert!(file.carried_bytes() <= file.size);
            let places: Option<Vec<_>> = (0..file.chunks.len()).map(|index| file.place(index)).collect();
            prop_assert_eq!(places.unwrap().iter().map(|(_, length)| length).sum::<u64>(), file.size);
            prop_assert_eq!(file.place(file.chunks.len()), None);
            prop_assert!(file.runs().iter().all(|(first, end)| first < end && *end <= file.chunks.len() as u64));
        }
    }

    #[test]
    fn chunks_lie_one_behind_the_other() {
        for (size, head) in [(0, 0), (1, 0), (5 << 20, 0), (9 << 20, 300), (9 << 20, (4 << 20) + 1), (8 << 20, 8 << 20)]
        {
            let count = FileEntry::chunks_of(size, head);
            let entry = FileEntry {
                path: "a".parse().unwrap(),
                size,
                sha256: Sha256::of(b""),
                component: "kit".parse().unwrap(),
                head,
                chunks: vec![ChunkDigest::of(b""); count as usize],
                carried: None,
                codec: None,
            };
            let mut at = 0;
            for index in 0..count as usize {
                let (offset, length) = entry.place(index).unwrap();
                assert_eq!(offset, at);
                assert!(length <= BundleManifest::CHUNK_SIZE);
                assert!(offset >= head || offset + length <= head, "a chunk crosses the head's end");
                at += length;
            }
            assert_eq!((at, entry.place(count as usize)), (size, None));
            assert_eq!(entry.carried_bytes(), size);
            assert_eq!(entry.check(), Ok(()));
        }
    }
}
