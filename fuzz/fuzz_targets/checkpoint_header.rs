//! Any bytes as a model file: an error or a description, never a panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(info) = engine::checkpoint::inspect_bytes("fuzz", bytes) {
        assert!(info.bytes == bytes.len() as u64);
        assert!(info.parameters <= info.bytes);
    }
});
