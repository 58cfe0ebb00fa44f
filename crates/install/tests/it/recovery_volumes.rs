//! Recovery volumes: what replaces whole volumes, and what is said when there are too few.

use crate::kit::{bundle_with, contents, home, input, tree, unsigned};
use bundler::{PackError, PackOptions, PackReport, pack};
use install::{Bundle, InstallOptions, RepairReport, install, repair, repair_with};
use manifest::{ByteSize, Problem, Silent, layout};
use std::path::{Path, PathBuf};
use std::process::Command;
use testkit::damage::{Damage, damage};
use testkit::sandbox::Sandbox;

/// A bundle in `sandbox/bundle` with so many recovery volumes.
fn protected(sandbox: &Sandbox, count: u32, volume: Option<u64>, percent: f64) -> PackReport {
    let options = PackOptions {
        volume_size: volume.map(ByteSize),
        recovery: percent,
        recovery_volumes: count,
        ..PackOptions::default()
    };
    bundle_with(sandbox, &input(sandbox, "kit", &contents()), options)
}

fn restored(folder: &Path, before: &[(String, Vec<u8>)], what: &str) -> RepairReport {
    let report = repair(folder, 0, &Silent).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(report.now.is_good(), "{what}: {}", report.now);
    assert!(report.beyond_help.is_empty());
    assert!(tree(folder, &[]) == before, "{what}: some bytes are not the original ones");
    report
}

/// What else is in the folder of the bundle must be as it was.
fn only(folder: &Path, name: &str) -> PathBuf {
    folder.join(name)
}

#[test]
fn volumes_keep_to_their_size_and_stock_tools_pass_over_recovery_volumes() {
    let sandbox = Sandbox::new();
    let report = protected(&sandbox, 2, Some(7 << 20), 2.0);
    assert!(report.volumes.len() >= 3, "{:?}", report.volumes);
    let names: Vec<_> = report.recovery_volumes.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["kit.recovery.001", "kit.recovery.002"]);
    for (name, size) in report.volumes.iter().chain(&report.recovery_volumes) {
        assert!(*size <= 7 << 20, "{name} has {size}");
        assert_eq!(fs_err::metadata(report.folder.join(name)).unwrap().len(), *size);
    }
    let line = "for file in kit.recovery.*; do zstd -q -t < $file && test -z \"$(zstd -q -dc < $file)\" || exit 1; done; \
                sha256sum --quiet --strict -c SHA256SUMS && cat kit.tar.zst.* | tar --zstd -t > /dev/null";
    let output = Command::new("bash").args(["-e", "-o", "pipefail", "-c", line]).current_dir(&report.folder).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(Bundle::open(&report.folder).unwrap().verify(0, &Silent).is_ok());
    let note = fs_err::read_to_string(report.folder.join(layout::START_HERE)).unwrap();
    assert!(note.contains("`kit.recovery.*`"), "{note}");
}

#[test]
fn equal_input_gives_equal_recovery_volumes() {
    let sandbox = Sandbox::new();
    let report = protected(&sandbox, 1, Some(7 << 20), 0.0);
    let once = tree(&report.folder, &[]);
    let options = PackOptions {
        out: sandbox.path("bundle"),
        volume_size: Some(ByteSize(7 << 20)),
        recovery: 0.0,
        recovery_volumes: 1,
        threads: 1,
        replace: true,
        ..PackOptions::default()
    };
    pack(&input(&sandbox, "kit", &contents()), &options, &Silent).unwrap();
    assert!(tree(&report.folder, &[]) == once);
    // Without them, none is left behind.
    let options = PackOptions { recovery_volumes: 0, ..options };
    pack(&input(&sandbox, "kit", &contents()), &options, &Silent).unwrap();
    assert!(!report.folder.join("kit.recovery.001").exists());
}

#[test]
fn a_volume_that_is_lost_comes_back_whichever_it_is() {
    let sandbox = Sandbox::new();
    let report = protected(&sandbox, 1, Some(7 << 20), 2.0);
    let before = tree(&report.folder, &[]);
    for (name, size) in &report.volumes {
        damage(&only(&report.folder, name), Damage::Removed);
        let repaired = restored(&report.folder, &before, name);
        let told = repaired.volumes.iter().find(|volume| volume.name == *name).unwrap();
        assert_eq!((told.recreated, told.rebuilt, &told.beyond_help), (true, *size, &None));
    }
    assert_eq!(
        restored(&report.folder, &before, "nothing").volumes.iter().map(|volume| volume.rebuilt).sum::<u64>(),
        0
    );
}

