//! Which frame of an archive holds what. Writer and reader walk the same plan.

use crate::{BundleManifest, ChunkDigest, Codec, FileEntry, layout};

/// What one frame of an archive holds, once decoded.
///
/// The archive is a tar file cut into pieces, one per frame: a chunk of a member never shares a frame with anything
/// else, and a member's tar header travels with the padding of the member before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// The tar header of `MANIFEST.json`.
    ManifestHeader,
    /// A chunk of the text of `MANIFEST.json`.
    ManifestText {
        /// Which, from 0.
        index: usize,
    },
    /// Padding, and the tar header of the signature, where there is one.
    SignatureHeader,
    /// The signature.
    Signature,
    /// Padding, and the tar header of a file, or of a part of one.
    Header {
        /// Which member of the archive, counted from the first one behind manifest and signature.
        member: usize,
        /// Which of [`BundleManifest::files`].
        file: usize,
    },
    /// A chunk of a file.
    Chunk {
        /// Which of [`BundleManifest::files`].
        file: usize,
        /// Which chunk of it, from 0.
        index: usize,
    },
    /// Padding, and the end of the tar file.
    End,
}

/// The frames of the archive that belongs to a manifest, in order.
///
/// Everything but the content of files follows from the manifest, down to the last byte of every tar header: a reader
/// compares and never has to believe a name or a size that an archive claims.
#[derive(Clone, Debug)]
pub struct ArchivePlan<'a> {
    manifest: &'a BundleManifest,
    text: Vec<u8>,
    signature: Option<&'a str>,
    members: Vec<Member>,
    segments: Vec<Segment>,
}

/// One member of the tar file behind manifest and signature.
#[derive(Clone, Debug)]
struct Member {
    name: String,
    size: u64,
    /// What stands before the content of a file: nothing, or the header of its byte planes.
    head: Vec<u8>,
}

/// Length of a tar block in bytes.
const BLOCK: u64 = 512;

impl<'a> ArchivePlan<'a> {
    /// The plan of a bundle's archive; `signature` is the text of the manifest's signature file, if it has one.
    #[must_use]
    pub fn new(manifest: &'a BundleManifest, signature: Option<&'a str>) -> Self {
        let text = manifest.to_json();
        let mut segments = vec![Segment::ManifestHeader];
        let chunks = text.len().div_ceil(BundleManifest::CHUNK_SIZE as usize);
        segments.extend((0..chunks).map(|index| Segment::ManifestText { index }));
        if signature.is_some() {
            segments.extend([Segment::SignatureHeader, Segment::Signature]);
        }
        let mut members = Vec::new();
        for (file, entry) in manifest.files.iter().enumerate() {
            for (first, end) in member_runs(entry) {
                segments.push(Segment::Header { member: members.len(), file });
                segments.extend((first..end).map(|index| Segment::Chunk { file, index: index as usize }));
                members.push(Member::new(entry, first, end));
            }
        }
        segments.push(Segment::End);
        Self { manifest, text, signature, members, segments }
    }

