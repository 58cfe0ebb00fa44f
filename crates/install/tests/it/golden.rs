//! The bundles in `tests/golden`, which are kept for ever: whatever this program becomes, it reads them.

use crate::kit::{home, input, tree, unsigned};
use bundler::{PackInput, PackOptions, SigningKey, pack};
use install::scan::{FrameScanner, Scanned};
use install::{Bundle, InstallOptions, Trust, current, install, inventory, repair, verify_home};
use manifest::frame::{SeekTable, VolumeEnd};
use manifest::{BundleManifest, ByteSize, Inventory, Sha256, Silent, layout};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use testkit::damage::{Damage, damage};
use testkit::sandbox::{Sandbox, noise};

pub(crate) type Contents = Vec<(String, Vec<u8>)>;

pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// A safetensors file with bfloat16 weights.
fn model(header: &str) -> Vec<u8> {
    let noise = noise(7, 20_000);
    let sums = noise.as_chunks::<4>().0.iter().map(|four| four.iter().map(|byte| f32::from(*byte) - 127.5).sum());
    let weights = sums.flat_map(|sum: f32| ((sum * 1.3e-4).to_bits() >> 16).to_le_bytes().into_iter().take(2));
    (header.len() as u64).to_le_bytes().into_iter().chain(header.bytes()).chain(weights).collect()
}

/// What the first bundle holds: `edition` 1; what the update makes of it: `edition` 2; a little more, for several volumes:
/// `edition` 3.
pub(crate) fn contents(edition: u8) -> Contents {
    let mut zeros = vec![0; 5 << 20];
    zeros.extend([edition; 9]);
    let header = if edition != 2 { "{}" } else { "{\"__metadata__\":{\"title\":\"second\"}}" };
    let mut contents = vec![
        ("models/checkpoints/weights.safetensors".to_owned(), model(header)),
        ("parts/odds/Grüße 猫 (final).txt".to_owned(), "a text, with a line\n".repeat(99).into_bytes()),
        ("parts/odds/empty".to_owned(), Vec::new()),
        (format!("parts/odds/{}/end.bin", "long-name-".repeat(15)), noise(4, 600)),
        ("parts/odds/noise.bin".to_owned(), noise(2, 9_000)),
        ("parts/odds/zeros.bin".to_owned(), zeros),
    ];
    if edition == 2 {
        contents.push(("parts/odds/new.txt".to_owned(), b"new".to_vec()));
    }
    if edition == 3 {
        contents.push(("parts/odds/more.bin".to_owned(), noise(5, 9_000)));
    }
    contents
}

/// Packs what a golden bundle holds into `sandbox/NAME`, as today's writer does.
fn make(sandbox: &Sandbox, name: &str, have: Option<&Inventory>, key: Option<&SigningKey>) -> PathBuf {
    let edition = match name {
        "update" => 2,
        "volumes" | "recovery" => 3,
        _ => 1,
    };
    let input = PackInput {
        have,
        key,
        sequence: u64::from(edition),
        made_by: "fieldforge 0.1.0".to_owned(),
        ..input(sandbox, "golden", &contents(edition))
    };
    let options = PackOptions {
        out: sandbox.path(name),
        threads: 2,
        volume_size: match name {
            "volumes" => Some(ByteSize(10 << 10)),
            // Recovery volumes, which need digests of their own, must keep to it, too.
            "recovery" => Some(ByteSize(20 << 10)),
            _ => None,
        },
        recovery_volumes: if name == "recovery" { 2 } else { 0 },
        recovery: if name == "signed" { PackOptions::RECOVERY } else { 0.0 },
        planes: name == "planes",
        ..PackOptions::default()
    };
    pack(&input, &options, &Silent).unwrap().folder
}

