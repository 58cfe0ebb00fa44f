//! One damaged bundle per kind of damage: found, named, and never installed.

use crate::kit;
use crate::kit::unsigned;
use install::{Bundle, InstallError, InstallOptions, OpenError, VerifyReport, current, install};
use manifest::{Silent, layout};
use std::path::{Path, PathBuf};
use testkit::damage::{Damage, damage, swap};
use testkit::sandbox::Sandbox;

/// A fresh short bundle, damaged by `harm`, which gets the folder.
fn damaged(harm: impl Fn(&Path)) -> (Sandbox, PathBuf) {
    let sandbox = Sandbox::new();
    let report = kit::short_bundle(&sandbox, "bundle", 1);
    assert_eq!(report.volumes.len(), 3, "the tests below count on it: {:?}", report.volumes);
    harm(&report.folder);
    (sandbox, report.folder)
}

fn verify(folder: &Path) -> VerifyReport {
    match Bundle::open(folder).unwrap().verify(2, &Silent) {
        Ok((_, report)) | Err(report) => report,
    }
}

/// Everything that verification says about it, one line per finding.
fn findings(folder: &Path) -> Vec<String> {
    verify(folder).findings.iter().map(ToString::to_string).collect()
}

/// Installing must fail and leave neither a generation nor a wrong file.
fn must_not_install(sandbox: &Sandbox, folder: &Path) -> InstallError {
    let home = kit::home(sandbox);
    let error = install(
        &Bundle::open(folder).unwrap(),
        &InstallOptions { home: home.clone(), trust: unsigned(), ..Default::default() },
        &Silent,
    )
    .unwrap_err();
    assert!(current(&home).unwrap().is_none());
    for (name, content) in kit::tree(&home, &[]) {
        let right = kit::short_contents(1).into_iter().any(|(path, bytes)| name.ends_with(&path) && bytes == content);
        let ours = [layout::MANIFEST, layout::HOME_LOCK].iter().any(|ours| name.ends_with(ours));
        assert!(right || ours || name.ends_with(layout::PARTIAL_SUFFIX), "{name} has a final name");
    }
    error
}

#[test]
fn a_flipped_bit_in_a_chunk_is_located() {
    let (sandbox, folder) = damaged(|folder| {
        damage(&folder.join("kit.tar.zst.002"), Damage::FlippedBit { offset: 4000, bit: 2 });
    });
    let found = findings(&folder);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("`parts/odds/"), "{found:?}");
    assert!(found[0].contains("damaged: 2.9 KiB at offset 0 bytes (0)"), "{found:?}");
    assert!(found[0].contains("`kit.tar.zst.002`, volume 2 of 3, byte "), "{found:?}");
    let error = must_not_install(&sandbox, &folder);
    assert!(error.to_string().contains("kept and will be continued"), "{error}");
    assert!(error.hint().unwrap().contains("fieldforge verify"));
}

#[test]
fn a_zeroed_stretch_hits_its_files_and_no_others() {
    let (sandbox, folder) = damaged(|folder| {
        damage(&folder.join("kit.tar.zst.001"), Damage::Zeroed { offset: 3000, length: 2000 });
    });
    let found = findings(&folder);
    assert!(found.len() <= 4, "{found:#?}");
    assert!(found.iter().any(|finding| finding.contains("byte ") || finding.contains("at offset")), "{found:#?}");
    must_not_install(&sandbox, &folder);
}

#[test]
fn a_piece_that_is_missing_in_the_middle_is_named() {
    let (sandbox, folder) = damaged(|folder| {
        damage(&folder.join("kit.tar.zst.002"), Damage::CutOut { offset: 3000, length: 100 });
    });
    let found = findings(&folder);
    assert!(found.iter().any(|finding| finding.contains("kit.tar.zst.002")), "{found:#?}");
    assert!(found.len() <= 4, "damage in one frame is not blamed on all: {found:#?}");
    must_not_install(&sandbox, &folder);
}

#[test]
fn a_truncated_volume_says_where_it_ends_and_what_is_lost() {
    let (sandbox, folder) = damaged(|folder| {
        damage(&folder.join("kit.tar.zst.003"), Damage::Truncated { length: 1000 });
    });
    let found = findings(&folder);
    assert!(found[0].starts_with("`kit.tar.zst.003`: cut off after 1000 bytes"), "{found:#?}");
    assert!(
        found.iter().any(|finding| finding.starts_with("`parts/odds/") && finding.contains("is cut off")),
        "{found:#?}"
    );
    must_not_install(&sandbox, &folder);
}

#[test]
fn a_missing_volume_is_named_with_the_files_that_lie_in_it() {
    for (number, lost) in [(2, "which is missing"), (3, "which is missing")] {
        let name = format!("kit.tar.zst.00{number}");
        let (sandbox, folder) = damaged(|folder| damage(&folder.join(&name), Damage::Removed));
        let found = findings(&folder);
        assert_eq!(found[0], format!("`{name}`: missing"));
        assert!(found[1..].iter().all(|finding| finding.contains(lost)), "{found:#?}");
        let error = must_not_install(&sandbox, &folder);
        assert!(error.to_string().starts_with(&format!("`{name}`: missing")), "{error}");
        assert!(!kit::home(&sandbox).exists(), "refused before the first write");
    }
    let (_sandbox, folder) = damaged(|folder| damage(&folder.join("kit.tar.zst.001"), Damage::Removed));
    let error = Bundle::open(&folder).unwrap_err();
    assert!(matches!(&error, OpenError::NoManifest { .. }), "{error}");
    assert!(error.to_string().contains("`kit.tar.zst.001`: missing"), "{error}");
}