#[test]
fn the_only_volume_comes_back_too() {
    let sandbox = Sandbox::new();
    let report = protected(&sandbox, 1, None, 2.0);
    let before = tree(&report.folder, &[]);
    damage(&report.folder.join("kit.tar.zst"), Damage::Removed);
    restored(&report.folder, &before, "the only one");
    damage(&report.folder.join("kit.tar.zst"), Damage::Removed);
    repair(&report.folder.join("kit.recovery.001"), 0, &Silent).unwrap();
    assert!(tree(&report.folder, &[]) == before);
}

#[test]
fn a_lost_volume_and_damage_to_others_are_repaired_together() {
    let sandbox = Sandbox::new();
    let report = protected(&sandbox, 2, Some(6 << 20), 0.0);
    let before = tree(&report.folder, &[]);
    let at = |number: usize| only(&report.folder, &report.volumes[number].0);
    let size = report.volumes[1].1;
    damage(&at(0), Damage::Removed);
    damage(&at(1), Damage::Zeroed { offset: 100_000, length: size / 2 });
    damage(&at(2), Damage::FlippedBit { offset: 5, bit: 1 });
    damage(&at(1), Damage::Appended);
    restored(&report.folder, &before, "three volumes");
    // Cut off and moved are damage like any other.
    damage(&at(0), Damage::Truncated { length: 1000 });
    damage(&at(1), Damage::CutOut { offset: 50_000, length: 1_000_000 });
    restored(&report.folder, &before, "two volumes");
    // A damaged recovery volume helps where it is whole, and is made again; a missing one as well.
    damage(&at(1), Damage::Removed);
    damage(&only(&report.folder, "kit.recovery.001"), Damage::Zeroed { offset: 0, length: 100_000 });
    let repaired = restored(&report.folder, &before, "a damaged recovery volume");
    assert!(repaired.volumes.iter().any(|volume| volume.name == "kit.recovery.001" && volume.recreated));
    damage(&only(&report.folder, "kit.recovery.002"), Damage::Removed);
    restored(&report.folder, &before, "a missing recovery volume");
}

#[test]
fn damage_that_a_volumes_own_recovery_data_cannot_repair_is_repaired() {
    let sandbox = Sandbox::new();
    let report = protected(&sandbox, 1, Some(7 << 20), 2.0);
    let before = tree(&report.folder, &[]);
    let (name, size) = &report.volumes[1];
    damage(&only(&report.folder, name), Damage::Zeroed { offset: size / 4, length: size / 3 });
    restored(&report.folder, &before, "a third of a volume");
    // At the same place of another volume there may be as much damage as that one's own recovery data repair.
    damage(&only(&report.folder, name), Damage::Removed);
    damage(&only(&report.folder, &report.volumes[0].0), Damage::Zeroed { offset: 1_000_000, length: 60_000 });
    restored(&report.folder, &before, "both kinds of recovery data");
}

