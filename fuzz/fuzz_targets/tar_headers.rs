//! Any bytes as the first frames of an archive: only the headers that the writer makes are taken for what they are.

#![no_main]

use libfuzzer_sys::fuzz_target;
use manifest::{manifest_header, parse_manifest_header, parse_signature_header};

fuzz_target!(|input: (u32, &[u8])| {
    let (manifest, header) = input;
    if let Some(size) = parse_manifest_header(header) {
        assert_eq!(manifest_header(size), header);
    }
    if let Some(size) = parse_signature_header(header, u64::from(manifest)) {
        assert!(header.len() >= 512 && header.len() < 1024, "a signature of {size} bytes");
    }
});
