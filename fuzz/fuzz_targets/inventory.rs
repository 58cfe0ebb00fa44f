//! Any bytes as an inventory: what is accepted reads back as it was, and every chunk of its files has a place.

#![no_main]

use libfuzzer_sys::fuzz_target;
use manifest::Inventory;

fuzz_target!(|text: &[u8]| {
    let Ok(inventory) = Inventory::parse("have.json", text) else { return };
    let again = Inventory::parse("have.json", &inventory.to_json()).expect("what it writes, it reads");
    assert_eq!(again, inventory);
    assert!(inventory.files().len() <= inventory.files.len());
    for file in &inventory.files {
        let mut end = 0;
        for index in 0..file.chunks.len() {
            let (offset, length) = file.place(index).expect("every chunk has a place");
            assert_eq!(offset, end);
            end += length;
        }
        assert_eq!(end, file.size);
        assert!(file.carried_bytes() <= file.size);
    }
});
