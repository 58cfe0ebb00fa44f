//! Any bytes as the inventory of a backup: what is accepted reads back as it was. No fuzzer guesses a SHA-256, so the digest
//! of what reads as one is made right, too.

#![no_main]

use libfuzzer_sys::fuzz_target;
use manifest::FrozenInventory;

fuzz_target!(|text: &[u8]| {
    let _ = FrozenInventory::parse("inventory.json", text);
    let Ok(inventory) = serde_json::from_slice::<FrozenInventory>(text) else { return };
    let summed = inventory.to_json();
    let Ok(read) = FrozenInventory::parse("inventory.json", &summed) else { return };
    assert_eq!(FrozenInventory { sum: None, ..read.clone() }, FrozenInventory { sum: None, ..inventory });
    assert_eq!(read.to_json(), summed);
});