/// A bundle with frames that no version knows: what a later one may put between others.
fn with_unknown_frames(folder: &Path) {
    let unknown = |magic: u32, length: usize| {
        let content = noise(length as u64, length);
        [&magic.to_le_bytes()[..], &(length as u32).to_le_bytes(), &content].concat()
    };
    let volume = folder.join(layout::archive_name("golden"));
    let before = fs_err::read(&volume).unwrap();
    let mut scanner = FrameScanner::new(Cursor::new(&before), false);
    let (mut after, mut table, mut number) = (Vec::new(), SeekTable::default(), 0u32);
    loop {
        let from = scanner.offset() as usize;
        let found = scanner.next_frame(Vec::new(), true).unwrap();
        let frame = &before[from..scanner.offset() as usize];
        let mut push = |frame: &[u8], content: usize| {
            after.extend(frame);
            table.push(frame.len() as u64, content as u64);
        };
        match found {
            Some(Scanned::Frame { content, .. }) => {
                push(frame, content);
                push(&unknown(0x184D_2A52 + number % 12, 3 * number as usize), 0);
                number += 1;
            }
            Some(Scanned::Skippable { content, .. }) => match VolumeEnd::parse(&content) {
                Ok(end) => {
                    push(&unknown(0x184D_2A5D, 9_000), 0);
                    let end = VolumeEnd { sha256: Sha256::of(&after), ..end }.encode();
                    after.extend(&end);
                    table.push(end.len() as u64, 0);
                    after.extend(table.encode());
                    break;
                }
                Err(_) => push(frame, 0),
            },
            None => panic!("a volume has an end"),
        }
    }
    fs_err::write(&volume, &after).unwrap();
    let sums = folder.join(layout::SHA256SUMS);
    let (old, new) = (Sha256::of(&before).to_string(), Sha256::of(&after).to_string());
    fs_err::write(&sums, fs_err::read_to_string(&sums).unwrap().replace(&old, &new)).unwrap();
}

/// Installs what lies in `folder` and compares every byte.
fn reads(sandbox: &Sandbox, folder: &Path, contents: &Contents) {
    let bundle = Bundle::open(folder).unwrap();
    let trust = if bundle.signature().is_some() { Trust::default() } else { unsigned() };
    let (bundle, _) = bundle.verify(2, &Silent).map_err(|report| report.to_string()).unwrap();
    install(&bundle, &InstallOptions { home: home(sandbox), trust, ..Default::default() }, &Silent).unwrap();
    let generation = current(&home(sandbox)).unwrap().unwrap();
    for (path, content) in contents {
        assert!(fs_err::read(generation.folder.join(path)).unwrap() == *content, "{path} differs");
    }
    assert!(verify_home(&home(sandbox), 2, &Silent).unwrap().is_good());
}

/// The golden bundle, copied to where it may be written to.
fn copied(sandbox: &Sandbox, name: &str) -> PathBuf {
    for (file, content) in tree(&folder(name), &[]) {
        sandbox.write(&format!("golden {name}/{file}"), &content);
    }
    sandbox.path(&format!("golden {name}"))
}

/// Volumes and their bytes.
fn volumes(folder: &Path) -> Vec<(String, Vec<u8>)> {
    tree(folder, &[]).into_iter().filter(|(name, _)| layout::parse_volume_name(name).is_some()).collect()
}

/// Today's writer makes the same volumes; a change of the format is a new version of it, with golden bundles of its own.
fn writes_the_same(made: &Path, name: &str) {
    let (made, kept) = (volumes(made), volumes(&folder(name)));
    let names = |volumes: &[(String, Vec<u8>)]| volumes.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&made), names(&kept), "{name}");
    for ((file, made), (_, kept)) in made.iter().zip(&kept) {
        let first = made.iter().zip(kept).position(|(a, b)| a != b);
        assert!(made == kept, "the writer makes other bytes of `{name}/{file}`, from byte {first:?} on");
    }
}

#[test]
fn a_signed_bundle_with_recovery_data_is_read_and_repaired() {
    let sandbox = Sandbox::new();
    let golden = copied(&sandbox, "signed");
    reads(&sandbox, &golden, &contents(1));
    let before = volumes(&golden);
    damage(&golden.join("golden.tar.zst"), Damage::Zeroed { offset: 30_000, length: 5_000 });
    assert!(repair(&golden, 2, &Silent).unwrap().now.is_good());
    assert!(volumes(&golden) == before);
}

