//! Any text as a prompt: every pass of both grammars, never a panic.
#![no_main]

use engine::prompt::{PromptSchedule, PromptSteps, comfy_pieces, parts, pieces, take_networks};

libfuzzer_sys::fuzz_target!(|text: &str| {
    for part in parts(&take_networks(text).text) {
        for steps in [PromptSteps::first_pass(20), PromptSteps::second_pass(20, 10)] {
            let schedule = PromptSchedule::read(&part.text, steps);
            assert!(schedule.entries().is_sorted_by_key(|entry| entry.until));
            for entry in schedule.entries() {
                assert!(pieces(&entry.text).iter().all(|piece| !piece.weight.is_nan()));
            }
        }
    }
    assert!(comfy_pieces(text).iter().all(|piece| !piece.weight.is_nan()));
});
