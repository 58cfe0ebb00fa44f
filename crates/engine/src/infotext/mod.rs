//! What stands in a picture about how it was drawn: the format of AUTOMATIC1111.

mod entries;
mod field;
mod fields;
mod recipe;
mod used_files;

use std::fmt;

pub use recipe::Recipe;
pub use used_files::{UsedFile, UsedFiles};

/// The text that AUTOMATIC1111 stores in a picture under the keyword `parameters`, taken apart but not interpreted:
///
/// ```text
/// a banana
/// Negative prompt: blurry
/// Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 1, Size: 64x64, Model: spark
/// ```
///
/// Any text can be read: what has no entries is all prompt. What it means says [`Recipe`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Infotext {
    /// What to draw; may have several lines.
    pub prompt: String,
    /// What to keep away from; may have several lines.
    pub negative_prompt: String,
    /// Key and value of every entry, in their order, without quotes. A word without a value is its own value.
    pub entries: Vec<(String, String)>,
}

impl Infotext {
    /// This many entries make a line of entries; with fewer it belongs to the prompt. AUTOMATIC1111's rule.
    const ENTRIES: usize = 3;

    /// Takes a text apart. The entries are in its last line, or in a line that begins with `Steps:` when an extension
    /// has put lines of its own (`Template: …`) behind it; those become entries too.
    pub fn parse(text: &str) -> Self {
        let lines: Vec<&str> = text.trim().split('\n').map(|line| line.trim_end_matches('\r')).collect();
        let counts = |line: &str| entries::keys(line) >= Self::ENTRIES;
        let last = lines.len().saturating_sub(1);
        let place = if lines.get(last).is_some_and(|line| counts(line)) {
            Some(last)
        } else {
            lines.iter().rposition(|line| line.trim_start().starts_with("Steps: ") && counts(line))
        };
        let (before, entries) = match place {
            Some(place) => {
                let mut entries = entries::parse(lines.get(place).copied().unwrap_or_default());
                entries::append_lines(&mut entries, lines.get(place + 1..).unwrap_or_default());
                (lines.get(..place).unwrap_or_default(), entries)
            }
            None => (&lines[..], Vec::new()),
        };
        let marker = "Negative prompt:";
        let negative = before.iter().position(|line| line.trim_start().starts_with(marker)).unwrap_or(before.len());
        let (prompt, negative) = before.split_at(negative);
        let negative = negative.join("\n");
        let negative = negative.trim_start();
        Self {
            prompt: prompt.join("\n").trim().to_owned(),
            negative_prompt: negative.strip_prefix(marker).unwrap_or(negative).trim().to_owned(),
            entries,
        }
    }

    /// The value of an entry; of the last one if several have that key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entries.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

/// The text as AUTOMATIC1111 writes it, with its quoting.
impl fmt::Display for Infotext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries: Vec<String> = self.entries.iter().map(|(key, value)| entries::written(key, value)).collect();
        let negative = if self.negative_prompt.is_empty() { "" } else { "\nNegative prompt: " };
        let text = format!("{}{negative}{}\n{}", self.prompt, self.negative_prompt, entries.join(", "));
        f.write_str(text.trim())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(text: &Infotext) -> Vec<(&str, &str)> {
        text.entries.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
    }

    #[test]
    fn prompts_of_several_lines_and_quoted_values_are_taken_apart() {
        let text = "first line, (x:1.2)\n\n  third: \"line\"\r\nNegative prompt: bad,\nworse\nSteps: 20, Sampler: DPM++ 2M, \
                    Lora hashes: \"ink: 0123456789ab, old: ba9876543210\", Hires prompt: \"a \\\"b\\\"\\nc\", Size: 512x768, Odd: \"a\" b, Empty: , Version: v1.10.1";
        let read = Infotext::parse(text);
        assert_eq!(read.prompt, "first line, (x:1.2)\n\n  third: \"line\"");
        assert_eq!(read.negative_prompt, "bad,\nworse");
        assert_eq!(
            pairs(&read),
            [
                ("Steps", "20"),
                ("Sampler", "DPM++ 2M"),
                ("Lora hashes", "ink: 0123456789ab, old: ba9876543210"),
                ("Hires prompt", "a \"b\"\nc"),
                ("Size", "512x768"),
                ("Odd", "\"a\" b"),
                ("Empty", ""),
                ("Version", "v1.10.1"),
            ]
        );
        assert_eq!(read.get("Size"), Some("512x768"));
        assert_eq!(Infotext::parse(&read.to_string()), read);
    }

