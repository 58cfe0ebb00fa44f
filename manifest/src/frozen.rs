//! What makes a bundle a frozen folder, and what the next one of the same folder needs to know about it.

use crate::{BundleManifest, FileEntry, ManifestError, Sha256, layout};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Marks a bundle that holds a folder as it was, to be restored; it cannot be installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frozen {
    /// What was frozen.
    pub what: FrozenKind,
    /// The bundles that hold what this one does not carry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub builds_on: Vec<Edition>,
}

/// What was frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FrozenKind {
    /// A home of ours: a backup.
    Home,
    /// Any other folder.
    Folder,
}

impl fmt::Display for FrozenKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Home => "a backup of a home",
            Self::Folder => "a frozen folder",
        })
    }
}

/// One bundle, as messages name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edition {
    /// Its name.
    pub name: String,
    /// Its number.
    pub sequence: u64,
    /// Its identity.
    pub id: Sha256,
}

impl fmt::Display for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "edition {} of `{}` (bundle {})", self.sequence, self.name, self.id.short())
    }
}

/// `inventory.json` beside a frozen folder's archive: what the next one need not carry, and by what it is recognized
/// without reading it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrozenInventory {
    /// Version of this file's format.
    pub format: u32,
    /// The bundle that it lies beside.
    pub edition: Edition,
    /// What was frozen, and the bundles that hold the rest.
    pub frozen: Frozen,
    /// The files of that bundle.
    pub files: Vec<FileEntry>,
    /// What the files of the folder looked like; those that changed only just before are not there.
    pub seen: Vec<SeenFile>,
    /// The digest of all this, so that a damaged list does no harm: of the text with this field left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sum: Option<Sha256>,
}

/// A file of the folder as the operating system described it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeenFile {
    /// Its place below the folder.
    pub path: crate::TreePath,
    /// By what a change of it shows.
    #[serde(flatten)]
    pub mark: FileMark,
    /// The digest of its content.
    pub sha256: Sha256,
}

/// By what a change of a file shows without reading it. On one machine only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMark {
    /// Its size in bytes.
    pub size: u64,
    /// When its content was changed: seconds since 1970, and nanoseconds.
    pub mtime: (i64, u32),
    /// When anything about it was changed; zero where the system does not tell.
    pub ctime: (i64, u32),
    /// Its number in the file system; zero where the system does not tell.
    pub inode: u64,
}

impl FrozenInventory {
    /// The newest format version that this program reads and the one it writes.
    pub const FORMAT: u32 = 1;

    /// What the next bundle need not carry after the one with this manifest; nothing when that froze nothing.
    #[must_use]
    pub fn of(manifest: &BundleManifest, seen: Vec<SeenFile>) -> Option<Self> {
        let whole = manifest.files.iter().cloned().map(|mut file| {
            (file.carried, file.codec) = (None, None);
            file
        });
        Some(Self {
            format: Self::FORMAT,
            edition: Edition { name: manifest.name.clone(), sequence: manifest.sequence, id: manifest.id() },
            frozen: manifest.frozen.clone()?,
            files: whole.filter(|file| file.path.as_str() != layout::TREE).collect(),
            seen,
            sum: None,
        })
    }

    /// Reads an inventory. `file` is the name that messages use.
    ///
    /// # Errors
    /// When it is none, is damaged, was written by a newer program, or contradicts itself.
    pub fn parse(file: &str, text: &[u8]) -> Result<Self, ManifestError> {
        let mut inventory: Self = ManifestError::json(file, "the inventory of a backup", text, Self::FORMAT)?;
        let refuse = |reason: String| ManifestError::Meaning {
            file: file.to_owned(),
            reason,
            hint: "name the folder of that backup instead, or make a whole one without `--have`".to_owned(),
        };
        let stated = inventory.sum.take();
        if stated != Some(Sha256::of(&inventory.text())) {
            return Err(refuse("it is damaged: its digest does not match".to_owned()));
        }
        inventory.sum = stated;
        match inventory.files.iter().find_map(|file| Some((file, file.check().err()?))) {
            None => Ok(inventory),
            Some((entry, reason)) => Err(refuse(format!("`{}` {reason}", entry.path))),
        }
    }

    /// The text of the file.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut inventory = Self { sum: None, ..self.clone() };
        inventory.sum = Some(Sha256::of(&inventory.text()));
        inventory.text()
    }

    fn text(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec(self).unwrap_or_default();
        text.push(b'\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TreePath;
    use crate::any::{file_entries, hurt, manifest_of, sha256, tree_path};
    use proptest::prelude::*;

    fn written() -> FrozenInventory {
        FrozenInventory {
            format: 1,
            edition: Edition { name: "backup".to_owned(), sequence: 2, id: Sha256::of(b"2") },
            frozen: Frozen {
                what: FrozenKind::Home,
                builds_on: vec![Edition { name: "backup".to_owned(), sequence: 1, id: Sha256::of(b"1") }],
            },
            files: vec![],
            seen: vec![SeenFile {
                path: TreePath::from_bytes(b"a%\xff"),
                mark: FileMark { size: 1, mtime: (-1, 5), ctime: (2, 6), inode: 7 },
                sha256: Sha256::of(b"a"),
            }],
            sum: None,
        }
    }

    #[test]
    fn what_is_written_reads_back_and_damage_shows() {
        let text = written().to_json();
        let read = FrozenInventory::parse("inventory.json", &text).unwrap();
        assert_eq!(FrozenInventory { sum: None, ..read }, written());
        for at in 0..text.len() - 1 {
            let mut wrong = text.clone();
            wrong[at] ^= 1;
            assert!(FrozenInventory::parse("inventory.json", &wrong).is_err(), "byte {at}");
        }
    }

    fn edition() -> impl Strategy<Value = Edition> {
        (".{0,20}", any::<u64>(), sha256()).prop_map(|(name, sequence, id)| Edition { name, sequence, id })
    }

    fn seen() -> impl Strategy<Value = SeenFile> {
        let mark = any::<(u64, (i64, u32), (i64, u32), u64)>();
        (tree_path(), mark, sha256()).prop_map(|(path, (size, mtime, ctime, inode), sha256)| SeenFile {
            path,
            mark: FileMark { size, mtime, ctime, inode },
            sha256,
        })
    }

    proptest! {
        #[test]
        fn any_inventory_of_a_backup_reads_back(
            files in file_entries(),
            what in prop_oneof![Just(FrozenKind::Home), Just(FrozenKind::Folder)],
            builds_on in prop::collection::vec(edition(), 0..3),
            seen in prop::collection::vec(seen(), 0..5),
        ) {
            let manifest = BundleManifest { frozen: Some(Frozen { what, builds_on }), ..manifest_of(files) };
            let written = FrozenInventory::of(&manifest, seen).unwrap();
            let text = written.to_json();
            let read = FrozenInventory::parse("inventory.json", &text).unwrap();
            prop_assert_eq!(read.to_json(), text);
            prop_assert_eq!(FrozenInventory { sum: None, ..read }, written);
        }

        #[test]
        fn no_bytes_make_it_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(FrozenInventory::parse("inventory.json", &text).is_err());
        }

        #[test]
        fn a_hurt_one_is_refused(text in hurt(written().to_json())) {
            // A change may undo another one, or only move the line feed at the end.
            if let Ok(read) = FrozenInventory::parse("inventory.json", &text) {
                prop_assert_eq!(FrozenInventory { sum: None, ..read }, written());
            }
        }
    }
}