#[test]
fn one_volume_too_many_is_said_and_the_rest_repaired() {
    let sandbox = Sandbox::new();
    let report = protected(&sandbox, 1, Some(6 << 20), 0.0);
    assert!(report.volumes.len() >= 3, "{:?}", report.volumes);
    let (lost, hurt) = (&report.volumes[1].0, &report.volumes[2].0);
    let whole = fs_err::read(report.folder.join(lost)).unwrap();
    let before = fs_err::read(report.folder.join(hurt)).unwrap();
    damage(&only(&report.folder, lost), Damage::Removed);
    damage(&only(&report.folder, hurt), Damage::Zeroed { offset: 2_000_000, length: 10_000 });
    let repaired = repair(&report.folder, 0, &Silent).unwrap();
    assert!(!repaired.now.is_good());
    let told = repaired.volumes.iter().find(|volume| volume.name == *lost).unwrap();
    let reason = told.beyond_help.clone().unwrap();
    assert!(reason.contains("2 volume(s) are damaged or missing, and 1 recovery volume(s) are whole"), "{reason}");
    // What could be computed is there, but not under the volume's name, so that few files are lost, and these are named.
    let partial = only(&report.folder, &layout::incomplete_name(lost));
    assert!(!only(&report.folder, lost).exists() && reason.contains(&layout::incomplete_name(lost)), "{reason}");
    assert!(
        repaired.now.findings.iter().any(|finding| finding.subject == *lost && finding.problem == Problem::Missing)
    );
    let found = fs_err::read(&partial).unwrap();
    assert!(found.len() == whole.len() && found[..1_900_000] == whole[..1_900_000]);
    assert!(found[2_100_000..] == whole[2_100_000..]);
    assert!(!repaired.beyond_help.is_empty() && repaired.beyond_help.len() <= 2, "{:?}", repaired.beyond_help);
    let files: Vec<String> = contents().into_iter().map(|(path, _)| path).collect();
    assert!(repaired.beyond_help.iter().all(|path| files.contains(path)));
    // A second try changes nothing; what is whole can be installed.
    assert_eq!(repair(&report.folder, 0, &Silent).unwrap().beyond_help, repaired.beyond_help);
    assert!(fs_err::read(&partial).unwrap() == found);
    let options =
        InstallOptions { salvage: true, home: home(&sandbox), trust: unsigned(), ..InstallOptions::default() };
    let receipt = install(&Bundle::open(&report.folder).unwrap(), &options, &Silent).unwrap();
    let mut missing: Vec<_> = receipt.missing.iter().map(ToString::to_string).collect();
    missing.sort();
    assert_eq!(missing, repaired.beyond_help);
    // When the other volume is whole again, this one is computed as a whole and gets its name.
    let damaged = fs_err::read(only(&report.folder, hurt)).unwrap();
    fs_err::write(only(&report.folder, hurt), &before).unwrap();
    assert!(repair(&report.folder, 0, &Silent).unwrap().now.is_good());
    assert!(fs_err::read(only(&report.folder, lost)).unwrap() == whole && !partial.exists());
    // With its original, the other one can be helped, and what was computed before is not needed any more.
    fs_err::write(only(&report.folder, hurt), damaged).unwrap();
    fs_err::write(&partial, found).unwrap();
    assert!(repair(&report.folder, 0, &Silent).unwrap().now.is_good());
    assert!(fs_err::read(only(&report.folder, hurt)).unwrap() == before && !partial.exists());
}

#[test]
fn what_a_recovery_volume_that_was_cut_off_cannot_tell_gets_no_final_name() {
    let sandbox = Sandbox::new();
    let report = protected(&sandbox, 1, Some(6 << 20), 0.0);
    let (lost, recovery) = (&report.volumes[1].0, &report.recovery_volumes[0]);
    damage(&only(&report.folder, lost), Damage::Removed);
    let file = fs_err::OpenOptions::new().write(true).open(only(&report.folder, &recovery.0)).unwrap();
    file.set_len(recovery.1 / 2).unwrap();
    let repaired = repair(&report.folder, 0, &Silent).unwrap();
    assert!(!repaired.now.is_good() && !repaired.beyond_help.is_empty());
    assert!(!only(&report.folder, lost).exists());
    let told = repaired.volumes.iter().find(|volume| volume.name == *lost);
    assert!(told.is_none_or(|told| told.beyond_help.is_some()), "{told:?}");
}

#[test]
fn recovery_volumes_on_another_stick_are_used_when_named() {
    let sandbox = Sandbox::new();
    let report = protected(&sandbox, 1, Some(7 << 20), 0.0);
    let before = tree(&report.folder, &[]);
    let elsewhere = sandbox.path("elsewhere");
    fs_err::create_dir(&elsewhere).unwrap();
    fs_err::rename(report.folder.join("kit.recovery.001"), elsewhere.join("kit.recovery.001")).unwrap();
    damage(&only(&report.folder, &report.volumes[1].0), Damage::Removed);
    let repaired = repair(&report.folder, 0, &Silent).unwrap();
    assert!(!repaired.now.is_good() && !repaired.beyond_help.is_empty());
    let repaired = repair_with(&report.folder, std::slice::from_ref(&elsewhere), 0, &Silent).unwrap();
    // Nothing but the recovery volume itself is not here.
    let subjects: Vec<_> = repaired.now.findings.iter().map(|finding| finding.subject.as_str()).collect();
    assert_eq!(subjects, ["kit.recovery.001"]);
    fs_err::rename(elsewhere.join("kit.recovery.001"), report.folder.join("kit.recovery.001")).unwrap();
    assert!(tree(&report.folder, &[]) == before);
}