    #[test]
    fn json_values_are_kept_whole() {
        let text = "x\nSteps: 4, Hashes: {\"vae\": \"f921fb3f29\", \"model\": \"a,b:c\"}, Civitai resources: [{\"type\":\"checkpoint\",\"weight\":1},2], Civitai metadata: {}, Broken: {a, Tail: 1";
        let read = Infotext::parse(text);
        assert_eq!(
            pairs(&read),
            [
                ("Steps", "4"),
                ("Hashes", "{\"vae\": \"f921fb3f29\", \"model\": \"a,b:c\"}"),
                ("Civitai resources", "[{\"type\":\"checkpoint\",\"weight\":1},2]"),
                ("Civitai metadata", "{}"),
                ("Broken", "{a"),
                ("Tail", "1"),
            ]
        );
    }

    #[test]
    fn texts_with_missing_parts_are_read() {
        assert_eq!(Infotext::parse("").to_string(), "");
        assert_eq!(Infotext::parse("only: a, prompt").prompt, "only: a, prompt");
        let no_prompt = Infotext::parse("Steps: 1, Sampler: Euler, Seed: 2");
        assert_eq!((no_prompt.prompt.as_str(), no_prompt.entries.len()), ("", 3));
        let only_negative = Infotext::parse("Negative prompt: x\nSteps: 1, Sampler: Euler, Seed: 2");
        assert_eq!((only_negative.prompt.as_str(), only_negative.negative_prompt.as_str()), ("", "x"));
        let short = Infotext::parse("a cat\nSteps: 1, Seed: 2");
        assert_eq!((short.prompt.as_str(), short.entries.len()), ("a cat\nSteps: 1, Seed: 2", 0));
    }

    #[test]
    fn lines_behind_the_entries_become_entries() {
        let read = Infotext::parse(
            "a dog\nNegative prompt: x\nSteps: 1, Sampler: Euler, Seed: 2\nTemplate: a {cat|dog}, big\nand more\nNegative Template: y",
        );
        assert_eq!((read.prompt.as_str(), read.negative_prompt.as_str()), ("a dog", "x"));
        assert_eq!(read.get("Template"), Some("a {cat|dog}, big\nand more"));
        assert_eq!(read.get("Negative Template"), Some("y"));
        assert_eq!(Infotext::parse(&read.to_string()), read);
    }

    #[test]
    fn a_hostile_text_takes_no_longer_than_it_is_long() {
        for part in ["a:\"b,", "a:{\"b,", "a:[1,", "\\\"", "Steps: 1,\n", ",", ":", "{[", "\n"] {
            let text = part.repeat(2_000_000 / part.len());
            let began = std::time::Instant::now();
            let read = Infotext::parse(&text);
            assert!(began.elapsed().as_secs() < 10, "{part:?} took {:?}", began.elapsed());
            assert!(read.entries.len() <= text.len());
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_and_reads_the_same_once_written(text in "(a|b: |Steps: 1, |Seed: 2, |Size: 3, |Negative prompt: |\"|\\\\|\\{|\\}|\\[|,|:|\n|\r|é| ){0,40}") {
            let once = Infotext::parse(&text);
            let twice = Infotext::parse(&once.to_string());
            if once.entries.len() >= 3 {
                prop_assert_eq!(&twice.entries, &once.entries);
            }
            prop_assert_eq!(Infotext::parse(&twice.to_string()), twice);
        }

        #[test]
        fn any_characters_are_read(text in any::<String>()) {
            let _ = Infotext::parse(&text).to_string();
        }

        #[test]
        fn entries_come_back(
            prompt in "[^\n\r:]{0,20}",
            values in prop::collection::vec(any::<String>(), 3..8),
        ) {
            let entries = values.iter().enumerate();
            let entries = entries.map(|(at, value)| (format!("Key {at}"), value.trim().to_owned())).collect();
            let text = Infotext { prompt: prompt.trim().to_owned(), negative_prompt: String::new(), entries };
            prop_assert_eq!(Infotext::parse(&text.to_string()), text);
        }
    }
}
