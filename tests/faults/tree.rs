//! What lies in a folder under final names.

use manifest::{Sha256, layout};
use serde_json::Value;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Path and digest of everything that has its final name. What is inside an unfinished generation stands under the
/// path that it will have: it must be whole there already.
pub(crate) type Tree = BTreeMap<String, Sha256>;

/// The folder that a restoration makes.
pub(crate) const RESTORED: &str = "back";

/// Reads a folder. Left out: what is called unfinished, locks, what a cache still fetches or remembers, and what an import has noted.
pub(crate) fn tree(folder: &Path) -> Tree {
    let mut found = Tree::new();
    walk(folder, "", &mut found);
    found
}

fn walk(folder: &Path, prefix: &str, found: &mut Tree) {
    let Ok(entries) = fs_err::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() && !path.is_symlink() {
            let name = name.strip_suffix(layout::PARTIAL_SUFFIX).unwrap_or(&name);
            let fetched = ["partial", "readings"].contains(&name) && prefix.starts_with("cache/");
            // A restoration puts things together there in its own way, until all is done.
            let restoring =
                prefix.is_empty() && name == RESTORED && path.ends_with(format!("{name}{}", layout::PARTIAL_SUFFIX));
            if !fetched && !restoring {
                walk(&path, &format!("{prefix}{name}/"), found);
            }
        } else if !name.ends_with(layout::PARTIAL_SUFFIX)
            && ![layout::HOME_LOCK, layout::IMPORT_JOURNAL].contains(&&*name)
        {
            let content = fs_err::read(&path).unwrap_or_default();
            let mut digest = digest(&name, &content);
            if prefix.starts_with(RESTORED) {
                // It comes back with its mode and its time.
                let data = entry.metadata().unwrap();
                digest = Sha256::of(format!("{digest} {:o} {:?}", data.mode(), data.modified().unwrap()).as_bytes());
            }
            found.insert(format!("{prefix}{name}"), digest);
        }
    }
}

/// The digest of what must be the same each time. A receipt tells when, from where and after what; the manifest of an
/// import where files came from; an inventory what the disk said about them.
fn digest(name: &str, content: &[u8]) -> Sha256 {
    let Ok(Value::Object(mut value)) = serde_json::from_slice(content) else { return Sha256::of(content) };
    match name {
        layout::RECEIPT => {
            // The manifest's own digest.
            let imported = value.get("imported").and_then(Value::as_array).is_some_and(|ids| !ids.is_empty());
            for name in ["from", "installed_at", "previous", "reused", "seconds", "warnings", "written"] {
                value.remove(name);
            }
            if imported {
                value.remove("bundle_id");
            }
        }
        layout::MANIFEST => {
            let components = value.get_mut("components").and_then(Value::as_array_mut).into_iter().flatten();
            let sources = components.filter_map(|component| component["sources"].as_array_mut()).flatten();
            for path in sources.filter_map(|source| source.get_mut("path")) {
                *path = path.as_str().and_then(|path| path.rsplit('/').next()).unwrap_or_default().into();
            }
        }
        layout::FROZEN_INVENTORY => {
            value.remove("seen");
            value.remove("sum");
        }
        _ => return Sha256::of(content),
    }
    Sha256::of(Value::Object(value).to_string().as_bytes())
}

/// The part of it that lies below a folder.
pub(crate) fn below(tree: &Tree, folder: &str) -> Tree {
    tree.iter().filter(|(path, _)| path.starts_with(folder)).map(|(path, sha256)| (path.clone(), *sha256)).collect()
}

/// What is different, for people.
pub(crate) fn difference(expected: &Tree, found: &Tree) -> String {
    let gone = expected.keys().filter(|path| !found.contains_key(*path)).map(|path| format!("{path} is gone"));
    let other = found.iter().filter_map(|(path, sha256)| match expected.get(path) {
        None => Some(format!("{path} is new")),
        Some(expected) if expected != sha256 => Some(format!("{path} differs")),
        Some(_) => None,
    });
    gone.chain(other).collect::<Vec<_>>().join(", ")
}
