//! Bundles that hold only what is missing, and what they build on.

use crate::kit::{bundle_with, home, input, tree, unsigned};
use bundler::{PackInput, PackOptions, PackReport};
use install::{
    Bundle, InstallError, InstallOptions, Receipt, collect_garbage, current, history, install, inventory, verify_home,
};
use manifest::{Inventory, Silent};
use testkit::damage::{Damage, damage};
use testkit::sandbox::{Sandbox, half_precision_weights, noise};

/// A safetensors file: its header, then weights.
fn model(header: &str, seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(half_precision_weights(seed, length));
    bytes
}

fn contents(header: &str) -> Vec<(String, Vec<u8>)> {
    vec![
        ("models/checkpoints/a.safetensors".to_owned(), model(header, 1, 13 << 20)),
        ("models/checkpoints/b.safetensors".to_owned(), model("{}", 2, 5 << 20)),
        ("parts/odds/empty".to_owned(), Vec::new()),
        ("parts/odds/text.txt".to_owned(), b"hello".to_vec()),
    ]
}

fn make(sandbox: &Sandbox, contents: &[(String, Vec<u8>)], have: Option<&Inventory>) -> PackReport {
    let input = PackInput { have, ..input(sandbox, "kit", contents) };
    bundle_with(sandbox, &input, PackOptions { replace: true, ..PackOptions::default() })
}

fn try_install(sandbox: &Sandbox) -> Result<Receipt, InstallError> {
    let options = InstallOptions { home: home(sandbox), trust: unsigned(), ..Default::default() };
    install(&Bundle::open(&sandbox.path("bundle")).unwrap(), &options, &Silent)
}

fn size(report: &PackReport) -> u64 {
    report.volumes.iter().map(|(_, size)| size).sum()
}

/// Does the home hold exactly these files?
fn holds(sandbox: &Sandbox, contents: &[(String, Vec<u8>)]) {
    let generation = current(&home(sandbox)).unwrap().unwrap();
    for (path, content) in contents {
        assert!(fs_err::read(generation.folder.join(path)).unwrap() == *content, "{path} differs");
    }
    assert!(verify_home(&home(sandbox), 0, &Silent).unwrap().is_good());
}

#[test]
fn an_update_carries_only_what_is_missing() {
    let sandbox = Sandbox::new();
    let first = contents("{\"__metadata__\":{}}");
    let whole = size(&make(&sandbox, &first, None));
    try_install(&sandbox).unwrap();
    let text = inventory(&home(&sandbox)).unwrap().to_json();
    let have = Inventory::parse("have.json", &text).unwrap();

    // A longer header moves every weight: only the header travels.
    let mut second = contents("{\"__metadata__\":{\"title\":\"a better name\"}}");
    second[3].1 = b"hello again".to_vec();
    second.push(("parts/odds/new.bin".to_owned(), noise(9, 70_000)));
    let update = size(&make(&sandbox, &second, Some(&have)));
    assert!(update < 200_000 && whole > 10 << 20, "{update} of {whole}");
    assert!(Bundle::open(&sandbox.path("bundle")).unwrap().verify(0, &Silent).is_ok());
    let receipt = try_install(&sandbox).unwrap();
    assert!(receipt.written < 200_000 && receipt.reused > 17 << 20, "{receipt:?}");
    holds(&sandbox, &second);

    // Nothing changed: next to nothing travels, and it installs all the same.
    let have = inventory(&home(&sandbox)).unwrap();
    assert!(size(&make(&sandbox, &second, Some(&have))) < 110_000);
    try_install(&sandbox).unwrap();
    holds(&sandbox, &second);
    assert_eq!(history(&home(&sandbox)).unwrap().len(), 3);
}

