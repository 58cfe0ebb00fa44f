//! What lies in a folder under final names.

use manifest::{Sha256, layout};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Path and digest of everything that has its final name. What is inside an unfinished generation stands under the
/// path that it will have: it must be whole there already.
pub(crate) type Tree = BTreeMap<String, Sha256>;

/// Reads a folder. Left out: what is called unfinished, locks, and what a cache still fetches.
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
            if !(name == "partial" && prefix.starts_with("cache/")) {
                walk(&path, &format!("{prefix}{name}/"), found);
            }
        } else if !name.ends_with(layout::PARTIAL_SUFFIX) && name != layout::HOME_LOCK {
            let content = fs_err::read(&path).unwrap_or_default();
            found.insert(format!("{prefix}{name}"), digest(&name, &content));
        }
    }
}

/// A receipt tells when, from where and after what; that is not the same each time.
fn digest(name: &str, content: &[u8]) -> Sha256 {
    if name == layout::RECEIPT
        && let Ok(Value::Object(mut receipt)) = serde_json::from_slice(content)
    {
        for name in ["from", "installed_at", "previous", "reused", "seconds", "warnings", "written"] {
            receipt.remove(name);
        }
        return Sha256::of(Value::Object(receipt).to_string().as_bytes());
    }
    Sha256::of(content)
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
