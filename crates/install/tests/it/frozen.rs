//! Frozen folders: whatever their files are called, they come back bit for bit.

use crate::kit::{input, short_bundle, unsigned};
use bundler::{Content, PackFile, PackFrozen, PackInput, PackOptions, PackReport, SurveyedFile, pack};
use install::{Bundle, InstallError, InstallOptions, RestoreError, RestoreOptions, Restored, Walk, install, restore};
use manifest::{Edition, Frozen, FrozenKind, Inventory, Sha256, Silent, layout};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use testkit::damage::{Damage, damage};
use testkit::sandbox::{Sandbox, half_precision_weights, noise};

/// A folder with everything that makes trouble elsewhere.
fn odd_folder(sandbox: &Sandbox) -> PathBuf {
    let folder = sandbox.path("odd");
    let write = |name: &[u8], content: &[u8]| {
        let path = folder.join(OsStr::from_bytes(name));
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, content).unwrap();
        path
    };
    write(b"plain.txt", b"hello");
    write(b"same again.txt", b"hello");
    write(b"README", b"upper");
    write(b"readme", b"lower");
    write(b"CON", b"device");
    write(b"a:b*?.png", &noise(1, 700));
    write(b"dots./in.part", b"reserved");
    write(b"\xff\xfe 100 %", b"no text");
    write(&[b'x'; 250], b"long");
    write(b"deep/deeper/deepest/weights.safetensors", &half_precision_weights(2, (5 << 20) + 3));
    write(b"empty", b"");
    let program = write(b"bin/run", b"#!/bin/sh\n");
    fs_err::set_permissions(&program, PermissionsExt::from_mode(0o751)).unwrap();
    fs_err::hard_link(folder.join("plain.txt"), folder.join("deep/second name")).unwrap();
    symlink("../plain.txt", folder.join("deep/link")).unwrap();
    symlink("/nowhere/\u{1f34c}", folder.join("away")).unwrap();
    fs_err::create_dir_all(folder.join("locked/empty")).unwrap();
    write(b"locked/file", b"behind a folder that cannot be written to");
    fs_err::set_permissions(folder.join("locked"), PermissionsExt::from_mode(0o2555)).unwrap();
    let sparse = fs_err::File::create(folder.join("sparse")).unwrap();
    sparse.set_len(9 << 20).unwrap();
    let long_ago = std::time::UNIX_EPOCH + std::time::Duration::new(981_173_106, 789_000_001);
    sparse.set_modified(long_ago).unwrap();
    folder
}

/// Freezes a folder into `sandbox/out`, leaving out what is in `earlier`.
fn freeze(sandbox: &Sandbox, folder: &Path, out: &str, earlier: &[&PackReport]) -> PackReport {
    let walk = Walk::of_folder(folder).unwrap();
    let digests: HashMap<_, _> =
        walk.files().map(|(path, _)| (path.clone(), Sha256::of(&fs_err::read(walk.place(path)).unwrap()))).collect();
    let (tree, stored) = walk.tree(&digests);
    let entries =
        || earlier.iter().flat_map(|report| &report.manifest.files).filter(|file| file.path.as_str() != layout::TREE);
    let id: manifest::ComponentId = "folder".parse().unwrap();
    let mut files: Vec<PackFile> = stored
        .iter()
        .map(|file| PackFile {
            path: file.stored.clone(),
            component: id.clone(),
            content: Content::Disk(walk.place(&file.path)),
            size: file.size,
            sha256: file.sha256,
            surveyed: entries()
                .find(|entry| entry.sha256 == file.sha256)
                .map(|entry| Arc::new(SurveyedFile::known(entry))),
        })
        .collect();
    let text = tree.to_json();
    files.push(PackFile {
        path: layout::TREE.parse().unwrap(),
        component: id.clone(),
        size: text.len() as u64,
        sha256: Sha256::of(&text),
        content: Content::Bytes(text.into()),
        surveyed: None,
    });
    let have = Inventory {
        format: 1,
        made_by: "test".to_owned(),
        bundle: "frozen".to_owned(),
        sequence: 0,
        files: entries().cloned().collect(),
    };
    let edition = |report: &&PackReport| Edition {
        name: report.manifest.name.clone(),
        sequence: report.manifest.sequence,
        id: report.bundle_id,
    };
    let mut component = input(sandbox, "frozen", &[]).components.remove(0);
    component.id = id;
    let input = PackInput {
        files,
        components: vec![component],
        sequence: earlier.len() as u64 + 1,
        have: Some(&have),
        frozen: Some(PackFrozen {
            frozen: Frozen { what: FrozenKind::Folder, builds_on: earlier.iter().map(edition).collect() },
            seen: Vec::new(),
        }),
        ..input(sandbox, "frozen", &[])
    };
    let options = PackOptions { out: sandbox.path(out), ..PackOptions::default() };
    pack(&input, &options, &Silent).unwrap()
}

