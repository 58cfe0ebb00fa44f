//! The invariants of ARCHITECTURE.md.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every crate that `package` needs at run time, itself included.
fn needs(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p}",
            "-p",
            package,
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// All Rust sources of the product (not of its tests), with their text.
fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !matches!(name.as_str(), "target" | "tests" | "examples" | "node_modules" | "fuzz") {
                    walk(&path, found);
                }
            } else if name.ends_with(".rs") {
                let text = fs_err::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root()).unwrap().to_path_buf(), text));
            }
        }
    }
    let mut found = Vec::new();
    for folder in ["src", "manifest", "bundler", "crates"] {
        walk(&root().join(folder), &mut found);
    }
    assert!(found.len() > 50, "found only {} sources", found.len());
    found
}

/// The code lines of a source: no comments, nothing from its unit tests on.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let end = text.find("#[cfg(test)]").unwrap_or(text.len());
    text[..end]
        .lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn is_library(path: &Path) -> bool {
    !path.starts_with("src")
        && !path.starts_with("crates/testkit")
        && path.file_name().is_some_and(|name| name != "build.rs")
}

#[test]
fn only_the_bundler_has_an_http_client() {
    const CLIENTS: [&str; 7] = ["ureq", "reqwest", "hyper", "rustls", "native-tls", "curl", "isahc"];
    assert!(needs("fieldforge-bundler").contains("ureq"), "the test looks for the right thing");
    for package in ["manifest", "install", "seal", "engine", "server"] {
        let needs = needs(&format!("fieldforge-{package}"));
        for client in CLIENTS {
            assert!(!needs.contains(client), "`{package}` works offline and must not need `{client}`");
        }
    }
}

#[test]
fn dependencies_point_one_way() {
    for (package, forbidden) in [
        ("manifest", &["bundler", "install", "seal", "engine", "server"] as &[_]),
        ("bundler", &["install", "seal", "engine", "server"]),
        ("install", &["bundler", "seal", "engine", "server"]),
        ("seal", &["manifest", "bundler", "install", "engine", "server"]),
        ("engine", &["manifest", "bundler", "install", "seal", "server"]),
        ("server", &["manifest", "bundler", "install", "seal", "engine"]),
    ] {
        let needs = needs(&format!("fieldforge-{package}"));
        for other in forbidden {
            assert!(!needs.contains(&format!("fieldforge-{other}")), "`{package}` must not know `{other}`");
        }
        assert!(!needs.contains("clap"), "`{package}` must not know clap: options are the program's business");
        assert!(!needs.contains("indicatif"), "`{package}` must not draw bars: it takes a Reporter");
    }
    assert!(!needs("fieldforge-server").contains("candle-core"), "the server knows `trait Generate`, not candle");
}

#[test]
fn the_seal_needs_next_to_nothing() {
    let needs = needs("fieldforge-seal");
    assert!(needs.len() <= 25, "the seal is audited by hand; it needs {} crates: {needs:?}", needs.len());
}

#[test]
fn libraries_do_not_print() {
    for (path, text) in sources().iter().filter(|(path, _)| is_library(path)) {
        for (at, line) in code(text) {
            for macro_name in ["println!", "eprintln!", "print!(", "eprint!(", "dbg!", "std::process::exit"] {
                assert!(!line.contains(macro_name), "{}:{at} uses {macro_name}", path.display());
            }
        }
    }
}

#[test]
fn names_of_bundle_files_are_spelt_only_in_the_layout() {
    const NAMES: [&str; 9] = [
        "\"MANIFEST.json\"",
        "\"SHA256SUMS\"",
        "\"START-HERE.txt\"",
        "\"CURRENT\"",
        "\"generations\"",
        "\"receipt.json\"",
        "\"self-test.json\"",
        "\"forge.lock\"",
        "\".tar.zst\"",
    ];
    for (path, text) in sources() {
        if path.ends_with("manifest/src/layout.rs") {
            assert!(NAMES.iter().all(|name| text.contains(name)), "the layout spells them all");
            continue;
        }
        for (at, line) in code(&text) {
            // OpenAI's address for pictures is called like the folder.
            let foreign = path.ends_with("crates/server/src/openai/mod.rs");
            for name in NAMES.into_iter().filter(|name| !(foreign && *name == "\"generations\"")) {
                assert!(!line.contains(name), "{}:{at} spells {name}: use manifest::layout", path.display());
            }
        }
    }
}

#[test]
fn unsafe_code_stays_in_its_rooms() {
    for (path, text) in sources() {
        let may = path.starts_with("crates/seal") || path.starts_with("crates/engine/src/kernels") || may_map(&path);
        for (at, line) in code(&text) {
            let unsafe_code = line.contains("unsafe {") || line.contains("unsafe fn") || line.contains("unsafe impl");
            assert!(may || !unsafe_code, "{}:{at} has unsafe code", path.display());
        }
        if may && text.contains("unsafe {") {
            assert!(text.contains("SAFETY"), "{} has unsafe code without a SAFETY reason", path.display());
        }
    }
}

