//! What the characters of a prompt mean, in the grammars of AUTOMATIC1111 (and Forge) and of ComfyUI.
//!
//! AUTOMATIC1111's prompt is read in four passes, each on what the one before left:
//!
//! 1. [`take_networks`]: `<lora:name:0.8>` is taken out and becomes a [`NetworkTag`];
//! 2. [`parts`]: `AND` separates pictures that are added up, each with a weight (`a cat AND a dog:0.5`);
//! 3. [`PromptSchedule`]: `[before:after:when]` and `[one|other]` give a text for each step;
//! 4. [`pieces`]: `(strong:1.2)`, `[weak]`, escapes and `BREAK` give [`Piece`]s of text with weights.
//!
//! ComfyUI knows parentheses only: [`comfy_pieces`] is all of it.
//!
//! Every function accepts any text: what is not grammar is text, as in the two programs, and what a person may have
//! meant otherwise becomes a [`PromptNotice`].
//!
//! ```
//! use engine::prompt::{PromptSchedule, PromptSteps, pieces, take_networks};
//!
//! let taken = take_networks("a [red:blue:0.5] (car:1.3) <lora:toy:0.8>");
//! assert_eq!((taken.networks[0].name.as_str(), taken.networks[0].unet_weight), ("toy", 0.8));
//! let schedule = PromptSchedule::read(&taken.text, PromptSteps::first_pass(20));
//! assert_eq!(schedule.at(10), "a red (car:1.3) ");
//! assert_eq!(schedule.at(11), "a blue (car:1.3) ");
//! let weights: Vec<(String, f64)> = pieces(schedule.at(11)).into_iter().map(|p| (p.text, p.weight)).collect();
//! assert_eq!(weights[..2], [("a blue ".to_owned(), 1.0), ("car".to_owned(), 1.3)]);
//! ```

mod comfy;
mod network_tag;
mod notice;
mod part;
mod piece;
mod schedule;

pub use comfy::comfy_pieces;
pub(crate) use network_tag::tags_left;
pub use network_tag::{NetworkKind, NetworkTag, TakenNetworks, take_networks};
pub use notice::PromptNotice;
pub use part::{PromptPart, parts};
pub use piece::{Piece, pieces};
pub use schedule::{PromptSchedule, PromptSteps, ScheduledText};

/// A character of a word, as `\w` has it.
fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Where `word` stands alone in `text`, as `\bword\b` finds it.
fn whole_words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    /// All passes on one text.
    fn read(text: &str, steps: PromptSteps) -> Vec<Piece> {
        let taken = take_networks(text);
        assert_eq!(tags_left(text).len(), taken.networks.len() + taken.notices.len());
        let mut all = comfy_pieces(text);
        for part in parts(&taken.text) {
            let schedule = PromptSchedule::read(&part.text, steps);
            all.extend(schedule.entries().iter().flat_map(|entry| pieces(&entry.text)));
        }
        all
    }

    /// Texts made of what means something.
    fn grammar() -> impl Strategy<Value = String> {
        let tokens = [
            "(",
            ")",
            "[",
            "]",
            ":",
            "|",
            "\\",
            "<",
            ">",
            "<lora:a:1>",
            "AND",
            "BREAK",
            " ",
            "1.5",
            "0.5",
            "3",
            ".",
            "a",
            "b c",
            "é",
            "\n",
            "embedding:x",
            ",",
        ];
        prop::collection::vec(prop::sample::select(tokens.to_vec()), 0..40).prop_map(|tokens| tokens.concat())
    }

    proptest! {
        #[test]
        fn any_text_can_be_read(text in any::<String>(), steps in 0..200_usize, first in 0..200_usize) {
            read(&text, PromptSteps::first_pass(steps));
            read(&text, PromptSteps::second_pass(first, steps));
        }

        #[test]
        fn any_grammar_can_be_read(text in grammar(), steps in 1..40_usize, first in 0..40_usize) {
            for steps_of in [PromptSteps::first_pass(steps), PromptSteps::second_pass(first, steps)] {
                let pieces = read(&text, steps_of);
                prop_assert!(pieces.iter().all(|piece| !piece.weight.is_nan()));
                let schedule = PromptSchedule::read(&text, steps_of);
                let ends: Vec<usize> = schedule.entries().iter().map(|entry| entry.until).collect();
                prop_assert!(ends.is_sorted_by(|a, b| a < b));
                prop_assert_eq!(ends.last(), Some(&steps));
            }
        }

        #[test]
        fn plain_words_stay_as_they_are(text in "[a-z0-9 ,.'-]{0,60}") {
            let steps = PromptSteps::first_pass(20);
            let part = parts(&take_networks(&text).text).remove(0);
            prop_assert_eq!((part.text.as_str(), part.weight), (text.trim_end(), 1.0));
            let schedule = PromptSchedule::read(&text, steps);
            prop_assert_eq!(schedule.at(3), text.as_str());
            let plain = Piece { text: text.clone(), weight: 1.0 };
            prop_assert!(comfy_pieces(&text).iter().all(|piece| *piece == plain));
            prop_assert_eq!(pieces(&text), vec![plain]);
        }
    }

    #[test]
    fn hostile_texts_of_the_longest_length_take_no_time() {
        let length = crate::GenerateSettings::PROMPT_BYTES;
        let nested = |open: &str, close: &str| {
            let depth = length / (open.len() + close.len());
            open.repeat(depth) + &close.repeat(depth)
        };
        let start = Instant::now();
        for text in [
            nested("(a", ")"),
            nested("(a", ":1.1)"),
            nested("[a:", ":3]"),
            nested("[a|", "]"),
            nested("([", ")]"),
            "(".repeat(length),
            "<a:".repeat(length / 3),
            "AND BREAK".repeat(length / 9),
            ":1".repeat(length / 2),
            "\\".repeat(length),
            "[a|b]".repeat(length / 5),
        ] {
            read(&text, PromptSteps::first_pass(20));
        }
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }
}
