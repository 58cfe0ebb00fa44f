//! Any bytes as a PNG file: an error or a picture of the size that it states, never a panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok((picture, _text)) = engine::Picture::from_png(bytes) {
        assert!(picture.rgb.len() as u64 == u64::from(picture.width) * u64::from(picture.height) * 3);
    }
});
