//! What packing refuses, and what an interrupted packing leaves.

use crate::kit;
use bundler::{PackError, PackInput, PackOptions, pack};
use install::Bundle;
use manifest::{ByteSize, Event, Reporter, Silent, layout};
use std::path::PathBuf;
use testkit::damage::{Damage, damage};
use testkit::sandbox::Sandbox;

fn options(sandbox: &Sandbox) -> PackOptions {
    PackOptions { out: sandbox.path("out"), threads: 2, ..PackOptions::default() }
}

fn refusal(sandbox: &Sandbox, input: &PackInput<'_>) -> PackError {
    let error = pack(input, &options(sandbox), &Silent).unwrap_err();
    assert!(error.hint().is_some(), "{error}");
    error
}

#[test]
fn a_source_that_is_not_what_was_promised_is_named() {
    let sandbox = Sandbox::new();
    let input = kit::input(&sandbox, "kit", &kit::short_contents(1));
    damage(&sandbox.path("source/parts/odds/2.bin"), Damage::FlippedBit { offset: 5, bit: 1 });
    let error = refusal(&sandbox, &input);
    assert!(error.to_string().starts_with("`parts/odds/2.bin` is not the expected file"), "{error}");
    damage(&sandbox.path("source/parts/odds/2.bin"), Damage::Appended);
    let error = refusal(&sandbox, &input);
    assert_eq!(error.to_string(), "`parts/odds/2.bin` has 3021 bytes; 3002 were expected");
    damage(&sandbox.path("source/parts/odds/2.bin"), Damage::Removed);
    assert!(matches!(refusal(&sandbox, &input), PackError::Source { .. }));
    assert!(!sandbox.path("out").exists(), "nothing is written before all files are known to be right");
}

/// Changes a file between the two readings.
struct Meddler(PathBuf);

impl Reporter for Meddler {
    fn event(&self, event: &Event<'_>) {
        if let Event::TaskStart { task: "kit.tar.zst", .. } = event {
            damage(&self.0, Damage::FlippedBit { offset: 2_000, bit: 1 });
        }
    }
}

#[test]
fn a_source_that_changes_meanwhile_is_named_and_leaves_an_unfinished_folder() {
    let sandbox = Sandbox::new();
    let input = kit::input(&sandbox, "kit", &kit::short_contents(1));
    let meddler = Meddler(sandbox.path("source/parts/odds/5.bin"));
    let error = pack(&input, &options(&sandbox), &meddler).unwrap_err();
    assert!(error.to_string().starts_with("`parts/odds/5.bin` changed while it was being packed"), "{error}");
    let names = Sandbox::files_below(&sandbox.path("out"));
    let ours = [layout::UNFINISHED, layout::PACKING];
    assert!(
        names.iter().all(|name| name.ends_with(layout::PARTIAL_SUFFIX) || ours.contains(&name.as_str())),
        "{names:?}"
    );
    // Its own unfinished folder is taken again.
    damage(&meddler.0, Damage::FlippedBit { offset: 2_000, bit: 1 });
    let report = pack(&input, &options(&sandbox), &Silent).unwrap();
    assert_eq!(Sandbox::files_below(&report.folder), ["SHA256SUMS", "START-HERE.txt", "fieldforge", "kit.tar.zst"]);
    assert!(Bundle::open(&report.folder).unwrap().verify(1, &Silent).is_ok());
}

#[test]
fn what_lies_in_the_folder_is_not_overwritten_unless_asked() {
    let sandbox = Sandbox::new();
    let mut input = kit::input(&sandbox, "kit", &kit::short_contents(1));
    sandbox.write("out/thesis.txt", b"years of work");
    let error = refusal(&sandbox, &input);
    assert!(matches!(error, PackError::NotEmpty { bundle: None, .. }), "{error}");
    fs_err::remove_file(sandbox.path("out/thesis.txt")).unwrap();
    pack(&input, &options(&sandbox), &Silent).unwrap();
    let error = refusal(&sandbox, &input);
    assert!(error.to_string().ends_with("is not empty: it holds `kit.tar.zst`"), "{error}");
    sandbox.write("out/thesis.txt", b"years of work");
    input.name = "other";
    pack(&input, &PackOptions { replace: true, ..options(&sandbox) }, &Silent).unwrap();
    let names = Sandbox::files_below(&sandbox.path("out"));
    assert_eq!(names, ["SHA256SUMS", "START-HERE.txt", "fieldforge", "other.tar.zst", "thesis.txt"]);
}

#[test]
fn volumes_that_cannot_hold_a_frame_are_refused() {
    let sandbox = Sandbox::new();
    let input = kit::input(&sandbox, "kit", &kit::short_contents(1));
    let small = PackOptions { volume_size: Some(ByteSize(2000)), ..options(&sandbox) };
    let error = pack(&input, &small, &Silent).unwrap_err();
    assert!(matches!(error, PackError::VolumeTooSmall { .. }), "{error}");
}

#[test]
fn no_volume_is_longer_than_asked() {
    let sandbox = Sandbox::new();
    let report = kit::bundle(&sandbox);
    assert!(report.volumes.iter().all(|(_, size)| *size <= 6 << 20), "{:?}", report.volumes);
}

#[test]
fn the_note_for_the_finder_is_for_people() {
    let sandbox = Sandbox::new();
    let report = kit::bundle(&sandbox);
    let text = fs_err::read_to_string(report.folder.join(layout::START_HERE)).unwrap();
    expect_test::expect_file!["start_here.txt"].assert_eq(&text);
}