#[test]
fn an_update_for_another_home_is_refused_before_anything_is_written() {
    let sandbox = Sandbox::new();
    let first = contents("{}");
    make(&sandbox, &first, None);
    try_install(&sandbox).unwrap();
    let have = inventory(&home(&sandbox)).unwrap();
    make(&sandbox, &contents("{\"a\":1}"), Some(&have));
    fs_err::remove_dir_all(home(&sandbox)).unwrap();
    let error = try_install(&sandbox).unwrap_err();
    assert!(matches!(error, InstallError::NotThere { .. }), "{error}");
    assert!(error.hint().unwrap().contains("fieldforge inventory"));
    assert!(Sandbox::files_below(&home(&sandbox)).iter().all(|name| !name.starts_with("generations/")));
}

#[test]
fn a_damaged_base_is_noticed_and_what_was_installed_stays() {
    let sandbox = Sandbox::new();
    make(&sandbox, &contents("{}"), None);
    try_install(&sandbox).unwrap();
    let have = inventory(&home(&sandbox)).unwrap();
    make(&sandbox, &contents("{\"a\":1}"), Some(&have));
    let generation = current(&home(&sandbox)).unwrap().unwrap();
    let victim = generation.folder.join("models/checkpoints/a.safetensors");
    damage(&victim, Damage::FlippedBit { offset: 7 << 20, bit: 2 });
    let error = try_install(&sandbox).unwrap_err();
    assert!(matches!(error, InstallError::BaseDamaged { .. }), "{error}");
    assert_eq!(current(&home(&sandbox)).unwrap().unwrap().number, 1);
    damage(&victim, Damage::FlippedBit { offset: 7 << 20, bit: 2 });
    try_install(&sandbox).unwrap();
    holds(&sandbox, &contents("{\"a\":1}"));
}

#[test]
fn a_generation_that_cannot_be_read_is_replaced_but_never_touched_or_built_on() {
    let sandbox = Sandbox::new();
    let first = contents("{}");
    make(&sandbox, &first, None);
    try_install(&sandbox).unwrap();
    let have = inventory(&home(&sandbox)).unwrap();
    let generation = current(&home(&sandbox)).unwrap().unwrap().folder;
    let files = |folder: &std::path::Path| tree(folder, &["receipt.json"]);
    let before = files(&generation);
    let receipt = fs_err::read(generation.join("receipt.json")).unwrap();
    fs_err::write(generation.join("receipt.json"), "{").unwrap();

    make(&sandbox, &contents("{\"a\":1}"), Some(&have));
    let error = try_install(&sandbox).unwrap_err();
    assert!(matches!(&error, InstallError::BadGeneration { file, .. } if file.ends_with("receipt.json")), "{error}");

    // The same bundle again: what was in use is no leftover of it.
    make(&sandbox, &first, None);
    let again = try_install(&sandbox).unwrap();
    assert!(again.generation == 2 && again.warnings[0].contains("receipt.json"), "{again:?}");
    assert!(files(&generation) == before);
    fs_err::write(generation.join("receipt.json"), receipt).unwrap();
    assert_eq!(install::roll_back(&home(&sandbox)).unwrap().number, 1);
}

#[test]
fn old_generations_are_removed_when_asked_and_the_rest_still_works() {
    let sandbox = Sandbox::new();
    for header in ["{}", "{\"a\":1}", "{\"a\":2}"] {
        make(&sandbox, &contents(header), None);
        try_install(&sandbox).unwrap();
    }
    fs_err::create_dir_all(home(&sandbox).join("generations/0009.part/models")).unwrap();
    let before = tree(&current(&home(&sandbox)).unwrap().unwrap().folder, &[]);
    let (removed, bytes) = collect_garbage(&home(&sandbox), 1).unwrap();
    assert_eq!(removed, ["0001", "0009.part"]);
    assert!(bytes > 18 << 20);
    let numbers: Vec<u32> = history(&home(&sandbox)).unwrap().iter().map(|generation| generation.number).collect();
    assert_eq!(numbers, [2, 3]);
    assert!(tree(&current(&home(&sandbox)).unwrap().unwrap().folder, &[]) == before);
    assert_eq!(install::roll_back(&home(&sandbox)).unwrap().number, 2);
}
