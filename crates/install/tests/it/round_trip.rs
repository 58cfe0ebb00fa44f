//! Pack, verify, install: what goes in comes out.

use crate::kit;
use crate::kit::unsigned;
use install::{Action, Bundle, InstallOptions, InstallPlan, current, inspect, install, roll_back, verify_home};
use manifest::{Silent, layout};
use testkit::sandbox::Sandbox;

#[test]
fn what_goes_in_comes_out() {
    let sandbox = Sandbox::new();
    let report = kit::bundle(&sandbox);
    assert!(report.volumes.len() >= 3, "{:?}", report.volumes);
    let bundle = Bundle::open(&report.folder).unwrap();
    assert_eq!(bundle.manifest(), &report.manifest);
    let (bundle, verified) = bundle.verify(2, &Silent).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(verified.bytes, report.bytes);
    let options = InstallOptions { home: kit::home(&sandbox), trust: unsigned(), ..Default::default() };
    let receipt = install(&bundle, &options, &Silent).unwrap();
    assert_eq!((receipt.generation, receipt.written, receipt.reused), (1, report.bytes, 0));
    let generation = current(&options.home).unwrap().unwrap();
    let mut expected = kit::contents();
    expected.sort();
    assert!(kit::tree(&generation.folder, &["MANIFEST.json", "receipt.json"]) == expected);
    assert!(verify_home(&options.home, 2, &Silent).unwrap().is_good());
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let sandbox = Sandbox::new();
    let mut input = kit::input(&sandbox, "kit", &kit::contents());
    let one = kit::pack_into(&sandbox, "one", &input, Some(6 << 20), 1);
    input.files.reverse();
    let two = kit::pack_into(&sandbox, "two", &input, Some(6 << 20), 3);
    assert_eq!(one.bundle_id, two.bundle_id);
    assert!(kit::tree(&one.folder, &[]) == kit::tree(&two.folder, &[]));
}

#[test]
fn what_fits_one_volume_is_called_like_an_archive() {
    let sandbox = Sandbox::new();
    let input = kit::input(&sandbox, "kit", &kit::short_contents(1));
    let report = kit::pack_into(&sandbox, "bundle", &input, None, 2);
    let names = Sandbox::files_below(&report.folder);
    assert_eq!(names, ["SHA256SUMS", "START-HERE.txt", "fieldforge", "kit.tar.zst"]);
    // The folder and the archive in it mean the same.
    for path in [report.folder.clone(), report.folder.join("kit.tar.zst")] {
        assert_eq!(Bundle::open(&path).unwrap().id(), report.bundle_id);
    }
    let inspection = inspect(&report.folder).unwrap();
    assert_eq!((inspection.components[0].files, inspection.bytes), (6, report.bytes));
    let said = inspection.to_string();
    assert!(said.contains("CC0-1.0") && said.contains("volume `kit.tar.zst`"), "{said}");
}

#[test]
fn a_second_generation_links_what_is_there_and_rolls_back() {
    let sandbox = Sandbox::new();
    let options = InstallOptions { home: kit::home(&sandbox), trust: unsigned(), ..Default::default() };
    let first = kit::short_bundle(&sandbox, "first", 1);
    install(&Bundle::open(&first.folder).unwrap(), &options, &Silent).unwrap();
    let mut changed = kit::short_contents(1);
    changed[2].1 = b"another".to_vec();
    let second = kit::pack_into(&sandbox, "second", &kit::input(&sandbox, "kit", &changed), None, 2);
    let bundle = Bundle::open(&second.folder).unwrap();
    let plan = InstallPlan::new(&bundle, &options).unwrap();
    assert_eq!((plan.generation, plan.previous, plan.bytes_to_write()), (2, Some(1), 7));
    assert!(matches!(plan.files[0].action, Action::Link { .. }));
    assert!(plan.to_string().contains("5 files are there already"), "{plan}");
    let program = Some(sandbox.path("source-program"));
    let receipt = install(&bundle, &InstallOptions { program, ..options.clone() }, &Silent).unwrap();
    assert_eq!((receipt.written, receipt.previous), (7, Some(1)));
    assert!(options.home.join(layout::PROGRAM).is_file());
    assert!(verify_home(&options.home, 2, &Silent).unwrap().is_good());
    let generation = current(&options.home).unwrap().unwrap();
    assert!(kit::tree(&generation.folder, &["MANIFEST.json", "receipt.json"]) == changed);

    assert_eq!(roll_back(&options.home).unwrap().number, 1);
    assert_eq!(current(&options.home).unwrap().unwrap().manifest.id(), first.bundle_id);
    let error = roll_back(&options.home).unwrap_err();
    assert!(error.to_string().contains("nothing older than generation 1"), "{error}");
    // Installing it again takes the complete folder that lies there.
    let receipt = install(&bundle, &options, &Silent).unwrap();
    assert_eq!((receipt.generation, receipt.written), (2, 0));
}

#[test]
fn a_damaged_file_of_the_generation_before_is_not_linked() {
    let sandbox = Sandbox::new();
    let options = InstallOptions { home: kit::home(&sandbox), trust: unsigned(), ..Default::default() };
    let report = kit::short_bundle(&sandbox, "bundle", 1);
    let bundle = Bundle::open(&report.folder).unwrap();
    install(&bundle, &options, &Silent).unwrap();
    let file = current(&options.home).unwrap().unwrap().folder.join("parts/odds/3.bin");
    testkit::damage::damage(&file, testkit::damage::Damage::FlippedBit { offset: 70, bit: 3 });
    let report = verify_home(&options.home, 2, &Silent).unwrap();
    assert_eq!(
        report.to_string(),
        "`parts/odds/3.bin`: damaged: 2.9 KiB at offset 0 bytes (0): it does not match the manifest\n1 thing is wrong"
    );
    let receipt = install(&bundle, &options, &Silent).unwrap();
    assert_eq!((receipt.generation, receipt.written), (2, 3003));
    assert!(verify_home(&options.home, 2, &Silent).unwrap().is_good());
}
