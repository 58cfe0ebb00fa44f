//! `TREE.json`: a folder as it was, name by name, for bundles that freeze one.

use crate::{BundleManifest, BundlePath, ManifestError, Sha256};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::HashSet;
use std::fmt;

/// What a frozen folder held, in the order of its paths.
///
/// The content of files lies in other members of the archive, each once, under names that every system can create; the
/// tree says what was called how, so that names which a bundle cannot use come back as they were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tree {
    /// Version of this file's format.
    pub format: u32,
    /// Everything in the folder; the folder itself comes first, as `.`.
    pub entries: Vec<TreeEntry>,
    /// What could not be frozen, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
}

/// One file, folder or link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeEntry {
    /// Its place below the folder.
    pub path: TreePath,
    /// What it is.
    #[serde(flatten)]
    pub kind: TreeKind,
    /// Permission bits.
    pub mode: Mode,
    /// When it was changed last: seconds since 1970.
    pub mtime: i64,
    /// … and nanoseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub nanos: u32,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum TreeKind {
    /// A folder.
    Folder,
    /// A plain file.
    File {
        /// Its size in bytes.
        size: u64,
        /// The digest of its content.
        sha256: Sha256,
        /// The file of the bundle that holds its content.
        stored: BundlePath,
    },
    /// A second name of a file.
    HardLink {
        /// The first one, an entry before this one.
        to: TreePath,
    },
    /// A symbolic link, as it was: it may lead out of the folder, or to nothing.
    Link {
        /// Where it leads.
        to: TreePath,
    },
}

/// What could not be frozen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// Its place below the folder.
    pub path: TreePath,
    /// Why.
    pub reason: String,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A path or the target of a link, as the bytes that the operating system used.
///
/// Written as text: bytes that are not UTF-8, and `%` itself, as `%` and two upper-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(Vec<u8>);

impl TreePath {
    /// Any bytes; whether they can be a path of a tree is decided by [`Tree::parse`].
    #[must_use]
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The folder itself.
    #[must_use]
    pub fn root() -> Self {
        Self(b".".to_vec())
    }

    /// Is it the folder itself?
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0 == b"."
    }

    /// The path of the folder that it lies in; nothing for the folder itself.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let end = self.0.iter().rposition(|byte| *byte == b'/');
        Some(end.and_then(|end| self.0.get(..end)).map_or_else(Self::root, |parent| Self(parent.to_vec())))
    }

    /// A place below the folder: no empty part, no `.` or `..`, no zero byte.
    fn is_below(&self) -> bool {
        let part = |part: &[u8]| !part.is_empty() && part != b"." && part != b"..";
        self.0.split(|byte| *byte == b'/').all(part) && !self.0.contains(&0)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let Some((first, after)) = rest.split_first() {
            rest = after;
            if *first != b'%' {
                bytes.push(*first);
                continue;
            }
            let (digits, after) = rest.split_at_checked(2)?;
            let digits = std::str::from_utf8(digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after;
        }
        let path = Self(bytes);
        // One spelling for each path.
        (path.to_string() == text).then_some(path)
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for (at, part) in chunk.valid().split('%').enumerate() {
                write!(f, "{}{part}", if at > 0 { "%25" } else { "" })?;
            }
            chunk.invalid().iter().try_for_each(|byte| write!(f, "%{byte:02X}"))?;
        }
        Ok(())
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

impl Serialize for TreePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TreePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| serde::de::Error::custom(format!("`{}` is no path of a tree", text.escape_debug())))
    }
}

/// Permission bits as Unix has them; written in octal ("755").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(u32);

impl Mode {
    /// For files: who may read, write and execute.
    const FILE: u32 = 0o777;
    /// For folders also: new files inherit the group, names can be removed by their owner only.
    const FOLDER: u32 = 0o3777;

    /// Those bits of a file's mode that are kept. The right to run under another account is not one of them.
    #[must_use]
    pub const fn of_file(mode: u32) -> Self {
        Self(mode & Self::FILE)
    }

