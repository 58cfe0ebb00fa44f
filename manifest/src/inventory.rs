use crate::{ChunkDigest, FileEntry, ManifestError, Sha256};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// What an installed home holds: a small file that travels back, so that the next bundle carries only what is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    /// Version of this file's format.
    pub format: u32,
    /// The program that made it ("fieldforge 0.1.0").
    pub made_by: String,
    /// The installed bundle's name.
    pub bundle: String,
    /// Its edition.
    pub sequence: u64,
    /// Every installed file.
    pub files: Vec<FileEntry>,
}

impl Inventory {
    /// The newest format version that this program reads and the one it writes.
    pub const FORMAT: u32 = 1;

    /// Reads an inventory. `file` is the name that messages use.
    ///
    /// # Errors
    /// When it is none, was written by a newer program, or contradicts itself.
    pub fn parse(file: &str, text: &[u8]) -> Result<Self, ManifestError> {
        let inventory: Self = ManifestError::json(file, "an inventory", text, Self::FORMAT)?;
        let broken = inventory.files.iter().find_map(|file| Some((file, file.check().err()?)));
        match broken {
            None => Ok(inventory),
            Some((entry, reason)) => Err(ManifestError::Meaning {
                file: file.to_owned(),
                reason: format!("`{}` {reason}", entry.path),
                hint: "make it again on the offline machine: `fieldforge inventory`".to_owned(),
            }),
        }
    }

    /// The text of the file.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).unwrap_or_default();
        text.push(b'\n');
        text
    }

    /// Digests of all files.
    #[must_use]
    pub fn files(&self) -> HashSet<Sha256> {
        self.files.iter().map(|file| file.sha256).collect()
    }

    /// Digests of all chunks.
    #[must_use]
    pub fn chunks(&self) -> HashSet<ChunkDigest> {
        self.files.iter().flat_map(|file| file.chunks.iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn inventory() -> Inventory {
        Inventory {
            format: 1,
            made_by: "fieldforge".to_owned(),
            bundle: "kit".to_owned(),
            sequence: 3,
            files: vec![FileEntry {
                path: "models/a".parse().unwrap(),
                size: 10,
                sha256: Sha256::of(b"a"),
                component: "kit".parse().unwrap(),
                head: 4,
                chunks: vec![ChunkDigest::of(b"1"), ChunkDigest::of(b"2")],
                carried: None,
                codec: None,
            }],
        }
    }

    #[test]
    fn what_is_written_reads_back_and_nonsense_is_named() {
        let written = inventory();
        assert_eq!(Inventory::parse("have.json", &written.to_json()).unwrap(), written);
        let mut wrong = inventory();
        wrong.files[0].head = 0;
        let said = Inventory::parse("have.json", &wrong.to_json()).unwrap_err().to_string();
        assert!(said.contains("`models/a` has 10 bytes, so 1 chunks, but 2 digests"), "{said}");
        let newer = serde_json::json!({ "format": 2, "unheard": 1 }).to_string();
        assert!(matches!(Inventory::parse("x", newer.as_bytes()), Err(ManifestError::NewerFormat { found: 2, .. })));
    }

    proptest! {
        #[test]
        fn any_inventory_reads_back(bundle in ".*", sequence in any::<u64>(), files in crate::any::file_entries()) {
            let written = Inventory { bundle, sequence, files, ..inventory() };
            let read = Inventory::parse("have.json", &written.to_json()).unwrap();
            prop_assert_eq!(&read, &written);
            prop_assert!(read.chunks().len() <= written.files.iter().map(|file| file.chunks.len()).sum());
        }

        #[test]
        fn what_is_accepted_of_a_hurt_one_reads_back(text in crate::any::hurt(inventory().to_json())) {
            if let Ok(read) = Inventory::parse("have.json", &text) {
                prop_assert_eq!(Inventory::parse("have.json", &read.to_json()).unwrap(), read);
            }
        }

        #[test]
        fn no_text_makes_it_panic(at in 0usize..500, byte in any::<u8>(), text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Inventory::parse("x", &text);
            let mut text = inventory().to_json();
            let at = at % text.len();
            text[at] = byte;
            let _ = Inventory::parse("x", &text);
        }
    }
}
