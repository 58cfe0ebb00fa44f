//! Any text as a signature file and its trusted comment: an error or a signature that checks again, never a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use manifest::Signature;

fuzz_target!(|text: &str| {
    let manifest = b"a table of contents";
    if let Ok(signature) = Signature::check(manifest, text) {
        assert_eq!(signature.text(), text);
        assert!(text.contains(&signature.key().to_string()), "the trusted comment names the key");
        assert!(Signature::check(b"another one", text).is_err());
    }
});
