//! Who signed a bundle, and what follows from it.

use crate::kit::{bundle_with, home, input, short_contents, unsigned};
use bundler::{PackInput, PackOptions, SigningKey};
use install::scan::{FrameScanner, Scanned};
use install::{Bundle, InstallError, InstallOptions, OpenError, Trust, current, install, repair, trusted_keys};
use manifest::{PublicKey, Silent, layout};
use std::process::Command;
use testkit::damage::{Damage, damage};
use testkit::sandbox::Sandbox;

fn key() -> SigningKey {
    SigningKey::parse(&SigningKey::generate(None).unwrap().secret, None).unwrap()
}

/// Packs edition `sequence` into `sandbox/bundle`, in place of what was there.
fn edition(sandbox: &Sandbox, key: Option<&SigningKey>, sequence: u64) {
    let contents = short_contents(sequence);
    let input = PackInput { key, sequence, ..input(sandbox, "kit", &contents) };
    bundle_with(sandbox, &input, PackOptions { replace: true, ..PackOptions::default() });
}

fn try_install(sandbox: &Sandbox, trust: Trust) -> Result<install::Receipt, InstallError> {
    let options = InstallOptions { home: home(sandbox), trust, ..Default::default() };
    install(&Bundle::open(&sandbox.path("bundle")).unwrap(), &options, &Silent)
}

fn trusting(key: &PublicKey) -> Trust {
    Trust { keys: vec![key.clone()], ..Trust::default() }
}

#[test]
fn the_first_key_is_trusted_and_another_one_is_not() {
    let sandbox = Sandbox::new();
    let (ada, eve) = (key(), key());
    edition(&sandbox, Some(&ada), 1);
    let receipt = try_install(&sandbox, Trust::default()).unwrap();
    assert_eq!((receipt.signed_by.as_ref(), receipt.sequence), (Some(ada.public()), 1));
    assert!(receipt.warnings[0].contains(&ada.public().words()), "{:?}", receipt.warnings);
    assert_eq!(trusted_keys(&home(&sandbox)).unwrap(), [ada.public().clone()]);

    edition(&sandbox, Some(&ada), 2);
    assert_eq!(try_install(&sandbox, Trust::default()).unwrap().warnings, Vec::<String>::new());

    edition(&sandbox, Some(&eve), 3);
    let error = try_install(&sandbox, Trust::default()).unwrap_err();
    assert!(matches!(&error, InstallError::ForeignKey { key, .. } if key == eve.public()));
    for words in [ada.public().words(), eve.public().words()] {
        assert!(error.to_string().contains(&words), "{error}");
    }
    assert!(error.hint().unwrap().contains(&format!("--trust {}", eve.public())));
    assert_eq!(current(&home(&sandbox)).unwrap().unwrap().receipt.sequence, 2);

    try_install(&sandbox, trusting(eve.public())).unwrap();
    assert_eq!(trusted_keys(&home(&sandbox)).unwrap(), [ada.public().clone(), eve.public().clone()]);
}

#[test]
fn a_new_home_can_insist_on_a_key() {
    let sandbox = Sandbox::new();
    let (ada, eve) = (key(), key());
    edition(&sandbox, Some(&eve), 1);
    assert!(matches!(try_install(&sandbox, trusting(ada.public())), Err(InstallError::ForeignKey { .. })));
    assert!(!home(&sandbox).join(layout::TRUSTED_KEYS).exists());
    edition(&sandbox, Some(&ada), 1);
    assert_eq!(try_install(&sandbox, trusting(ada.public())).unwrap().warnings, Vec::<String>::new());
}

#[test]
fn an_unsigned_bundle_needs_a_word() {
    let sandbox = Sandbox::new();
    edition(&sandbox, None, 1);
    let error = try_install(&sandbox, Trust::default()).unwrap_err();
    assert!(matches!(error, InstallError::Unsigned { .. }));
    assert!(error.hint().unwrap().contains("--allow-unsigned"));
    assert!(Sandbox::files_below(&home(&sandbox)).is_empty(), "something was written");
    assert!(try_install(&sandbox, unsigned()).unwrap().warnings[0].starts_with("nobody signed"));
    // Also where signed ones were installed before.
    edition(&sandbox, Some(&key()), 2);
    try_install(&sandbox, Trust::default()).unwrap();
    edition(&sandbox, None, 3);
    assert!(matches!(try_install(&sandbox, Trust::default()), Err(InstallError::Unsigned { .. })));
}

#[test]
fn an_older_edition_is_no_update() {
    let sandbox = Sandbox::new();
    let ada = key();
    edition(&sandbox, Some(&ada), 5);
    try_install(&sandbox, Trust::default()).unwrap();
    edition(&sandbox, Some(&ada), 4);
    let error = try_install(&sandbox, Trust::default()).unwrap_err();
    assert_eq!(error.to_string(), "this is edition 4 of `kit`; edition 5 is installed already");
    try_install(&sandbox, Trust { allow_older: true, ..Trust::default() }).unwrap();
}

#[test]
fn a_changed_signature_is_refused_before_anything_is_written_and_can_be_repaired() {
    let sandbox = Sandbox::new();
    edition(&sandbox, Some(&key()), 1);
    let volume = sandbox.path("bundle/kit.tar.zst");
    let bytes = fs_err::read(&volume).unwrap();
    // Frames: the manifest's header and text, the signature's header, the signature.
    let mut scanner = FrameScanner::new(std::io::Cursor::new(&bytes), false);
    let frames = std::iter::from_fn(|| scanner.next_frame(Vec::new(), false).unwrap());
    let mut ordinary = frames.filter_map(|found| match found {
        Scanned::Frame { offset, .. } => Some(offset),
        Scanned::Skippable { .. } => None,
    });
    let at = ordinary.nth(3).unwrap() + 60;
    damage(&volume, Damage::FlippedBit { offset: at, bit: 1 });
    let error = Bundle::open(&volume).unwrap_err();
    assert!(matches!(error, OpenError::WrongSignature { .. } | OpenError::NoManifest { .. }), "{error}");
    assert!(repair(&volume, 0, &Silent).unwrap().now.is_good());
    assert!(fs_err::read(&volume).unwrap() == bytes);
}

#[test]
fn minisign_itself_accepts_the_signature() {
    let sandbox = Sandbox::new();
    let ada = key();
    edition(&sandbox, Some(&ada), 7);
    let folder = sandbox.path("out");
    fs_err::create_dir_all(&folder).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).current_dir(&folder).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let names = [layout::MANIFEST, layout::MANIFEST_SIGNATURE];
    assert!(run("tar", &["--zstd", "-xf", "../bundle/kit.tar.zst", names[0], names[1]]).0);
    let public = ada.public().to_string();
    let (accepted, said) = run("minisign", &["-V", "-P", &public, "-m", names[0]]);
    assert!(accepted && said.contains("fieldforge bundle=kit sequence=7"), "{said}");
    fs_err::write(folder.join(names[0]), "{}").unwrap();
    assert!(!run("minisign", &["-V", "-P", &public, "-m", names[0]]).0);
}
