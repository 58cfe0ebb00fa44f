//! Any bytes as a volume with recovery data: sections are found, damage is told, and what is handed out to be written
//! lies in its section and has the digests of its record. Never a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use manifest::Sha256;
use recovery::find_sections;
use std::io::Cursor;

const TAG: &[u8] = b"FFREC1\0\0";
/// Where the fields of a record are, and where its digests of shards begin (docs/format.md).
const LENGTH: usize = 52;
const SHARD: usize = 60;
const GROUPS: usize = 68;
const DIGESTS: usize = 72;

fuzz_target!(|bytes: &[u8]| {
    search(bytes);
    // No fuzzer guesses a SHA-256: records get the right one, so that what they state is looked at, too.
    let mut mended = bytes.to_vec();
    for at in 0..mended.len() {
        mend(&mut mended, at);
    }
    search(&mended);
});

fn search(volume: &[u8]) {
    let sections = find_sections(&mut Cursor::new(volume)).expect("memory can be read");
    for section in &sections {
        let (from, to) = (section.start(), section.start() + section.length());
        let open = || Ok(Cursor::new(volume));
        let damage = section.damage(&open).expect("memory can be read");
        let mut after = volume.to_vec();
        let outcome = section.rebuild(&open, &damage, &mut |at, bytes| {
            assert!(from <= at && at + bytes.len() as u64 <= to, "outside of the section");
            put(&mut after, at, bytes);
            Ok(())
        });
        if outcome.is_ok() && section.length() < 1 << 20 {
            let now = section.damage(&|| Ok(Cursor::new(&after))).expect("memory can be read");
            assert_eq!(now.shards(), 0, "what was rebuilt is whole");
            let (frame, end) = (section.frame(), section.end());
            let again = section.encode_again(&mut Cursor::new(&after), &mut |at, bytes| {
                assert!(frame <= at && at + bytes.len() as u64 <= end, "outside of the frame");
                Ok(())
            });
            assert!(again.is_ok() || (after.len() as u64) < to);
        }
    }
}

fn put(volume: &mut Vec<u8>, at: u64, bytes: &[u8]) {
    let end = at as usize + bytes.len();
    if end < 1 << 20 {
        volume.resize(volume.len().max(end), 0);
        volume[at as usize..end].copy_from_slice(bytes);
    }
}

/// Writes the digest of the record that begins at `at`, if one does.
fn mend(volume: &mut [u8], at: usize) {
    let Some(record) = volume.get_mut(at..).filter(|rest| rest.starts_with(TAG) && rest.len() > DIGESTS) else {
        return;
    };
    let number = |at: usize| u32::from_le_bytes(record[at..at + 4].try_into().expect("four bytes"));
    let length = u64::from_le_bytes(record[LENGTH..LENGTH + 8].try_into().expect("eight bytes"));
    let (shard, groups) = (u64::from(number(SHARD)).max(1), u64::from(number(GROUPS)));
    let reached = length.div_ceil(shard.saturating_mul(64)).min(groups);
    let digests = length.div_ceil(shard).saturating_add(reached.saturating_mul(64));
    let Some(end) = usize::try_from(digests.saturating_mul(8)).ok().and_then(|long| long.checked_add(DIGESTS)) else {
        return;
    };
    if let Some((content, rest)) = record.split_at_mut_checked(end)
        && let Some(digest) = rest.first_chunk_mut::<32>()
    {
        *digest = *Sha256::of(content).as_bytes();
    }
}
