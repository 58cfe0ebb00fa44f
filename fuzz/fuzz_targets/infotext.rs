//! Any text as infotext: taken apart, understood, written; what has entries reads the same once written.
#![no_main]

use engine::{GenerateSettings, Infotext, Recipe};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let defaults = GenerateSettings::default();
    let once = Infotext::parse(text);
    let recipe = Recipe::understand(&once, &defaults);
    assert!(recipe.other.len() <= once.entries.len());
    let again = Recipe::understand(&Infotext::parse(&recipe.infotext().to_string()), &defaults);
    assert_eq!((again.settings.steps, again.settings.seed), (recipe.settings.steps, recipe.settings.seed));
    let twice = Infotext::parse(&once.to_string());
    assert!(once.entries.len() < 3 || once.entries == twice.entries);
    assert_eq!(Infotext::parse(&twice.to_string()), twice);
});
