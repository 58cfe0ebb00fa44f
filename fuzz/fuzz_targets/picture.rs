//! Any bytes as a picture file: an error or a picture of the size that it states, never a panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(file) = engine::PictureFile::read(bytes) {
        let pixels = u64::from(file.picture.width) * u64::from(file.picture.height);
        assert!(file.picture.rgb.len() as u64 == pixels * 3);
        assert!(file.alpha.is_none_or(|alpha| alpha.len() as u64 == pixels));
    }
});
