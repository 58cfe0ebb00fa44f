//! `MANIFEST.json`: every byte of a bundle, known before the first one is written.

use crate::{BundlePath, Component, ComponentId, ComponentKind, FileEntry, Frozen, ManifestError, Sha256, layout};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The first member of every bundle.
///
/// Canonical: the same content always gives the same text (fields in this order, files sorted by path, two-space
/// indentation, one line feed at the end), so its digest identifies the bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct BundleManifest {
    /// Version of the bundle format.
    pub format: u32,
    /// The bundle's name.
    pub name: String,
    /// Grows with every new edition of the bundle, so that an old one is not taken for an update; 0: not counted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sequence: u64,
    /// The program that made it ("fieldforge 0.1.0").
    pub made_by: String,
    /// Size of a chunk in bytes ([`FileEntry::place`]).
    pub chunk_size: u64,
    /// What the offline machine must have.
    pub needs: Needs,
    /// The checkpoint that generation starts with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_model: Option<ComponentId>,
    /// What the self-test draws and what must come out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_test: Option<SelfTestSpec>,
    /// It holds a folder to be restored, nothing to be installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<Frozen>,
    /// The programs that lie beside the archive.
    #[serde(default)]
    pub programs: Vec<Program>,
    /// What the bundle is made of.
    pub components: Vec<Component>,
    /// Every file, sorted by path.
    pub files: Vec<FileEntry>,
}

/// What the offline machine must have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Needs {
    /// Free disk space in bytes for the installed files.
    pub disk: u64,
    /// The largest single file in bytes: more than 4 GiB cannot be installed on FAT32.
    pub largest_file: u64,
    /// Memory in bytes that generating with the default model takes, estimated.
    pub memory: u64,
}

/// A copy of this program that lies beside the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// The machines it runs on ("x86_64-linux").
    pub target: String,
    /// Its file name.
    pub file: BundlePath,
    /// Its size in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Sha256,
}

