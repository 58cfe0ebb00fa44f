//! Pack, verify, install: what goes in comes out.

mod kit;

use install::{Bundle, InstallOptions, current, install, roll_back, verify_home};
use manifest::Silent;
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
    let options = InstallOptions { home: kit::home(&sandbox), ..InstallOptions::default() };
    let receipt = install(&bundle, &options, &Silent).unwrap();
    assert_eq!((receipt.generation, receipt.written, receipt.reused), (1, report.bytes, 0));
    let generation = current(&options.home).unwrap().unwrap();
    let mut expected = kit::contents();
    expected.sort();
    assert!(kit::tree(&generation.folder, &["MANIFEST.json", "receipt.json"]) == expected);
    assert!(verify_home(&options.home, 2, &Silent).unwrap().is_good());
}
