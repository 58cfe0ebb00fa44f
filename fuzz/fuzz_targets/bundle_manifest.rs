//! Any bytes as a manifest: what is accepted has safe paths, is its own canonical form's source and has a plan.

#![no_main]

use libfuzzer_sys::fuzz_target;
use manifest::{ArchivePlan, BundleManifest};

fuzz_target!(|text: &[u8]| {
    let Ok(manifest) = BundleManifest::parse("MANIFEST.json", text) else { return };
    let again = BundleManifest::parse("MANIFEST.json", &manifest.to_json()).expect("what it writes, it reads");
    assert_eq!(again.id(), manifest.id());
    let plan = ArchivePlan::new(&manifest, None);
    for segment in plan.segments() {
        assert!(plan.literal(*segment).is_some() != plan.chunk(*segment).is_some());
    }
});