#[test]
fn a_volume_of_another_bundle_is_foreign_and_the_right_one_missing() {
    let (sandbox, folder) = damaged(|folder| {
        let other = Sandbox::new();
        let report = kit::short_bundle(&other, "bundle", 50);
        fs_err::copy(report.folder.join("kit.tar.zst.002"), folder.join("kit.tar.zst.002")).unwrap();
    });
    let found = findings(&folder);
    assert!(
        found[0].starts_with("`kit.tar.zst.002`: does not belong here: it is volume 2 of another bundle"),
        "{found:#?}"
    );
    assert_eq!(found[1], "`kit.tar.zst.002`: missing");
    must_not_install(&sandbox, &folder);
}

#[test]
fn a_copy_under_another_number_is_named() {
    let (_sandbox, folder) = damaged(|folder| {
        fs_err::copy(folder.join("kit.tar.zst.002"), folder.join("kit.tar.zst.004")).unwrap();
    });
    let found = findings(&folder);
    assert_eq!(found[0], "`kit.tar.zst.004`: does not belong here: it is volume 2, and so is `kit.tar.zst.002`");
    assert_eq!(found.len(), 1, "{found:#?}");
}

#[test]
fn swapped_volumes_are_named_and_can_still_be_installed() {
    let (sandbox, folder) = damaged(|folder| swap(&folder.join("kit.tar.zst.002"), &folder.join("kit.tar.zst.003")));
    let found = findings(&folder);
    assert!(
        found
            .contains(&"`kit.tar.zst.002`: does not belong here: it is named like volume 2 and is volume 3".to_owned())
    );
    let options = InstallOptions { home: kit::home(&sandbox), trust: unsigned(), ..Default::default() };
    let receipt = install(&Bundle::open(&folder).unwrap(), &options, &Silent).unwrap();
    assert_eq!(receipt.warnings.len(), 3, "{receipt:?}");
}

#[test]
fn files_beside_the_archive_are_checked_too() {
    let (_sandbox, folder) = damaged(|folder| {
        damage(&folder.join("fieldforge"), Damage::FlippedBit { offset: 3, bit: 0 });
        damage(&folder.join(layout::START_HERE), Damage::Appended);
    });
    let found = findings(&folder);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("`fieldforge`: its content is not the expected one"), "{found:#?}");
    assert!(found[1].starts_with("`START-HERE.txt`: its content is not the expected one"), "{found:#?}");
    let (_sandbox, folder) = damaged(|folder| damage(&folder.join(layout::SHA256SUMS), Damage::Removed));
    assert_eq!(findings(&folder), ["`SHA256SUMS`: missing"]);
    let (_sandbox, folder) = damaged(|folder| damage(&folder.join("fieldforge"), Damage::Removed));
    assert_eq!(findings(&folder), ["`fieldforge`: missing"]);
}

#[test]
fn a_manifest_of_another_bundle_is_refused() {
    // The first volume of one bundle with the header of another.
    let (_sandbox, folder) = damaged(|folder| {
        let other = Sandbox::new();
        let report = kit::short_bundle(&other, "bundle", 50);
        let mut bytes = fs_err::read(report.folder.join("kit.tar.zst.001")).unwrap();
        let own = fs_err::read(folder.join("kit.tar.zst.001")).unwrap();
        bytes[..68].copy_from_slice(&own[..68]);
        fs_err::write(folder.join("kit.tar.zst.001"), bytes).unwrap();
    });
    let error = Bundle::open(&folder).unwrap_err();
    assert!(matches!(error, OpenError::WrongManifest { .. }), "{error}");
}

#[test]
fn no_flipped_bit_anywhere_is_ever_accepted() {
    let sandbox = Sandbox::new();
    let report = kit::short_bundle(&sandbox, "bundle", 1);
    let mut tried = 0;
    for (name, size) in &report.volumes {
        let path = report.folder.join(name);
        let intact = fs_err::read(&path).unwrap();
        // Of what is ours at both ends all bytes in one volume and some in the others, and every 97th between.
        let (head, tail) = if name.ends_with("2") { (1, 1) } else { (9, 9) };
        let offsets = (0..*size).filter(|at| {
            let from_end = size - at - 1;
            (*at < 80 && at % head == 0) || (from_end < 104 && from_end % tail == 0) || at % 97 == 0
        });
        for offset in offsets {
            damage(&path, Damage::FlippedBit { offset, bit: (offset % 8) as u8 });
            if let Ok(bundle) = Bundle::open(&report.folder) {
                assert!(bundle.verify(1, &Silent).is_err(), "{name}: a flipped bit in byte {offset} went unnoticed");
            }
            fs_err::write(&path, &intact).unwrap();
            tried += 1;
        }
    }
    assert!(tried > 350, "{tried}");
    assert!(verify(&report.folder).is_good());
}

#[test]
fn no_truncation_is_ever_accepted() {
    let sandbox = Sandbox::new();
    let report = kit::short_bundle(&sandbox, "bundle", 1);
    let path = report.folder.join("kit.tar.zst.003");
    let intact = fs_err::read(&path).unwrap();
    for length in (0..intact.len()).step_by(61).chain(intact.len() - 105..intact.len()) {
        fs_err::write(&path, &intact[..length]).unwrap();
        if let Ok(bundle) = Bundle::open(&report.folder) {
            assert!(bundle.verify(1, &Silent).is_err(), "cut off after {length} bytes");
        }
    }
}
