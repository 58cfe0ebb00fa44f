//! Turns the page's committed build output into a list of embedded files.
//!
//! Every file below `frontend/dist` becomes one `(path, bytes, etag)` entry of `page_files.rs`.
//! A missing folder gives an empty list: the crate builds without Node and without the page.

use std::collections::hash_map::DefaultHasher;
use std::fmt::Write as _;
use std::hash::Hasher;
use std::path::{Path, PathBuf};

const DIST: &str = "../../frontend/dist";
/// Says which source the page was built from; it is not a part of the page.
const SOURCE_DIGEST: &str = "SOURCE.sha256";

fn main() -> std::io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    // A folder that does not exist counts as changed, so one that appears later is noticed.
    println!("cargo:rerun-if-changed={DIST}");
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join(DIST);
    let mut files = Vec::new();
    if root.is_dir() {
        collect(&root, &root, &mut files)?;
    }
    files.retain(|file| file != SOURCE_DIGEST);
    files.sort();
    let mut code = String::from("&[\n");
    for relative in &files {
        let path = root.join(relative);
        let bytes = fs_err::read(&path)?;
        let mut hasher = DefaultHasher::new();
        hasher.write(&bytes);
        let etag = format!("\"{:x}-{:016x}\"", bytes.len(), hasher.finish());
        let path = path.display().to_string();
        let _ = writeln!(code, "    ({relative:?}, include_bytes!({path:?}), {etag:?}),");
    }
    code.push_str("]\n");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    fs_err::write(out.join("page_files.rs"), code)
}

/// Lists regular files below `folder`, as paths relative to `root` with `/` between the parts.
fn collect(root: &Path, folder: &Path, files: &mut Vec<String>) -> std::io::Result<()> {
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            collect(root, &entry.path(), files)?;
        } else if kind.is_file()
            && let Ok(relative) = entry.path().strip_prefix(root)
        {
            let parts: Vec<String> =
                relative.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
            files.push(parts.join("/"));
        }
    }
    Ok(())
}
