//! Installing what is whole of a damaged bundle, and completing it later.

use crate::kit::{bundle, bundle_with, contents, home, input, tree, unsigned};
use bundler::{PackInput, PackOptions};
use install::{
    Bundle, InstallError, InstallOptions, Receipt, current, history, install, inventory, repair, verify_home,
};
use manifest::{Problem, Silent};
use testkit::damage::{Damage, damage};
use testkit::sandbox::Sandbox;

fn try_install(sandbox: &Sandbox, salvage: bool) -> Result<Receipt, InstallError> {
    let options = InstallOptions { home: home(sandbox), trust: unsigned(), salvage, ..Default::default() };
    install(&Bundle::open(&sandbox.path("bundle")).unwrap(), &options, &Silent)
}

/// The installed files are exactly those that are not in `missing`, bit for bit; nothing else lies there.
fn holds_all_but(sandbox: &Sandbox, missing: &[String]) {
    let generation = current(&home(sandbox)).unwrap().unwrap();
    let mut expected = contents();
    expected.sort();
    expected.retain(|(path, _)| !missing.contains(path));
    let found = tree(&generation.folder, &["MANIFEST.json", "receipt.json"]);
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&found), names(&expected));
    assert!(found == expected);
    let listed: Vec<String> = generation.manifest.files.iter().map(|file| file.path.to_string()).collect();
    assert_eq!(listed, names(&expected));
}

fn names(receipt: &Receipt) -> Vec<String> {
    receipt.missing.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_whole_is_installed_and_the_rest_named() {
    let sandbox = Sandbox::new();
    bundle(&sandbox);
    damage(&sandbox.path("bundle/kit.tar.zst.002"), Damage::Removed);
    assert!(matches!(try_install(&sandbox, false), Err(InstallError::Damaged { .. })));
    let receipt = try_install(&sandbox, true).unwrap();
    let missing = names(&receipt);
    assert!(!missing.is_empty() && missing.len() < contents().len() - 2, "{missing:?}");
    assert_eq!(receipt.files + missing.len(), contents().len());
    assert_eq!(receipt.unusable.iter().map(ToString::to_string).collect::<Vec<_>>(), ["odds"]);
    assert_eq!(
        receipt.bytes,
        contents().iter().filter(|(path, _)| !missing.contains(path)).map(|(_, c)| c.len() as u64).sum::<u64>()
    );
    holds_all_but(&sandbox, &missing);
    // Whoever asks is told.
    let report = verify_home(&home(&sandbox), 0, &Silent).unwrap();
    let said: Vec<String> = report.findings.iter().map(|finding| finding.subject.clone()).collect();
    assert_eq!(said, missing);
    assert!(report.findings.iter().all(|finding| finding.problem == Problem::Missing));
}

#[test]
fn every_kind_of_damage_leaves_only_whole_files() {
    let kinds = [
        Damage::Zeroed { offset: 3_000_000, length: 70_000 },
        Damage::CutOut { offset: 2_000_000, length: 1_000_000 },
        Damage::Truncated { length: 900_000 },
        Damage::FlippedBit { offset: 30, bit: 1 },
        Damage::Appended,
    ];
    for kind in kinds {
        let sandbox = Sandbox::new();
        let volumes = bundle(&sandbox).volumes;
        let (name, _) = volumes.iter().rev().find(|(_, size)| *size > 4_000_000).unwrap();
        damage(&sandbox.path("bundle").join(name), kind);
        let receipt = try_install(&sandbox, true).unwrap_or_else(|error| panic!("{kind:?}: {error}"));
        holds_all_but(&sandbox, &names(&receipt));
        let structure = matches!(kind, Damage::FlippedBit { .. } | Damage::Appended);
        assert_eq!(receipt.missing.is_empty(), structure, "{kind:?}: {:?}", receipt.missing);
    }
}

#[test]
fn a_bundle_that_is_whole_installs_as_ever() {
    let sandbox = Sandbox::new();
    bundle(&sandbox);
    let receipt = try_install(&sandbox, true).unwrap();
    assert!(receipt.missing.is_empty() && receipt.unusable.is_empty());
    holds_all_but(&sandbox, &[]);
    assert!(verify_home(&home(&sandbox), 0, &Silent).unwrap().is_good());
}

#[test]
fn a_whole_copy_completes_it_and_so_does_an_update() {
    for update in [false, true] {
        let sandbox = Sandbox::new();
        bundle(&sandbox);
        let place = sandbox.path("bundle/kit.tar.zst.002");
        let whole = fs_err::read(&place).unwrap();
        damage(&place, Damage::Removed);
        let missing = names(&try_install(&sandbox, true).unwrap());
        let have = inventory(&home(&sandbox)).unwrap();
        assert!(have.files.iter().all(|file| !missing.contains(&file.path.to_string())));
        if update {
            let update = PackInput { have: Some(&have), ..input(&sandbox, "kit", &contents()) };
            bundle_with(&sandbox, &update, PackOptions { replace: true, ..PackOptions::default() });
        } else {
            fs_err::write(&place, whole).unwrap();
        }
        let receipt = try_install(&sandbox, false).unwrap();
        assert!(receipt.missing.is_empty());
        let expected: u64 =
            contents().iter().filter(|(path, _)| missing.contains(path)).map(|(_, content)| content.len() as u64).sum();
        assert_eq!(receipt.written, expected);
        holds_all_but(&sandbox, &[]);
        assert!(verify_home(&home(&sandbox), 0, &Silent).unwrap().is_good());
        assert_eq!(history(&home(&sandbox)).unwrap().len(), 2);
    }
}

#[test]
fn an_update_whose_base_is_gone_is_salvaged_file_by_file() {
    let sandbox = Sandbox::new();
    bundle(&sandbox);
    damage(&sandbox.path("bundle/kit.tar.zst.002"), Damage::Removed);
    let missing = names(&try_install(&sandbox, true).unwrap());
    let have = inventory(&home(&sandbox)).unwrap();
    let update = PackInput { have: Some(&have), ..input(&sandbox, "kit", &contents()) };
    bundle_with(&sandbox, &update, PackOptions { replace: true, ..PackOptions::default() });
    fs_err::remove_dir_all(home(&sandbox)).unwrap();
    assert!(matches!(try_install(&sandbox, false), Err(InstallError::NotThere { .. })));
    let receipt = try_install(&sandbox, true).unwrap();
    let absent: Vec<String> =
        have.files.iter().filter(|file| file.size > 0).map(|file| file.path.to_string()).collect();
    assert_eq!(names(&receipt), absent);
    assert!(missing.iter().all(|path| !absent.contains(path)));
    holds_all_but(&sandbox, &absent);
}

#[test]
fn nothing_is_not_an_installation() {
    let sandbox = Sandbox::new();
    let contents = vec![("parts/odds/a.bin".to_owned(), testkit::sandbox::noise(1, 500_000))];
    let report = bundle_with(
        &sandbox,
        &input(&sandbox, "kit", &contents),
        PackOptions { recovery: 0.0, ..PackOptions::default() },
    );
    let (name, size) = &report.volumes[0];
    damage(&sandbox.path("bundle").join(name), Damage::Zeroed { offset: size / 2, length: 1000 });
    assert!(!repair(&sandbox.path("bundle"), 0, &Silent).unwrap().now.is_good());
    assert!(matches!(try_install(&sandbox, true), Err(InstallError::Damaged { .. })));
    assert!(current(&home(&sandbox)).unwrap().is_none());
}