#[test]
fn several_volumes_are_read_and_written_as_ever() {
    let sandbox = Sandbox::new();
    let golden = copied(&sandbox, "volumes");
    assert_eq!(volumes(&golden).len(), 3);
    reads(&sandbox, &golden, &contents(3));
    writes_the_same(&make(&sandbox, "volumes", None, None), "volumes");
}

#[test]
fn recovery_volumes_are_read_and_written_as_ever() {
    let sandbox = Sandbox::new();
    let golden = copied(&sandbox, "recovery");
    reads(&sandbox, &golden, &contents(3));
    let before = tree(&golden, &[]);
    let made = make(&sandbox, "recovery", None, None);
    writes_the_same(&made, "recovery");
    for number in 1..=2 {
        let name = layout::recovery_name("golden", number);
        assert!(fs_err::read(made.join(&name)).unwrap() == fs_err::read(golden.join(&name)).unwrap(), "{name}");
    }
    damage(&golden.join(layout::volume_name("golden", 1)), Damage::Removed);
    damage(&golden.join(layout::volume_name("golden", 2)), Damage::Zeroed { offset: 500, length: 5_000 });
    assert!(repair(&golden, 2, &Silent).unwrap().now.is_good());
    assert!(tree(&golden, &[]) == before);
}

#[test]
fn an_update_is_read_and_written_as_ever() {
    let sandbox = Sandbox::new();
    reads(&sandbox, &copied(&sandbox, "plain"), &contents(1));
    let have = inventory(&home(&sandbox)).unwrap();
    let golden = copied(&sandbox, "update");
    let carried = Bundle::open(&golden).unwrap().manifest().files.iter().filter(|file| file.carried.is_some()).count();
    assert_eq!(carried, 6, "all but the new file are there, or parts of them");
    reads(&sandbox, &golden, &contents(2));
    writes_the_same(&make(&sandbox, "update", Some(&have), None), "update");
    writes_the_same(&make(&sandbox, "plain", None, None), "plain");
}

#[test]
fn byte_planes_are_read_and_written_as_ever() {
    let sandbox = Sandbox::new();
    let golden = copied(&sandbox, "planes");
    assert!(Bundle::open(&golden).unwrap().manifest().files[0].codec.is_some());
    reads(&sandbox, &golden, &contents(1));
    writes_the_same(&make(&sandbox, "planes", None, None), "planes");
}

#[test]
fn frames_that_nobody_knows_are_passed_over() {
    let sandbox = Sandbox::new();
    let golden = copied(&sandbox, "unknown");
    reads(&sandbox, &golden, &contents(1));
    let plain = volumes(&folder("plain"));
    assert!(volumes(&golden)[0].1.len() > plain[0].1.len() + 9_000);
}

/// Makes golden bundles that are not there yet, when `FIELDFORGE_GOLDEN=new` asks for it; those that are there stay.
#[test]
fn every_golden_bundle_is_there() {
    let sandbox = Sandbox::new();
    for name in ["plain", "signed", "volumes", "recovery", "planes", "unknown", "update"] {
        let kept = folder(name);
        if !kept.exists() && std::env::var("FIELDFORGE_GOLDEN").is_ok_and(|asked| asked == "new") {
            let key = SigningKey::parse(&SigningKey::generate(None).unwrap().secret, None).unwrap();
            let have = (name == "update").then(|| {
                reads(&sandbox, &folder("plain"), &contents(1));
                inventory(&home(&sandbox)).unwrap()
            });
            let made = make(&sandbox, name, have.as_ref(), (name == "signed").then_some(&key));
            if name == "unknown" {
                with_unknown_frames(&made);
            }
            for (file, content) in tree(&made, &[]) {
                fs_err::create_dir_all(&kept).unwrap();
                fs_err::write(kept.join(file), content).unwrap();
            }
        }
        let bundle = Bundle::open(&kept).unwrap();
        assert!(bundle.manifest().format <= BundleManifest::FORMAT && bundle.findings().is_empty(), "{name}");
    }
}
