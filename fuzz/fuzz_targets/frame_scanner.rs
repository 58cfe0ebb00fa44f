//! Any bytes as a volume: the scanner ends, stays within its bounds and agrees with zstd about what a frame is.

#![no_main]

use install::scan::{FrameScanner, Scanned};
use libfuzzer_sys::fuzz_target;
use std::io::Cursor;

fuzz_target!(|volume: &[u8]| {
    let mut scanner = FrameScanner::new(Cursor::new(volume), true);
    let mut from = 0;
    loop {
        match scanner.next_frame(Vec::new(), true) {
            Ok(None) => break,
            Ok(Some(Scanned::Frame { offset, bytes, content })) => {
                assert!(bytes.len() <= (4 << 20) + (256 << 10) && content <= 4 << 20);
                assert_eq!(volume.get(offset as usize..offset as usize + bytes.len()), Some(bytes.as_slice()));
                // What zstd decodes is as long as the frame said, or it is refused.
                if let Ok(decoded) = zstd::bulk::decompress(&bytes, content) {
                    assert_eq!(decoded.len(), content);
                }
            }
            Ok(Some(Scanned::Skippable { content, .. })) => assert!(content.len() <= 4096),
            Err(_) => match scanner.resume_after(from) {
                Ok(Some(next)) => {
                    assert!(next > from);
                    from = next;
                }
                _ => break,
            },
        }
        assert!(scanner.offset() <= volume.len() as u64);
    }
});
