//! Any bytes as the records that volumes begin and end with, and as a seek table: what is read is written the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use manifest::Sha256;
use manifest::frame::{SeekTable, VolumeEnd, VolumeHeader};

fuzz_target!(|content: &[u8]| {
    read(content);
    // No fuzzer guesses a SHA-256: the record gets the right check.
    if let Some((fields, _)) = content.split_last_chunk::<8>() {
        let mut mended = fields.to_vec();
        mended.extend(&Sha256::of(fields).as_bytes()[..8]);
        read(&mended);
    }
});

fn read(content: &[u8]) {
    if let Ok(header) = VolumeHeader::parse(content) {
        assert_eq!(&header.encode()[8..], content);
    }
    if let Ok(end) = VolumeEnd::parse(content) {
        assert_eq!(VolumeEnd::parse(&end.encode()[8..]), Ok(end));
    }
    let table = SeekTable::length_from(content);
    assert!(table == 0 || table >= 17);
}