#[test]
fn recovery_volumes_of_another_bundle_or_another_packing_change_nothing() {
    let sandbox = Sandbox::new();
    // The same files packed differently: the same bundle, other volumes.
    let report = protected(&sandbox, 1, Some(6 << 20), 0.0);
    let stale = fs_err::read(report.folder.join("kit.recovery.001")).unwrap();
    let options = PackOptions {
        out: sandbox.path("bundle"),
        volume_size: Some(ByteSize(9 << 20)),
        recovery: 0.0,
        replace: true,
        ..PackOptions::default()
    };
    pack(&input(&sandbox, "kit", &contents()), &options, &Silent).unwrap();
    let before = tree(&report.folder, &[]);
    fs_err::write(report.folder.join("kit.recovery.001"), &stale).unwrap();
    let repaired = repair(&report.folder, 0, &Silent).unwrap();
    assert!(repaired.now.is_good());
    assert_eq!(repaired.unused.len(), 1);
    assert!(matches!(&repaired.unused[0].problem, Problem::Foreign { reason } if reason.contains("other volumes")));
    assert!(tree(&report.folder, &["kit.recovery.001"]) == before);
    // Another bundle's.
    let mut others = contents();
    others[4].1[0] ^= 1;
    let elsewhere = Sandbox::new();
    bundle_with(
        &elsewhere,
        &input(&elsewhere, "kit", &others),
        PackOptions { recovery: 0.0, recovery_volumes: 1, ..PackOptions::default() },
    );
    fs_err::copy(elsewhere.path("bundle/kit.recovery.001"), report.folder.join("kit.recovery.001")).unwrap();
    let repaired = repair(&report.folder, 0, &Silent).unwrap();
    assert!(repaired.now.is_good(), "{}", repaired.now);
    assert!(tree(&report.folder, &["kit.recovery.001"]) == before);
    // No recovery volume at all.
    fs_err::write(report.folder.join("kit.recovery.001"), b"nonsense").unwrap();
    assert_eq!(repair(&report.folder, 0, &Silent).unwrap().unused.len(), 1);
}

#[test]
fn verification_names_damaged_and_missing_recovery_volumes() {
    let sandbox = Sandbox::new();
    let report = protected(&sandbox, 2, None, 0.0);
    damage(&report.folder.join("kit.recovery.001"), Damage::FlippedBit { offset: 1_000_000, bit: 2 });
    damage(&report.folder.join("kit.recovery.002"), Damage::Removed);
    let found = Bundle::open(&report.folder).unwrap().verify(0, &Silent).unwrap_err();
    let said: Vec<_> = found.findings.iter().map(|finding| finding.subject.as_str()).collect();
    assert_eq!(said, ["kit.recovery.001", "kit.recovery.002"]);
    let Problem::Damaged { offset, length, .. } = &found.findings[0].problem else { panic!("{found}") };
    assert!((*offset..offset + length).contains(&1_000_000), "{found}");
    assert_eq!(found.findings[1].problem, Problem::Missing);
}

#[test]
fn what_cannot_be_made_is_refused_before_anything_is_written() {
    let sandbox = Sandbox::new();
    let input = input(&sandbox, "kit", &contents());
    let options = PackOptions { out: sandbox.path("bundle"), recovery_volumes: 1, ..PackOptions::default() };
    let several = PackOptions { next: vec![sandbox.path("second")], ..options.clone() };
    let error = pack(&input, &several, &Silent).unwrap_err();
    assert!(matches!(error, PackError::RecoveryOnSticks), "{error}");
    assert!(error.hint().unwrap().contains("--volume-size"));
    let error = pack(&input, &PackOptions { recovery_volumes: 65, ..options }, &Silent).unwrap_err();
    assert!(matches!(error, PackError::RecoveryVolumes(_)), "{error}");
    assert!(!sandbox.path("bundle/kit.tar.zst").exists() && !sandbox.path("second").exists());
}