/// What the self-test draws and what must come out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfTestSpec {
    /// The checkpoint's path in the bundle.
    pub model: BundlePath,
    /// What to draw.
    pub prompt: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Sampling steps.
    pub steps: u32,
    /// CFG scale.
    pub cfg_scale: f32,
    /// The seed.
    pub seed: u64,
    /// Sampler, in the engine's spelling.
    pub sampler: String,
    /// The picture that the bundling machine drew, a PNG in the bundle.
    pub picture: BundlePath,
    /// Digest of that picture's pixels (RGB, row by row), which a machine of the same class must match.
    pub pixels_sha256: Sha256,
    /// The class of the machine that drew it: machines of one class give equal bytes.
    pub machine_class: String,
    /// Least PSNR in dB that a machine of another class must reach.
    pub least_psnr: f64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl BundleManifest {
    /// The newest format version that this program reads. What it writes states the least one that a reader must know
    /// ([`BundleManifest::least_format`]).
    pub const FORMAT: u32 = 2;
    /// Size of a chunk: large enough to compress well, small enough to check and fetch again quickly.
    pub const CHUNK_SIZE: u64 = 4 << 20;
    /// A longer `MANIFEST.json` is refused (a bundle of 1 TiB has one of 20 MiB).
    pub const MAX_TEXT: u64 = 64 << 20;

    /// Reads and checks a `MANIFEST.json`. After this every path in it is safe to create below a folder.
    ///
    /// # Errors
    /// When the text is not JSON of this shape, was written by a newer program, or contradicts itself: files out of
    /// order, named twice (also on a file system that ignores case), a file that is also a folder, a number of chunks
    /// that does not fit the size, names of ours used by members, components that do not exist.
    pub fn parse(file: &str, text: &[u8]) -> Result<Self, ManifestError> {
        let manifest: Self = ManifestError::json(file, "a bundle manifest", text, Self::FORMAT)?;
        manifest.check().map_err(|reason| ManifestError::Meaning {
            file: file.to_owned(),
            reason,
            hint: "do not install from this bundle: get it again from the person who made it".to_owned(),
        })?;
        Ok(manifest)
    }

    /// The format version that a bundle of these files needs: 2 when a file has a [`codec`](FileEntry::codec), so that
    /// programs which do not know codecs say that they are too old; else 1.
    #[must_use]
    pub fn least_format(files: &[FileEntry]) -> u32 {
        if files.iter().any(|file| file.codec.is_some()) { 2 } else { 1 }
    }

    /// The canonical text.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).unwrap_or_default();
        text.push(b'\n');
        text
    }

    /// The bundle's identity: the digest of its canonical text.
    #[must_use]
    pub fn id(&self) -> Sha256 {
        Sha256::of(&self.to_json())
    }

    /// The file at that path.
    #[must_use]
    pub fn file(&self, path: &BundlePath) -> Option<&FileEntry> {
        self.files.binary_search_by(|entry| entry.path.cmp(path)).ok().and_then(|at| self.files.get(at))
    }

    /// Files of all components of one kind, with their component.
    pub fn files_of(&self, kind: ComponentKind) -> impl Iterator<Item = (&Component, &FileEntry)> {
        self.files.iter().filter_map(move |file| {
            let component = self.components.iter().find(|component| component.id == file.component)?;
            (component.kind == kind).then_some((component, file))
        })
    }

    /// Bytes of all files.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.size))
    }

    /// Bytes of all files that the archive holds.
    #[must_use]
    pub fn carried_bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.carried_bytes()))
    }

    fn check(&self) -> Result<(), String> {
        if self.name.parse::<ComponentId>().is_err() {
            return Err(format!("the name `{}` cannot be used for files", self.name.escape_debug()));
        }
        if self.chunk_size != Self::CHUNK_SIZE {
            return Err(format!("its chunk size is {}, not {}", self.chunk_size, Self::CHUNK_SIZE));
        }
        if self.format < Self::least_format(&self.files) {
            return Err(format!("it states format {}, but a file has a codec", self.format));
        }
        let components: BTreeSet<&ComponentId> = self.components.iter().map(|component| &component.id).collect();
        if components.len() != self.components.len() {
            return Err("a component is there twice".to_owned());
        }
        if let Some(pair) = self.files.windows(2).find(|pair| pair[0].path >= pair[1].path) {
            return Err(format!("`{}` is out of order or there twice", pair[1].path));
        }
        let mut names: BTreeMap<String, &BundlePath> = BTreeMap::new();
        let mut folders: BTreeSet<String> = BTreeSet::new();
        for file in &self.files {
            self.check_file(file, &components)?;
            let key = file.path.case_key();
            for (at, _) in key.match_indices('/') {
                folders.insert(key.chars().take(key[..at].chars().count()).collect());
            }
            // Stock tools extract byte planes beside it, under this name.
            let planes = file.codec.map(|_| layout::planes_name(&key));
            if let Some(other) = planes.and_then(|planes| names.insert(planes, &file.path)) {
                return Err(format!("`{other}` has the name that the byte planes of `{}` get", file.path));
            }
            if let Some(other) = names.insert(key, &file.path) {
                return Err(format!(
                    "`{}` and `{other}` are one file on a system that ignores case, or how an accent is written",
                    file.path
                ));
            }
        }
        if let Some(path) = folders.iter().find_map(|folder| names.get(folder)) {
            return Err(format!("`{path}` is a file and a folder"));
        }
        let tree = self.files.iter().find(|file| file.path.as_str() == layout::TREE);
        if self.frozen.is_some() && tree.is_none_or(|tree| tree.carried.is_some()) {
            return Err(format!("it holds a frozen folder, but no `{}`", layout::TREE));
        }
        if let Some(spec) = &self.self_test {
            for path in [&spec.model, &spec.picture] {
                if self.file(path).is_none() {
                    return Err(format!("the self-test needs `{path}`, which the bundle does not hold"));
                }
            }
        }
        Ok(())
    }

    fn check_file(&self, file: &FileEntry, components: &BTreeSet<&ComponentId>) -> Result<(), String> {
        let path = &file.path;
        if !components.contains(&file.component) {
            return Err(format!("`{path}` belongs to `{}`, which is not a component of it", file.component));
        }
        if layout::is_reserved(path) {
            return Err(format!("`{path}` uses a name that belongs to the bundle itself"));
        }
        file.check().map_err(|reason| format!("`{path}` {reason}"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ChunkDigest;
    use proptest::prelude::*;

    fn file(path: &str, size: u64) -> FileEntry {
        let chunks = size.div_ceil(BundleManifest::CHUNK_SIZE);
        FileEntry {
            head: 0,
            carried: None,
            codec: None,
            path: path.parse().unwrap(),
            size,
            sha256: Sha256::of(path.as_bytes()),
            component: "spark".parse().unwrap(),
            chunks: (0..chunks).map(|chunk| ChunkDigest::of(&chunk.to_le_bytes())).collect(),
        }
    }

    fn manifest(files: Vec<FileEntry>) -> BundleManifest {
        BundleManifest {
            format: 1,
            name: "kit".into(),
            sequence: 0,
            made_by: "fieldforge 0.1.0".into(),
            chunk_size: BundleManifest::CHUNK_SIZE,
            needs: Needs::default(),
            default_model: None,
            self_test: None,
            frozen: None,
            programs: vec![],
            components: vec![Component {
                id: "spark".parse().unwrap(),
                kind: ComponentKind::Checkpoint,
                family: None,
                title: "spark".into(),
                licence: "MIT".into(),
                sources: vec![],
                settings: None,
            }],
            files,
        }
    }

    fn refusal(manifest: &BundleManifest) -> String {
        BundleManifest::parse("MANIFEST.json", &manifest.to_json()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_reads_back() {
        let written = manifest(vec![file("a/b", 5 << 20), file("a/c", 0)]);
        let read = BundleManifest::parse("MANIFEST.json", &written.to_json()).unwrap();
        assert_eq!(read, written);
        assert_eq!(read.id(), written.id());
        assert_eq!(read.file(&"a/b".parse().unwrap()).unwrap().chunks.len(), 2);
        assert_eq!(read.size(), 5 << 20);
    }

    #[test]
    fn contradictions_are_named() {
        for (files, reason) in [
            (vec![file("b", 1), file("a", 1)], "out of order"),
            (vec![file("a", 1), file("a", 1)], "out of order or there twice"),
            (vec![file("A", 1), file("a", 1)], "ignores case"),
            (vec![file("e\u{301}", 1), file("\u{e9}", 1)], "how an accent is written"),
            (vec![file("a", 1), file("a/b", 1)], "a file and a folder"),
            (vec![file("MANIFEST.json", 1)], "belongs to the bundle itself"),
            (vec![file("manifest.JSON", 1)], "belongs to the bundle itself"),
        ] {
            let said = refusal(&manifest(files));
            assert!(said.contains(reason), "{said}");
        }
        let mut wrong = manifest(vec![file("a", 1)]);
        wrong.files[0].chunks.clear();
        assert!(refusal(&wrong).contains("has 1 bytes, so 1 chunks, but 0 digests"));
        for (carried, reason) in [
            (vec![(0, 0)], "holds nothing"),
            (vec![(1, 3)], "beyond its end"),
            (vec![(0, 1), (1, 2)], "out of order"),
            (vec![(1, 2), (0, 1)], "out of order"),
        ] {
            let mut part = manifest(vec![file("a", 5 << 20)]);
            part.files[0].carried = Some(carried);
            assert!(refusal(&part).contains(reason), "{}", refusal(&part));
        }
        let mut planes = manifest(vec![file("a", 5), file("a.Planes", 5)]);
        planes.files[0].codec = Some(crate::Codec::Planes2);
        assert!(refusal(&planes).contains("format 1, but a file has a codec"), "{}", refusal(&planes));
        planes.format = 2;
        assert!(refusal(&planes).contains("one file on a system that ignores case"), "{}", refusal(&planes));
        planes.files.pop();
        let text = String::from_utf8(planes.to_json()).unwrap();
        assert!(text.contains("\"codec\": \"planes-2\""), "{text}");
        assert_eq!(BundleManifest::parse("MANIFEST.json", text.as_bytes()).unwrap(), planes);
        let newer = BundleManifest::parse("x", text.replace("\"format\": 2", "\"format\": 3").as_bytes());
        assert!(matches!(newer, Err(ManifestError::NewerFormat { found: 3, .. })));
        let mut long = manifest(vec![file("a", 5)]);
        long.files[0].head = 6;
        assert!(refusal(&long).contains("a head of 6"), "{}", refusal(&long));
        wrong = manifest(vec![file("a", 1)]);
        wrong.files[0].component = "other".parse().unwrap();
        assert!(refusal(&wrong).contains("not a component of it"));
        wrong = manifest(vec![]);
        wrong.format = 3;
        assert!(refusal(&wrong).contains("format version 3"));
    }

    proptest! {
        #[test]
        fn any_manifest_that_is_accepted_reads_back(files in crate::any::file_entries()) {
            // Carried in part or in planes, some combinations mean nothing; those are refused.
            if let Ok(read) = BundleManifest::parse("MANIFEST.json", &manifest(files).to_json()) {
                let again = BundleManifest::parse("MANIFEST.json", &read.to_json()).unwrap();
                prop_assert_eq!(again.id(), read.id());
                prop_assert_eq!(again, read);
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = BundleManifest::parse("MANIFEST.json", &text);
        }

        #[test]
        fn no_change_of_one_byte_makes_it_panic(at in 0usize..900, byte in any::<u8>()) {
            let mut text = manifest(vec![file("a/b", 5 << 20), file("a/c", 0)]).to_json();
            let at = at % text.len();
            text[at] = byte;
            let _ = BundleManifest::parse("MANIFEST.json", &text);
        }
    }
}