    /// Those bits of a folder's mode that are kept.
    #[must_use]
    pub const fn of_folder(mode: u32) -> Self {
        Self(mode & Self::FOLDER)
    }

    /// The bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl Serialize for Mode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:o}", self.0))
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bits = u32::from_str_radix(&text, 8).ok().filter(|bits| *bits <= Self::FOLDER);
        bits.map(Self).ok_or_else(|| serde::de::Error::custom(format!("`{}` is no mode", text.escape_debug())))
    }
}

impl Tree {
    /// The newest format version that this program reads and the one it writes.
    pub const FORMAT: u32 = 1;
    /// A longer `TREE.json` is refused.
    pub const MAX_TEXT: u64 = 256 << 20;

    /// Reads and checks a `TREE.json`. After this every path in it lies below the folder, in a folder of the tree, and
    /// what a file needs is in the bundle.
    ///
    /// # Errors
    /// When it is none, was written by a newer program, or contradicts itself or the bundle's manifest.
    pub fn parse(file: &str, text: &[u8], manifest: &BundleManifest) -> Result<Self, ManifestError> {
        let tree: Self = ManifestError::json(file, "the tree of a frozen folder", text, Self::FORMAT)?;
        match tree.check(manifest) {
            Ok(()) => Ok(tree),
            Err(reason) => Err(ManifestError::Meaning {
                file: file.to_owned(),
                reason,
                hint: "do not restore this backup: get it again from the person who made it".to_owned(),
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

    /// Bytes that the files take when they are restored; second names take none.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.files().fold(0, |sum, (_, size, _)| sum.saturating_add(size))
    }

    /// Path, size and place of the content of every file.
    pub fn files(&self) -> impl Iterator<Item = (&TreePath, u64, &BundlePath)> {
        self.entries.iter().filter_map(|entry| match &entry.kind {
            TreeKind::File { size, stored, .. } => Some((&entry.path, *size, stored)),
            _ => None,
        })
    }

    fn check(&self, manifest: &BundleManifest) -> Result<(), String> {
        if !self.entries.first().is_some_and(|first| first.path.is_root() && first.kind == TreeKind::Folder) {
            return Err("it does not begin with the folder itself".to_owned());
        }
        let mut folders: HashSet<&TreePath> = HashSet::new();
        let mut files: HashSet<&TreePath> = HashSet::new();
        let mut before: Option<&TreePath> = None;
        for entry in &self.entries {
            let path = &entry.path;
            match path.parent() {
                None => {}
                Some(_) if !path.is_below() => return Err(format!("`{path}` leads out of the folder")),
                Some(parent) if !folders.contains(&parent) => {
                    return Err(format!("`{path}` lies in `{parent}`, which is no folder of it"));
                }
                Some(_) if path.is_root() || before.is_some_and(|before| !before.is_root() && before >= path) => {
                    return Err(format!("`{path}` is out of order or there twice"));
                }
                Some(_) => {}
            }
            if path.is_root() && before.is_some() {
                return Err("the folder itself is there twice".to_owned());
            }
            if entry.nanos >= 1_000_000_000 {
                return Err(format!("`{path}` has a time that is none"));
            }
            match &entry.kind {
                TreeKind::Folder => {
                    folders.insert(path);
                }
                TreeKind::File { size, sha256, stored } => {
                    let held = manifest.file(stored);
                    if !held.is_some_and(|held| held.size == *size && held.sha256 == *sha256) {
                        return Err(format!("the content of `{path}` is not in the bundle"));
                    }
                    files.insert(path);
                }
                TreeKind::HardLink { to } if !files.contains(to) => {
                    return Err(format!("`{path}` is a second name of `{to}`, which is no file before it"));
                }
                TreeKind::Link { to } if to.0.is_empty() || to.0.contains(&0) => {
                    return Err(format!("`{path}` is a link to nothing"));
                }
                TreeKind::HardLink { .. } | TreeKind::Link { .. } => {}
            }
            if entry.kind != TreeKind::Folder && entry.mode.0 > Mode::FILE {
                return Err(format!("`{path}` has a mode that files cannot have"));
            }
            before = Some(path);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FileEntry;
    use crate::any::{hurt, manifest_of, tree_path};
    use proptest::prelude::*;

    fn manifest() -> BundleManifest {
        manifest_of(vec![FileEntry {
            path: "files/a".parse().unwrap(),
            size: 0,
            sha256: Sha256::of(b""),
            component: "home".parse().unwrap(),
            head: 0,
            chunks: vec![],
            carried: None,
            codec: None,
        }])
    }

    fn entry(path: &[u8], kind: TreeKind) -> TreeEntry {
        TreeEntry { path: TreePath::from_bytes(path), kind, mode: Mode::of_file(0o755), mtime: -5, nanos: 7 }
    }

    fn file() -> TreeKind {
        TreeKind::File { size: 0, sha256: Sha256::of(b""), stored: "files/a".parse().unwrap() }
    }

    fn tree(more: Vec<TreeEntry>) -> Tree {
        let mut entries = vec![entry(b".", TreeKind::Folder)];
        entries.extend(more);
        Tree { format: 1, entries, left_out: vec![] }
    }

    #[test]
    fn what_is_written_reads_back() {
        let odd = TreePath::from_bytes(b"100 %\xff:.".to_vec());
        let written = tree(vec![
            entry(b"\x01", TreeKind::Link { to: TreePath::from_bytes(b"../\xfe".to_vec()) }),
            entry(odd.as_bytes(), TreeKind::Folder),
            entry(b"100 %\xff:./CON", file()),
            entry(b"100 %\xff:./con", TreeKind::HardLink { to: TreePath::from_bytes(b"100 %\xff:./CON".to_vec()) }),
        ]);
        let text = written.to_json();
        assert!(String::from_utf8_lossy(&text).contains("\"100 %25%FF:./CON\""), "{}", String::from_utf8_lossy(&text));
        assert_eq!(Tree::parse("TREE.json", &text, &manifest()).unwrap(), written);
    }

    #[test]
    fn contradictions_are_named() {
        let to = |to: &[u8]| TreePath::from_bytes(to);
        for (entries, reason) in [
            (vec![entry(b"../x", file())], "leads out of the folder"),
            (vec![entry(b"/x", file())], "leads out of the folder"),
            (vec![entry(b"x\0", file())], "leads out of the folder"),
            (vec![entry(b"a/x", file())], "which is no folder of it"),
            (vec![entry(b"a", TreeKind::Link { to: to(b"/etc") }), entry(b"a/x", file())], "which is no folder of it"),
            (vec![entry(b"b", file()), entry(b"a", file())], "out of order"),
            (vec![entry(b"a", file()), entry(b"a", file())], "there twice"),
            (vec![entry(b".", TreeKind::Folder)], "there twice"),
            (vec![entry(b"a", TreeKind::HardLink { to: to(b"b") })], "no file before it"),
            (vec![entry(b"a", TreeKind::Link { to: to(b"") })], "a link to nothing"),
            (vec![TreeEntry { nanos: 1_000_000_000, ..entry(b"a", file()) }], "a time that is none"),
            (vec![TreeEntry { mode: Mode::of_folder(0o3755), ..entry(b"a", file()) }], "a mode that files cannot have"),
        ] {
            let said = Tree::parse("TREE.json", &tree(entries).to_json(), &manifest()).unwrap_err().to_string();
            assert!(said.contains(reason), "{said}");
        }
        let foreign = BundleManifest { files: vec![], ..manifest() };
        let said = Tree::parse("TREE.json", &tree(vec![entry(b"a", file())]).to_json(), &foreign).unwrap_err();
        assert!(said.to_string().contains("the content of `a` is not in the bundle"), "{said}");
    }

    /// A folder with links, second names and empty files, in any order of names that a tree may have.
    fn any_tree() -> impl Strategy<Value = Tree> {
        let name = prop_oneof![
            prop::collection::vec(1u8.., 1..6).prop_filter("one name", |name| !name.contains(&b'/')),
            "[a-c]{1,2}".prop_map(String::into_bytes),
        ];
        let name = name.prop_filter("a name", |name| name != b"." && name != b"..");
        let what = (0u8..4, any::<u32>(), any::<i64>(), 0u32..1_000_000_000, any::<prop::sample::Index>(), tree_path());
        prop::collection::vec((name, what), 0..20).prop_map(|wanted| {
            let mut folders = vec![Vec::new()];
            let mut kinds: std::collections::BTreeMap<Vec<u8>, TreeEntry> = std::collections::BTreeMap::new();
            for (name, (kind, mode, mtime, nanos, place, target)) in wanted {
                let parent: &Vec<u8> = &folders[place.index(folders.len())];
                let path = if parent.is_empty() { name } else { [parent, b"/".as_slice(), &name].concat() };
                if kinds.contains_key(&path) {
                    continue;
                }
                // The first file of the tree's order is what a second name may stand for.
                let first = kinds.iter().find(|(at, entry)| matches!(entry.kind, TreeKind::File { .. }) && **at < path);
                let kind = match (kind, first) {
                    (0, _) => TreeKind::Folder,
                    (1, Some((to, _))) => TreeKind::HardLink { to: TreePath::from_bytes(to.clone()) },
                    (2, _) if !target.0.is_empty() && !target.0.contains(&0) => TreeKind::Link { to: target },
                    _ => file(),
                };
                let mode = if kind == TreeKind::Folder { Mode::of_folder(mode) } else { Mode::of_file(mode) };
                if kind == TreeKind::Folder {
                    folders.push(path.clone());
                }
                let entry = TreeEntry { path: TreePath::from_bytes(path.clone()), kind, mode, mtime, nanos };
                kinds.insert(path, entry);
            }
            tree(kinds.into_values().collect())
        })
    }

    proptest! {
        #[test]
        fn any_folder_reads_back(tree in any_tree(), reasons in prop::collection::vec((tree_path(), ".*"), 0..3)) {
            let left_out = reasons.into_iter().map(|(path, reason)| LeftOut { path, reason }).collect();
            let tree = Tree { left_out, ..tree };
            let text = tree.to_json();
            let read = Tree::parse("TREE.json", &text, &manifest()).unwrap();
            prop_assert_eq!(read.to_json(), text);
            prop_assert_eq!(read, tree);
        }

        #[test]
        fn no_path_of_an_accepted_one_leads_out(paths in prop::collection::vec(tree_path(), 0..4)) {
            let entries = paths.into_iter().map(|path| TreeEntry { path, ..entry(b"", TreeKind::Folder) }).collect();
            if let Ok(read) = Tree::parse("TREE.json", &tree(entries).to_json(), &manifest()) {
                for entry in &read.entries[1..] {
                    let parts: Vec<&[u8]> = entry.path.as_bytes().split(|byte| *byte == b'/').collect();
                    prop_assert!(parts.iter().all(|part| !part.is_empty() && *part != b"." && *part != b".."));
                    prop_assert!(!entry.path.as_bytes().contains(&0));
                }
            }
        }

        #[test]
        fn no_bytes_make_it_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Tree::parse("TREE.json", &text, &manifest()).is_err());
        }

        #[test]
        fn what_is_accepted_of_a_hurt_one_reads_back(
            text in hurt(tree(vec![entry(b"a", file()), entry(b"b", TreeKind::Folder), entry(b"b/c", file())]).to_json()),
        ) {
            if let Ok(read) = Tree::parse("TREE.json", &text, &manifest()) {
                prop_assert_eq!(Tree::parse("TREE.json", &read.to_json(), &manifest()).unwrap(), read);
            }
        }

        #[test]
        fn every_name_has_one_spelling(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let path = TreePath::from_bytes(bytes);
            prop_assert_eq!(TreePath::parse(&path.to_string()), Some(path));
        }

        #[test]
        fn no_change_of_one_byte_makes_it_panic(at in 0usize..600, byte in any::<u8>()) {
            let mut text = tree(vec![entry(b"a", file()), entry(b"b", TreeKind::Folder)]).to_json();
            let at = at % text.len();
            text[at] = byte;
            let _ = Tree::parse("TREE.json", &text, &manifest());
        }
    }
}
