//! For property tests: any value that the types allow.

use crate::{BundleManifest, ChunkDigest, Codec, FileEntry, Sha256, TreePath};
use proptest::option;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Any digest.
pub(crate) fn sha256() -> impl Strategy<Value = Sha256> {
    any::<[u8; 32]>().prop_map(Sha256::from_bytes)
}

/// A path of any bytes, also of those that no file can be called.
pub(crate) fn tree_path() -> impl Strategy<Value = TreePath> {
    let odd = prop::collection::vec(any::<u8>(), 0..12);
    prop_oneof![odd, "[a-c/.%]{0,8}".prop_map(String::into_bytes)].prop_map(TreePath::from_bytes)
}

/// A file of up to 40 MB whose fields agree with each other.
pub(crate) fn file_entry() -> impl Strategy<Value = FileEntry> {
    let sizes = (0u64..40_000_000).prop_flat_map(|size| (Just(size), 0..=size));
    let rest = (sha256(), any::<u8>(), option::of(prop::collection::vec(any::<bool>(), 12)), 0usize..3);
    ("[a-z0-9]{1,6}(/[a-z0-9]{1,6}){0,2}", sizes, rest).prop_map(
        |(path, (size, head), (sha256, seed, carried, codec))| {
            let chunks: Vec<ChunkDigest> =
                (0..FileEntry::chunks_of(size, head)).map(|at| ChunkDigest::of(&[seed, at as u8])).collect();
            let mut runs: Vec<(u64, u64)> = Vec::new();
            for at in (0u64..).zip(&chunks).map(|(at, _)| at) {
                match runs.last_mut() {
                    _ if carried.as_ref().is_none_or(|carried| !carried[at as usize % 12]) => {}
                    Some((_, end)) if *end == at => *end += 1,
                    _ => runs.push((at, at + 1)),
                }
            }
            FileEntry {
                path: path.parse().unwrap(),
                size,
                sha256,
                component: "kit".parse().unwrap(),
                head,
                chunks,
                carried: carried.map(|_| runs),
                codec: [None, Some(Codec::Planes2), Some(Codec::Planes4)][codec],
            }
        },
    )
}

/// The files of a bundle: sorted, each path once.
pub(crate) fn file_entries() -> impl Strategy<Value = Vec<FileEntry>> {
    prop::collection::vec(file_entry(), 0..5).prop_map(|files| {
        let by_path: BTreeMap<String, FileEntry> =
            files.into_iter().map(|file| (file.path.to_string(), file)).collect();
        by_path.into_values().collect()
    })
}

/// A manifest around these files.
pub(crate) fn manifest_of(files: Vec<FileEntry>) -> BundleManifest {
    BundleManifest {
        format: BundleManifest::FORMAT,
        name: "kit".to_owned(),
        sequence: 1,
        made_by: "fieldforge".to_owned(),
        chunk_size: BundleManifest::CHUNK_SIZE,
        needs: crate::Needs::default(),
        default_model: None,
        self_test: None,
        frozen: None,
        programs: Vec::new(),
        components: Vec::new(),
        files,
    }
}

/// JSON text that looks like a file of ours: a few of its bytes changed, cut out or doubled.
pub(crate) fn hurt(text: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0u8..3);
    prop::collection::vec(change, 1..4).prop_map(move |changes| {
        let mut text = text.clone();
        for (at, byte, how) in changes {
            let at = at.index(text.len());
            match how {
                0 => text[at] = byte,
                1 => drop(text.remove(at)),
                _ => text.insert(at, byte),
            }
        }
        text
    })
}
