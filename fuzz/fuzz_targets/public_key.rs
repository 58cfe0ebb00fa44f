//! Any text as a public key, alone or in its file: an error or a key that reads back and has its six words.

#![no_main]

use libfuzzer_sys::fuzz_target;
use manifest::PublicKey;

fuzz_target!(|text: &str| {
    let Ok(key) = text.parse::<PublicKey>() else { return };
    assert_eq!(key.to_string().parse(), Ok(key.clone()));
    assert_eq!(format!("untrusted comment: minisign public key\n{key}\n").parse(), Ok(key.clone()));
    assert_eq!(key.words().split(' ').filter(|word| !word.is_empty()).count(), 6);
});
