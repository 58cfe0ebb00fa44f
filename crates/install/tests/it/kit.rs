//! A small bundle for the tests of this folder.

use bundler::{Content, PackFile, PackInput, PackOptions, PackReport, pack};
use manifest::{ByteSize, Component, ComponentKind, Needs, Sha256, Silent};
use std::path::{Path, PathBuf};
use testkit::sandbox::{Sandbox, half_precision_weights, noise};

/// Path and content of every file of the bundle.
pub(crate) fn contents() -> Vec<(String, Vec<u8>)> {
    let long = format!("parts/odds/{}/end.bin", "long-name-".repeat(15));
    vec![
        ("models/checkpoints/weights.safetensors".to_owned(), half_precision_weights(1, (5 << 20) + 77)),
        ("models/loras/zeros.safetensors".to_owned(), vec![0; 5 << 20]),
        ("parts/odds/Grüße 猫 (final).txt".to_owned(), "a text, with a line\n".repeat(999).into_bytes()),
        ("parts/odds/empty".to_owned(), Vec::new()),
        ("parts/odds/noise.bin".to_owned(), noise(2, 5 << 20)),
        ("parts/odds/one".to_owned(), vec![1]),
        ("parts/odds/exact.bin".to_owned(), noise(3, 4 << 20)),
        (long, noise(4, 600)),
    ]
}

/// What goes into the bundle called `name`; the files are written below `sandbox/source`.
pub(crate) fn input<'a>(sandbox: &Sandbox, name: &'a str, contents: &[(String, Vec<u8>)]) -> PackInput<'a> {
    let id: manifest::ComponentId = "odds".parse().unwrap();
    let files = contents.iter().map(|(path, content)| PackFile {
        path: path.parse().unwrap(),
        component: id.clone(),
        content: Content::Disk(sandbox.write(&format!("source/{path}"), content)),
        size: content.len() as u64,
        sha256: Sha256::of(content),
        surveyed: None,
    });
    PackInput {
        name,
        files: files.collect(),
        components: vec![Component {
            id: id.clone(),
            kind: ComponentKind::Part,
            family: None,
            title: "Odds and ends".to_owned(),
            licence: "CC0-1.0".to_owned(),
            sources: vec![],
            settings: None,
        }],
        default_model: None,
        self_test: None,
        needs: Needs { memory: 1 << 20, ..Needs::default() },
        programs: vec![("x86_64-linux".to_owned(), sandbox.write("source-program", b"#!/bin/sh\necho hello\n"))],
        made_by: "fieldforge test".to_owned(),
        sequence: 0,
        have: None,
        frozen: None,
        key: None,
    }
}

/// Accepts the unsigned bundles of these tests.
pub(crate) fn unsigned() -> install::Trust {
    install::Trust { allow_unsigned: true, ..Default::default() }
}

/// Packs into `sandbox/out`.
pub(crate) fn pack_into(
    sandbox: &Sandbox,
    out: &str,
    input: &PackInput<'_>,
    volume: Option<u64>,
    threads: usize,
) -> PackReport {
    let volume_size = volume.map(ByteSize);
    // Short volumes are for tests of what happens without recovery data; these would be most of them.
    let recovery = if volume.is_some() { 0.0 } else { PackOptions::RECOVERY };
    let options = PackOptions { out: sandbox.path(out), volume_size, threads, recovery, ..PackOptions::default() };
    pack(input, &options, &Silent).unwrap()
}

/// Packs into `sandbox/bundle` as `options` say.
pub(crate) fn bundle_with(sandbox: &Sandbox, input: &PackInput<'_>, options: PackOptions) -> PackReport {
    pack(input, &PackOptions { out: sandbox.path("bundle"), ..options }, &Silent).unwrap()
}

/// A few short files: for tests that need many bundles.
pub(crate) fn short_contents(seed: u64) -> Vec<(String, Vec<u8>)> {
    (0..6).map(|at| (format!("parts/odds/{at}.bin"), noise(seed + at, 3000 + at as usize))).collect()
}

/// A bundle of several short volumes in `sandbox/out`.
pub(crate) fn short_bundle(sandbox: &Sandbox, out: &str, seed: u64) -> PackReport {
    pack_into(sandbox, out, &input(sandbox, "kit", &short_contents(seed)), Some(8 << 10), 2)
}

/// A bundle of several volumes in `sandbox/bundle`.
pub(crate) fn bundle(sandbox: &Sandbox) -> PackReport {
    pack_into(sandbox, "bundle", &input(sandbox, "kit", &contents()), Some(6 << 20), 2)
}

/// Names and contents of all files below a folder, except those in `without`.
pub(crate) fn tree(folder: &Path, without: &[&str]) -> Vec<(String, Vec<u8>)> {
    let names = Sandbox::files_below(folder).into_iter().filter(|name| !without.contains(&name.as_str()));
    names.map(|name| (name.clone(), fs_err::read(folder.join(name)).unwrap())).collect()
}

/// A home in the sandbox.
pub(crate) fn home(sandbox: &Sandbox) -> PathBuf {
    sandbox.path("home")
}
