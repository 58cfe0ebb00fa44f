//! What recovery data can put back together, and what is said when they cannot.

use crate::kit::{bundle_with, contents, input, tree};
use bundler::{PackOptions, PackReport};
use install::{Bundle, RepairError, repair};
use manifest::{ByteSize, Silent};
use testkit::damage::{Damage, damage};
use testkit::sandbox::Sandbox;

/// A bundle in `sandbox/bundle` whose volumes are protected.
fn protected(sandbox: &Sandbox, percent: f64, volume: Option<u64>) -> PackReport {
    let options = PackOptions { volume_size: volume.map(ByteSize), recovery: percent, ..PackOptions::default() };
    bundle_with(sandbox, &input(sandbox, "kit", &contents()), options)
}

fn restores(sandbox: &Sandbox, what: &str, hurt: impl FnOnce(&std::path::Path)) {
    let folder = sandbox.path("bundle");
    let before = tree(&folder, &[]);
    hurt(&folder);
    assert_ne!(tree(&folder, &[]), before, "{what}: nothing was damaged");
    let report = repair(&folder, 0, &Silent).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(report.now.is_good(), "{what}: {}", report.now);
    assert!(report.volumes.iter().map(|volume| volume.rebuilt).sum::<u64>() > 0, "{what}");
    assert!(tree(&folder, &[]) == before, "{what}: some bytes are not the original ones");
}

#[test]
fn an_intact_bundle_is_left_alone() {
    let sandbox = Sandbox::new();
    protected(&sandbox, 2.0, None);
    let before = tree(&sandbox.path("bundle"), &[]);
    let report = repair(&sandbox.path("bundle"), 0, &Silent).unwrap();
    assert!(report.now.is_good());
    assert_eq!(report.volumes.iter().map(|volume| volume.rebuilt).sum::<u64>(), 0);
    assert!(tree(&sandbox.path("bundle"), &[]) == before);
}

#[test]
fn every_byte_comes_back_wherever_the_damage_is() {
    let sandbox = Sandbox::new();
    let volumes = protected(&sandbox, 5.0, Some(7 << 20)).volumes;
    assert!(volumes.len() >= 3, "{volumes:?}");
    for (name, size) in &volumes {
        let places =
            [0, 40, 5000, size / 3, size / 2, size * 9 / 10, size - 300_000, size - 30_000, size - 150, size - 1];
        for offset in places {
            restores(&sandbox, &format!("bit at {offset} of {name}"), |folder| {
                damage(&folder.join(name), Damage::FlippedBit { offset, bit: 3 });
            });
        }
        for offset in [0, size / 7, size / 2] {
            restores(&sandbox, &format!("hole at {offset} of {name}"), |folder| {
                damage(&folder.join(name), Damage::Zeroed { offset, length: size / 25 });
            });
        }
    }
    let (last, size) = volumes.last().unwrap();
    restores(&sandbox, "a tail of the last volume", |folder| {
        damage(&folder.join(last), Damage::Truncated { length: size - 3000 });
    });
    restores(&sandbox, "more than there was", |folder| damage(&folder.join(last), Damage::Appended));
    restores(&sandbox, "all volumes at once", |folder| {
        for (name, size) in &volumes {
            damage(&folder.join(name), Damage::Zeroed { offset: size / 4, length: 64 << 10 });
            damage(&folder.join(name), Damage::FlippedBit { offset: 3, bit: 0 });
            damage(&folder.join(name), Damage::FlippedBit { offset: size - 60, bit: 7 });
        }
    });
}

#[test]
fn what_is_beyond_help_is_named_and_the_rest_repaired() {
    let sandbox = Sandbox::new();
    let (name, size) = protected(&sandbox, 2.0, None).volumes.remove(0);
    let folder = sandbox.path("bundle");
    damage(&folder.join(&name), Damage::Zeroed { offset: size / 2, length: size / 10 });
    let report = repair(&folder, 0, &Silent).unwrap();
    let reason = report.volumes[0].beyond_help.clone().unwrap();
    assert!(reason.contains("bytes are lost in a part of the volume that has intact recovery data for"), "{reason}");
    assert!(!report.now.is_good());
    let said = report.now.to_string();
    assert!(said.contains("parts/odds") || said.contains("models/"), "{said}");
}

#[test]
fn without_recovery_data_that_is_said() {
    let sandbox = Sandbox::new();
    let (name, size) = protected(&sandbox, 0.0, None).volumes.remove(0);
    let folder = sandbox.path("bundle");
    damage(&folder.join(&name), Damage::Zeroed { offset: size / 2, length: 10 });
    let report = repair(&folder, 0, &Silent).unwrap();
    assert_eq!(report.volumes[0].beyond_help.as_deref(), Some("it has no recovery data, or they are lost"));
    assert_eq!(report.volumes[0].rebuilt, 0);
    assert!(!report.now.is_good());
}

#[test]
fn a_bundle_that_cannot_be_written_to_is_not_repaired_silently() {
    let sandbox = Sandbox::new();
    let (name, size) = protected(&sandbox, 2.0, None).volumes.remove(0);
    let folder = sandbox.path("bundle");
    damage(&folder.join(&name), Damage::FlippedBit { offset: size / 2, bit: 0 });
    let mut rights = fs_err::metadata(folder.join(&name)).unwrap().permissions();
    rights.set_readonly(true);
    fs_err::set_permissions(folder.join(&name), rights).unwrap();
    // The administrator may write all the same.
    match repair(&folder, 0, &Silent) {
        Err(error @ RepairError::ReadOnly { .. }) => assert!(error.hint().unwrap().contains("copy the bundle folder")),
        Ok(report) => assert!(report.now.is_good()),
        Err(error) => panic!("{error}"),
    }
    assert!(Bundle::open(&folder).is_ok());
}
