//! docs/format.md is enough to write a second reader: here is one, in Python, of what stands there.

use crate::golden::{contents, folder};
use crate::kit::tree;
use manifest::layout;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use testkit::sandbox::Sandbox;

fn read(target: &Path, folders: &[PathBuf]) -> Output {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/second_reader.py");
    Command::new("python3").arg(script).arg(target).args(folders).output().expect("python3")
}

#[test]
fn a_reader_that_knows_only_the_description_reads_every_golden_bundle() {
    let sandbox = Sandbox::new();
    for (name, edition) in [("plain", 1), ("signed", 1), ("planes", 1), ("unknown", 1), ("volumes", 3), ("recovery", 3)]
    {
        let target = sandbox.path(name);
        let output = read(&target, &[folder(name)]);
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let mut found = tree(&target, &[]);
        found.retain(|(path, _)| !path.starts_with("parts/unplanes/"));
        let mut expected = contents(edition);
        expected.sort();
        assert!(found == expected, "{name}");
    }
}

#[test]
fn it_reads_volumes_on_several_sticks_and_refuses_what_is_damaged() {
    let sandbox = Sandbox::new();
    let sticks = ["first", "second"].map(|name| sandbox.path(name));
    for (number, stick) in [(1, &sticks[0]), (2, &sticks[1]), (3, &sticks[0])] {
        let name = layout::volume_name("golden", number);
        fs_err::create_dir_all(stick).unwrap();
        fs_err::copy(folder("volumes").join(&name), stick.join(&name)).unwrap();
    }
    let [first, second] = sticks.clone();
    assert!(read(&sandbox.path("target"), &[second.clone(), first.clone()]).status.success());
    assert!(!read(&sandbox.path("half"), std::slice::from_ref(&first)).status.success(), "a volume is missing");
    let place = second.join(layout::volume_name("golden", 2));
    let mut bytes = fs_err::read(&place).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs_err::write(&place, bytes).unwrap();
    assert!(!read(&sandbox.path("hurt"), &[first, second]).status.success(), "a bit is wrong");
}