fn try_restore(sandbox: &Sandbox, bundles: &[&str], to: &str) -> Result<Restored, RestoreError> {
    let bundles: Vec<_> = bundles.iter().map(|folder| Bundle::open(&sandbox.path(folder)).unwrap()).collect();
    let options = RestoreOptions { to: sandbox.path(to), threads: 2, trust: unsigned() };
    restore(&bundles, &options, &Silent)
}

/// Everything about everything in a folder.
fn facts(folder: &Path) -> Vec<(PathBuf, u32, i64, i64, Vec<u8>, u64)> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(inside) = folders.pop() {
        let path = folder.join(&inside);
        let metadata = std::fs::symlink_metadata(&path).unwrap();
        let content = if metadata.is_symlink() {
            fs_err::read_link(&path).unwrap().into_os_string().as_bytes().to_vec()
        } else if metadata.is_dir() {
            folders.extend(fs_err::read_dir(&path).unwrap().map(|entry| inside.join(entry.unwrap().file_name())));
            Vec::new()
        } else {
            fs_err::read(&path).unwrap()
        };
        let names = if metadata.is_file() { metadata.nlink() } else { 0 };
        found.push((inside, metadata.mode(), metadata.mtime(), metadata.mtime_nsec(), content, names));
    }
    found.sort();
    found
}

#[test]
fn a_folder_of_odd_names_comes_back_bit_for_bit() {
    let sandbox = Sandbox::new();
    let folder = odd_folder(&sandbox);
    let before = facts(&folder);
    let report = freeze(&sandbox, &folder, "bundle", &[]);
    let stored = report.manifest.files.iter().filter(|file| file.path.as_str() != layout::TREE).count();
    assert_eq!(stored, 13, "equal contents are stored once: {:?}", report.manifest.files);
    assert!(Bundle::open(&report.folder).unwrap().verify(2, &Silent).is_ok());
    let restored = try_restore(&sandbox, &["bundle"], "else where/again").unwrap();
    assert_eq!(restored.files, 15);
    assert!(facts(&sandbox.path("else where/again")) == before);
    assert!(!layout::partial(&sandbox.path("else where/again")).exists());
    // Frozen again, it is the same bundle.
    let again = freeze(&sandbox, &sandbox.path("else where/again"), "bundle again", &[]);
    assert_eq!(again.bundle_id, report.bundle_id);
}

#[test]
fn a_later_one_holds_only_what_changed_and_names_what_it_needs() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path("home");
    let write = |name: &str, content: &[u8]| sandbox.write(&format!("home/{name}"), content);
    let model = |header: &str| {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(half_precision_weights(3, 9 << 20));
        bytes
    };
    write("model.safetensors", &model("{}"));
    write("old.txt", b"old");
    let first = freeze(&sandbox, &folder, "first", &[]);
    write("model.safetensors", &model("{\"__metadata__\":{\"title\":\"longer\"}}"));
    write("new.txt", b"new");
    let second = freeze(&sandbox, &folder, "second", &[&first]);
    fs_err::rename(folder.join("model.safetensors"), folder.join("renamed.safetensors")).unwrap();
    fs_err::remove_file(folder.join("old.txt")).unwrap();
    let before = facts(&folder);
    let third = freeze(&sandbox, &folder, "third", &[&first, &second]);
    let size = |report: &PackReport| report.volumes.iter().map(|(_, size)| size).sum::<u64>();
    assert!(size(&first) > 7 << 20 && size(&second) < 1 << 18 && size(&third) < 1 << 18);
    for (at, bundles) in [["third", "first", "second"], ["first", "second", "third"]].iter().enumerate() {
        try_restore(&sandbox, bundles, &format!("again {at}")).unwrap();
        assert!(facts(&sandbox.path(&format!("again {at}"))) == before);
    }
    let error = try_restore(&sandbox, &["third", "second"], "again").unwrap_err();
    let RestoreError::Lacking { lacking, .. } = &error else { panic!("{error}") };
    assert!(lacking.len() == 1 && lacking[0].id == first.bundle_id, "{error}");
    assert!(!sandbox.path("again").exists() && !layout::partial(&sandbox.path("again")).exists());
}