    /// The manifest.
    #[must_use]
    pub const fn manifest(&self) -> &'a BundleManifest {
        self.manifest
    }

    /// All segments; the position is the frame's number.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The segment in frame `number`.
    #[must_use]
    pub fn segment(&self, number: u64) -> Option<Segment> {
        self.segments.get(usize::try_from(number).ok()?).copied()
    }

    /// The file that a segment belongs to, if it is one of the manifest's.
    #[must_use]
    pub fn file(&self, segment: Segment) -> Option<&'a FileEntry> {
        match segment {
            Segment::Header { file, .. } | Segment::Chunk { file, .. } => self.manifest.files.get(file),
            _ => None,
        }
    }

    /// The bytes of a segment that follows from the manifest; nothing for a chunk of a file.
    #[must_use]
    pub fn literal(&self, segment: Segment) -> Option<Vec<u8>> {
        match segment {
            Segment::ManifestHeader => Some(manifest_header(self.text.len() as u64)),
            Segment::ManifestText { index } => {
                self.text.chunks(BundleManifest::CHUNK_SIZE as usize).nth(index).map(<[u8]>::to_vec)
            }
            Segment::SignatureHeader => Some(signature_header(self.text.len() as u64, self.signature?.len() as u64)),
            Segment::Signature => Some(self.signature?.as_bytes().to_vec()),
            Segment::Header { member, .. } => {
                let Member { name, size, head } = self.members.get(member)?;
                let mut bytes = padding(self.size_before(member));
                bytes.extend(tar_header(name, *size));
                bytes.extend(head);
                Some(bytes)
            }
            Segment::Chunk { .. } => None,
            Segment::End => {
                let mut bytes = padding(self.size_before(self.members.len()));
                bytes.extend([0; 2 * BLOCK as usize]);
                Some(bytes)
            }
        }
    }

    /// Where a chunk of a file begins, how long it is and what its digest is.
    #[must_use]
    pub fn chunk(&self, segment: Segment) -> Option<(u64, u64, ChunkDigest)> {
        let Segment::Chunk { file, index } = segment else { return None };
        let entry = self.manifest.files.get(file)?;
        let (offset, length) = entry.place(index)?;
        Some((offset, length, *entry.chunks.get(index)?))
    }

    /// How the bytes of a chunk stand in its frame; nothing: as they are.
    #[must_use]
    pub fn codec(&self, segment: Segment) -> Option<Codec> {
        let Segment::Chunk { file, index } = segment else { return None };
        self.manifest.files.get(file)?.codec_of(index)
    }

    /// How a segment is called in messages.
    #[must_use]
    pub fn describe(&self, segment: Segment) -> String {
        match (segment, self.file(segment)) {
            (Segment::ManifestHeader | Segment::ManifestText { .. }, _) => format!("`{}`", layout::MANIFEST),
            (Segment::SignatureHeader | Segment::Signature, _) => format!("`{}`", layout::MANIFEST_SIGNATURE),
            (Segment::Header { .. }, Some(entry)) => format!("the tar header of `{}`", entry.path),
            (Segment::Chunk { .. }, Some(entry)) => format!("`{}`", entry.path),
            _ => "the end of the archive".to_owned(),
        }
    }

    /// Size of the member before member number `member`.
    fn size_before(&self, member: usize) -> u64 {
        match member.checked_sub(1) {
            Some(before) => self.members.get(before).map_or(0, |member| member.size),
            None => self.signature.map_or(self.text.len(), str::len) as u64,
        }
    }
}

impl Member {
    /// What the archive holds of a file from chunk `first` to before chunk `end`.
    fn new(entry: &FileEntry, first: u64, end: u64) -> Self {
        let name = match &entry.carried {
            None => entry.path.to_string(),
            Some(_) => layout::part_name(&entry.path, first),
        };
        let (mut size, mut lead) = (0, 0);
        for index in first..end {
            let length = entry.place(index as usize).map_or(0, |(_, length)| length);
            size += length;
            lead += if entry.codec_of(index as usize).is_none() { length } else { 0 };
        }
        match entry.codec {
            None => Self { name, size, head: Vec::new() },
            Some(codec) => Self {
                name: layout::planes_name(&name),
                size: size + Codec::HEADER,
                head: codec.header(size, lead).to_vec(),
            },
        }
    }
}

/// The parts of a file that become members: the whole file, even if it is empty, or what the archive holds of it.
fn member_runs(entry: &FileEntry) -> Vec<(u64, u64)> {
    if entry.carried.is_none() { vec![(0, entry.chunks.len() as u64)] } else { entry.runs() }
}

/// The tar header of a `MANIFEST.json` of that size: what every archive of ours begins with.
#[must_use]
pub fn manifest_header(size: u64) -> Vec<u8> {
    tar_header(layout::MANIFEST, size)
}

/// Reads the size out of the tar header of `MANIFEST.json`; nothing when it is anything else.
#[must_use]
pub fn parse_manifest_header(bytes: &[u8]) -> Option<u64> {
    let block = tar::Header::from_byte_slice(bytes.get(..BLOCK as usize)?);
    let size = block.entry_size().ok()?;
    (manifest_header(size) == bytes).then_some(size)
}

/// What follows the manifest in a signed archive: padding, and the tar header of the signature.
fn signature_header(manifest: u64, size: u64) -> Vec<u8> {
    let mut bytes = padding(manifest);
    bytes.extend(tar_header(layout::MANIFEST_SIGNATURE, size));
    bytes
}

/// Reads the size of the signature out of the frame that follows a manifest of that size; nothing when it is anything
/// else.
#[must_use]
pub fn parse_signature_header(bytes: &[u8], manifest: u64) -> Option<u64> {
    let block = bytes.get(padding(manifest).len()..)?.get(..BLOCK as usize)?;
    let size = tar::Header::from_byte_slice(block).entry_size().ok()?;
    (signature_header(manifest, size) == bytes).then_some(size)
}