/// One file of the engine maps weights into memory; one file per crate asks the operating system for what std does not offer.
fn may_map(path: &Path) -> bool {
    ["crates/engine/src/checkpoint", "crates/install/src/system", "bundler/src/system", "src/system"]
        .iter()
        .any(|place| path.starts_with(place) || path.with_extension("") == Path::new(place))
}

#[test]
fn lints_are_expected_with_a_reason_never_allowed() {
    for (path, text) in sources() {
        for (at, line) in text.lines().enumerate() {
            let allow = format!("#[{}(", "allow");
            assert!(
                !line.trim_start().starts_with(&allow),
                "{}:{} allows a lint: use #[expect(…, reason = …)]",
                path.display(),
                at + 1
            );
        }
    }
}

#[test]
fn std_fs_is_used_through_fs_err() {
    for (path, text) in sources() {
        let low_level = path.starts_with("crates/seal") || path.ends_with("build.rs");
        for (at, line) in code(&text) {
            for call in [
                "std::fs::read",
                "std::fs::write",
                "std::fs::rename",
                "std::fs::remove",
                "std::fs::File",
                "std::fs::create_dir",
            ] {
                assert!(
                    low_level || !line.contains(call),
                    "{}:{at} uses {call}: fs_err names the file in its errors",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn every_crate_says_what_it_is_for() {
    for library in
        ["manifest", "bundler", "crates/install", "crates/seal", "crates/engine", "crates/server", "crates/testkit"]
    {
        let text = fs_err::read_to_string(root().join(library).join("src/lib.rs")).unwrap();
        let lines = text.lines().take_while(|line| line.starts_with("//!")).count();
        assert!(lines >= 8, "`{library}` opens with {lines} lines of what it is for");
    }
}

/// The digest over the page's source; the rule stands at the head of `scripts/page`.
fn page_source_digest() -> String {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                walk(&path, found);
            } else if !name.ends_with('~') && !name.ends_with(".swp") {
                found.push(path);
            }
        }
    }
    let page = root().join("frontend");
    let own = [
        ".npmrc",
        "index.html",
        "package-lock.json",
        "package.json",
        "svelte.config.js",
        "tsconfig.json",
        "vite.config.ts",
    ];
    let mut files: Vec<PathBuf> = own.iter().map(|name| page.join(name)).collect();
    walk(&page.join("src"), &mut files);
    walk(&page.join("public"), &mut files);
    let mut named: Vec<(String, PathBuf)> = files
        .into_iter()
        .map(|path| (path.strip_prefix(&page).unwrap().to_str().unwrap().replace('\\', "/"), path))
        .collect();
    named.sort();
    let mut text = Vec::new();
    for (name, path) in named {
        let bytes = fs_err::read(path).unwrap();
        text.extend(format!("{name}\0{}\0", bytes.len()).into_bytes());
        text.extend(bytes);
    }
    manifest::Sha256::of(&text).to_string()
}

#[test]
fn the_page_was_built_from_its_source() {
    let recorded = fs_err::read_to_string(root().join("frontend/dist/SOURCE.sha256")).unwrap();
    assert_eq!(
        recorded.trim(),
        page_source_digest(),
        "frontend/dist is not what frontend/src builds: run scripts/page build"
    );
}

#[test]
fn the_program_knows_what_it_is_made_of() {
    let data =
        zstd::stream::decode_all(fs_err::File::open(root().join("src/papers/licences.json.zst")).unwrap()).unwrap();
    let data: serde_json::Value = serde_json::from_slice(&data).unwrap();
    let word = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let known: BTreeSet<(String, String)> =
        data["crates"].as_array().unwrap().iter().map(|one| (word(&one["name"]), word(&one["version"]))).collect();
    let advice = "src/papers/licences.json.zst is not what Cargo.lock says: run scripts/licences";

    let lock = fs_err::read_to_string(root().join("Cargo.lock")).unwrap();
    for (name, version) in &known {
        assert!(lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n")), "{name} {version}: {advice}");
    }
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--edges", "normal,no-proc-macro", "--target", "all"])
        .args(["--prefix", "none", "--format", "{p}", "-p", "fieldforge"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    for line in String::from_utf8(tree.stdout).unwrap().lines().filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace();
        let (name, version) = (words.next().unwrap(), words.next().unwrap().trim_start_matches('v'));
        assert!(known.contains(&(name.to_owned(), version.to_owned())), "{name} {version}: {advice}");
    }
}
