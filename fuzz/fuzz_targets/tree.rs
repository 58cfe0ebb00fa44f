//! Any bytes as the description of a frozen folder, with a manifest that has every file that it names: what is accepted reads
//! back as it was, every entry has its folder before it, and nothing leads out of the folder.

#![no_main]

use libfuzzer_sys::fuzz_target;
use manifest::{BundleManifest, FileEntry, Frozen, FrozenKind, Needs, Tree, TreeKind};
use std::collections::HashSet;

fuzz_target!(|text: &[u8]| {
    let Ok(tree) = serde_json::from_slice::<Tree>(text) else { return };
    let mut manifest = BundleManifest {
        format: BundleManifest::FORMAT,
        name: "frozen".to_owned(),
        sequence: 1,
        made_by: "fuzz".to_owned(),
        chunk_size: BundleManifest::CHUNK_SIZE,
        needs: Needs::default(),
        default_model: None,
        self_test: None,
        frozen: Some(Frozen { what: FrozenKind::Folder, builds_on: Vec::new() }),
        programs: Vec::new(),
        components: Vec::new(),
        files: Vec::new(),
    };
    for entry in &tree.entries {
        if let TreeKind::File { size, sha256, stored } = &entry.kind {
            manifest.files.push(FileEntry {
                path: stored.clone(),
                size: *size,
                sha256: *sha256,
                component: "folder".parse().expect("a name"),
                head: 0,
                chunks: Vec::new(),
                carried: None,
                codec: None,
            });
        }
    }
    let Ok(read) = Tree::parse("TREE.json", text, &manifest) else { return };
    assert_eq!(Tree::parse("TREE.json", &read.to_json(), &manifest).expect("what it writes, it reads"), read);
    let mut before = HashSet::new();
    for entry in &read.entries {
        let path = entry.path.to_string();
        assert!(!path.starts_with('/') && !path.split('/').any(|part| part == ".."), "{path}");
        assert!(before.insert(path), "twice");
    }
});