#[test]
fn what_is_wrong_is_refused_before_anything_is_written() {
    let sandbox = Sandbox::new();
    let folder = odd_folder(&sandbox);
    let report = freeze(&sandbox, &folder, "bundle", &[]);
    short_bundle(&sandbox, "kit", 1);
    let options = InstallOptions { home: sandbox.path("home"), trust: unsigned(), ..Default::default() };
    let error = install(&Bundle::open(&report.folder).unwrap(), &options, &Silent).unwrap_err();
    assert!(matches!(error, InstallError::Frozen { .. }) && error.hint().unwrap().contains("restore"), "{error}");
    let error = try_restore(&sandbox, &["kit"], "again").unwrap_err();
    assert!(matches!(error, RestoreError::NotFrozen { .. }) && error.hint().unwrap().contains("install"), "{error}");
    sandbox.write("full/mine", b"mine");
    let error = try_restore(&sandbox, &["bundle"], "full").unwrap_err();
    assert!(matches!(error, RestoreError::NotEmpty { .. }), "{error}");
    sandbox.write("again.part/mine", b"mine");
    let error = try_restore(&sandbox, &["bundle"], "again").unwrap_err();
    assert!(matches!(error, RestoreError::StagingTaken { .. }), "{error}");
    assert_eq!(fs_err::read(sandbox.path("again.part/mine")).unwrap(), b"mine");
    let error = try_restore(&sandbox, &["bundle"], "bundle/inside").unwrap_err();
    assert!(matches!(error, RestoreError::InsideBundle { .. }), "{error}");
    let bundles = [Bundle::open(&report.folder).unwrap()];
    let options = RestoreOptions { to: sandbox.path("elsewhere"), ..RestoreOptions::default() };
    let error = restore(&bundles, &options, &Silent).unwrap_err();
    assert!(matches!(error, RestoreError::Unsigned { .. }), "{error}");
}

#[test]
fn a_damaged_backup_restores_nothing_and_goes_on_when_it_is_whole_again() {
    let sandbox = Sandbox::new();
    let folder = odd_folder(&sandbox);
    let before = facts(&folder);
    let report = freeze(&sandbox, &folder, "bundle", &[]);
    let volume = report.folder.join(&report.volumes[0].0);
    let intact = fs_err::read(&volume).unwrap();
    damage(&volume, Damage::Truncated { length: intact.len() as u64 * 2 / 3 });
    let error = try_restore(&sandbox, &["bundle"], "again").unwrap_err();
    assert!(matches!(error, RestoreError::Damaged { .. }), "{error}");
    assert!(!sandbox.path("again").exists());
    fs_err::write(&volume, &intact).unwrap();
    // Whatever lies there is compared first.
    let contents = sandbox.path("again.part/contents");
    for entry in fs_err::read_dir(&contents).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs_err::read(&path).unwrap();
        if let Some(last) = bytes.last_mut() {
            *last ^= 1;
            fs_err::write(&path, bytes).unwrap();
        }
    }
    try_restore(&sandbox, &["bundle"], "again").unwrap();
    assert!(facts(&sandbox.path("again")) == before);
}

#[test]
fn what_cannot_be_frozen_is_named() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path("folder");
    sandbox.write("folder/good", b"good");
    let _socket = std::os::unix::net::UnixListener::bind(folder.join("socket")).unwrap();
    let walk = Walk::of_folder(&folder).unwrap();
    let special: Vec<_> = walk.special.iter().map(|lost| (lost.path.to_string(), lost.reason.as_str())).collect();
    assert_eq!(special, [("socket".to_owned(), "it is a socket")]);
    let (tree, stored) = walk.tree(&HashMap::new());
    assert!(stored.is_empty() && tree.entries.len() == 1, "a file without a digest is not in it");
    assert_eq!(tree.left_out, walk.special);
}
