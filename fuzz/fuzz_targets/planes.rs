//! Any bytes as a chunk and as the planes of one: what is split comes back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use manifest::Codec;

fuzz_target!(|bytes: &[u8]| {
    for codec in [Codec::Planes2, Codec::Planes4] {
        let (mut planes, mut back, mut other) = (Vec::new(), Vec::new(), Vec::new());
        codec.split(bytes, &mut planes);
        codec.join(&planes, &mut back);
        assert_eq!(back, bytes);
        codec.join(bytes, &mut other);
        assert_eq!(other.len(), bytes.len());
    }
});
