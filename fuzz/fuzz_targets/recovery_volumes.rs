//! Any bytes as a recovery volume: damage is told, and what is handed out to be written lies in a volume. Never a panic, nor
//! more work than there are bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use manifest::Sha256;
use recovery::RecoveryVolume;
use std::io::Cursor;

const TAG: &[u8] = b"FFRVL1\0\0";
/// Where a head says how many volumes there are, and what it says about each (docs/format.md).
const VOLUMES: usize = 56;
const OF_VOLUME: usize = 40;

fuzz_target!(|bytes: &[u8]| {
    use_it(bytes);
    // No fuzzer guesses a SHA-256: heads get the right one, so that what they state is looked at, too.
    let mut mended = bytes.to_vec();
    for at in 0..mended.len() {
        mend(&mut mended, at);
    }
    use_it(&mended);
});

fn use_it(bytes: &[u8]) {
    let mut file = Cursor::new(bytes);
    let Some(volume) = RecoveryVolume::open(&mut file).expect("memory can be read") else { return };
    let _ = volume.damage(&mut file).expect("memory can be read");
    let set = volume.set.clone();
    let mut found = [(volume, file)];
    let outcome = set.repair(
        &mut found,
        &mut |_, _, buffer| {
            buffer.fill(0);
            Ok(buffer.len())
        },
        &mut |number, at, bytes| {
            let size = set.volumes[number as usize - 1].size;
            assert!(at + bytes.len() as u64 <= size, "outside of the volume");
            Ok::<(), ()>(())
        },
        &mut |_| {},
    );
    assert_eq!(outcome.expect("nothing refuses").beyond_help.len(), set.volumes.len());
}

/// Writes the digest of the head that begins at `at`, if one does.
fn mend(bytes: &mut [u8], at: usize) {
    let Some(head) = bytes.get_mut(at..).filter(|rest| rest.starts_with(TAG) && rest.len() > VOLUMES + 4) else {
        return;
    };
    let volumes = u32::from_le_bytes(head[VOLUMES..VOLUMES + 4].try_into().expect("four bytes")) as usize;
    let Some(end) = volumes.checked_mul(OF_VOLUME).and_then(|long| long.checked_add(VOLUMES + 4)) else { return };
    if let Some((content, rest)) = head.split_at_mut_checked(end)
        && let Some(digest) = rest.first_chunk_mut::<32>()
    {
        *digest = *Sha256::of(content).as_bytes();
    }
}