fn padding(size: u64) -> Vec<u8> {
    vec![0; (size.next_multiple_of(BLOCK) - size) as usize]
}

/// The header of a plain file: mode 0644, no owner, no time, so that equal content gives equal bytes.
///
/// Names that a plain ustar header cannot carry (longer than 100 bytes, or not ASCII) are stated in a pax header
/// before it, which GNU tar, bsdtar and 7-Zip read as UTF-8 on every system.
fn tar_header(path: &str, size: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(3 * BLOCK as usize);
    if path.len() > 100 || !path.is_ascii() {
        let record = pax_record("path", path);
        bytes.extend(header_block("PaxHeaders/path", record.len() as u64, tar::EntryType::XHeader));
        bytes.extend(&record);
        bytes.extend(padding(record.len() as u64));
    }
    bytes.extend(header_block(path, size, tar::EntryType::Regular));
    bytes
}

fn header_block(path: &str, size: u64, kind: tar::EntryType) -> [u8; BLOCK as usize] {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    for (field, byte) in header.as_old_mut().name.iter_mut().zip(path.bytes()) {
        *field = byte;
    }
    header.set_cksum();
    *header.as_bytes()
}

/// "LENGTH KEY=VALUE\n", where LENGTH counts itself (POSIX.1-2001, pax interchange format).
fn pax_record(key: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {key}={value}\n");
    let digits = (1..20).find(|digits| (rest.len() + digits).to_string().len() == *digits).unwrap_or(1);
    format!("{}{rest}", rest.len() + digits).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sha256;
    use proptest::prelude::*;
    use std::io::Read as _;

    fn manifest(files: &[(&str, u64)]) -> BundleManifest {
        let mut files: Vec<FileEntry> = files
            .iter()
            .map(|(path, size)| FileEntry {
                head: 0,
                carried: None,
                codec: None,
                path: path.parse().unwrap(),
                size: *size,
                sha256: Sha256::of(path.as_bytes()),
                component: "kit".parse().unwrap(),
                chunks: vec![ChunkDigest::of(b""); size.div_ceil(BundleManifest::CHUNK_SIZE) as usize],
            })
            .collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        BundleManifest {
            format: 1,
            name: "kit".into(),
            sequence: 0,
            made_by: "fieldforge".into(),
            chunk_size: BundleManifest::CHUNK_SIZE,
            needs: crate::Needs::default(),
            default_model: None,
            self_test: None,
            frozen: None,
            programs: vec![],
            components: vec![],
            files,
        }
    }

    #[test]
    fn an_independent_reader_finds_every_member() {
        let long = format!("parts/{}/x.bin", "long-name-".repeat(14));
        let files = [("a/empty", 0), ("a/one", 1), ("models/Grüße 猫.bin", 513), (long.as_str(), (4 << 20) + 5)];
        let manifest = manifest(&files);
        let plan = ArchivePlan::new(&manifest, Some("a signature"));
        let mut stream = Vec::new();
        for segment in plan.segments() {
            match plan.literal(*segment) {
                Some(literal) => stream.extend(literal),
                None => stream.extend(vec![7; plan.chunk(*segment).unwrap().1 as usize]),
            }
        }
        let mut archive = tar::Archive::new(stream.as_slice());
        let mut seen = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            let name = entry.path().unwrap().to_str().unwrap().to_owned();
            if name == layout::MANIFEST {
                assert_eq!(content, manifest.to_json());
            } else if name == layout::MANIFEST_SIGNATURE {
                assert_eq!(content, b"a signature");
            } else {
                assert!(content.iter().all(|byte| *byte == 7));
                seen.push((name, content.len() as u64));
            }
            assert_eq!(entry.header().mode().unwrap(), 0o644);
        }
        let expected: Vec<_> = manifest.files.iter().map(|file| (file.path.to_string(), file.size)).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn parts_of_files_are_members_of_their_own() {
        let mut manifest = manifest(&[("a", 13 << 20), ("b", 5), ("c", 7)]);
        manifest.files[0].carried = Some(vec![(0, 1), (3, 4)]);
        manifest.files[1].carried = Some(vec![]);
        let plan = ArchivePlan::new(&manifest, None);
        let mut stream = Vec::new();
        for segment in plan.segments() {
            stream.extend(plan.literal(*segment).unwrap_or_else(|| vec![7; plan.chunk(*segment).unwrap().1 as usize]));
        }
        let mut archive = tar::Archive::new(stream.as_slice());
        let names = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            (entry.path().unwrap().to_str().unwrap().to_owned(), entry.size())
        });
        let expected = [("updates/a.part-0", 4 << 20), ("updates/a.part-3", 1 << 20), ("c", 7)];
        let expected: Vec<_> = expected.map(|(name, size)| (name.to_owned(), size)).to_vec();
        assert_eq!(names.skip(1).collect::<Vec<_>>(), expected);
        assert_eq!(manifest.files[0].carried_bytes(), 5 << 20);
    }

    #[test]
    fn byte_planes_are_members_with_a_name_and_a_header_of_their_own() {
        let mut manifest = manifest(&[("a", 13 << 20), ("b", 5 << 20), ("c", 7)]);
        manifest.files[0].codec = Some(Codec::Planes2);
        manifest.files[0].head = 9;
        manifest.files[0].carried = Some(vec![(0, 2), (3, 4)]);
        manifest.files[1].codec = Some(Codec::Planes4);
        let plan = ArchivePlan::new(&manifest, None);
        let mut stream = Vec::new();
        for segment in plan.segments() {
            stream.extend(plan.literal(*segment).unwrap_or_else(|| vec![7; plan.chunk(*segment).unwrap().1 as usize]));
        }
        let mut archive = tar::Archive::new(stream.as_slice());
        let members = archive.entries().unwrap().skip(1).map(|entry| {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            let (head, rest) = content.split_at(content.len().min(32));
            assert!(rest.iter().all(|byte| *byte == 7));
            (entry.path().unwrap().to_str().unwrap().to_owned(), content.len() as u64, head.to_vec())
        });
        let expected = [
            ("updates/a.part-0.planes", 41 + (4 << 20), Codec::Planes2.header(9 + (4 << 20), 9).to_vec()),
            ("updates/a.part-3.planes", 32 + (4 << 20), Codec::Planes2.header(4 << 20, 0).to_vec()),
            ("b.planes", 32 + (5 << 20), Codec::Planes4.header(5 << 20, 0).to_vec()),
            ("c", 7, vec![7; 7]),
        ];
        assert_eq!(members.collect::<Vec<_>>(), expected.map(|(name, size, head)| (name.to_owned(), size, head)));
        assert_eq!(plan.codec(Segment::Chunk { file: 0, index: 0 }), None);
        assert_eq!(plan.codec(Segment::Chunk { file: 0, index: 1 }), Some(Codec::Planes2));
    }

    #[test]
    fn the_first_header_tells_the_size_and_nothing_else_passes() {
        assert_eq!(parse_manifest_header(&manifest_header(12_345)), Some(12_345));
        assert_eq!(parse_manifest_header(&tar_header("other", 5)), None);
        assert_eq!(parse_manifest_header(&[0; 512]), None);
        assert_eq!(parse_manifest_header(b"short"), None);
        let mut changed = manifest_header(5);
        changed[156] = b'2';
        assert_eq!(parse_manifest_header(&changed), None);
    }

    #[test]
    fn files_beyond_eight_gib_keep_their_size() {
        let header = tar_header("big", 9 << 30);
        assert_eq!(tar::Header::from_byte_slice(&header).entry_size().unwrap(), 9 << 30);
    }

    #[test]
    fn pax_records_count_themselves() {
        for length in [1, 80, 89, 90, 91, 92, 93, 178, 986, 990] {
            let record = pax_record("path", &"x".repeat(length));
            let stated: usize = std::str::from_utf8(&record).unwrap().split(' ').next().unwrap().parse().unwrap();
            assert_eq!(stated, record.len());
        }
    }

    proptest! {
        #[test]
        fn only_our_own_headers_are_taken_for_ours(
            size in 0u64..1 << 33,
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            bytes in prop::collection::vec(any::<u8>(), 0..1100),
            before in 0u64..2000,
        ) {
            let header = manifest_header(size);
            prop_assert_eq!(parse_manifest_header(&header), Some(size));
            let mut hurt = header.clone();
            hurt[at.index(header.len())] = byte;
            if let Some(size) = parse_manifest_header(&hurt) {
                prop_assert_eq!(manifest_header(size), hurt);
            }
            prop_assert_eq!(parse_manifest_header(&bytes), None);
            prop_assert_eq!(parse_signature_header(&bytes, before), None);
        }
    }
}
