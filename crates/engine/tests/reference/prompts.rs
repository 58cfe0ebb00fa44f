//! The grammars of prompts against an independent reading of them (`scripts/reference/prompts.py`).

use engine::prompt::{Piece, PromptSchedule, PromptSteps, comfy_pieces, parts, pieces, take_networks};
use serde_json::{Value, json};

use crate::support::golden_path;

/// The rows of `prompts.json`, each with its prompt.
pub(crate) fn rows() -> Vec<(String, Value)> {
    let text = fs_err::read_to_string(golden_path("prompts.json")).expect("prompts");
    let rows: Vec<Value> = serde_json::from_str(&text).expect("rows");
    assert!(rows.len() >= 60);
    rows.into_iter().map(|row| (row["prompt"].as_str().expect("a prompt").to_owned(), row)).collect()
}

/// Texts must be equal, weights nearly: `serde_json` reads numbers to the last bit but one.
#[track_caller]
fn assert_pieces(prompt: &str, found: &[Piece], expected: &Value) {
    let expected: Vec<(String, f64)> = serde_json::from_value(expected.clone()).expect("pieces");
    let texts: Vec<&str> = found.iter().map(|piece| piece.text.as_str()).collect();
    assert_eq!(texts, expected.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>(), "{prompt:?}");
    for (piece, (_, weight)) in found.iter().zip(&expected) {
        assert!((piece.weight - weight).abs() <= 1e-12, "{prompt:?}: {piece:?}, expected {weight}");
    }
}

#[test]
fn tags_are_taken_out() {
    for (prompt, row) in rows() {
        let taken = take_networks(&prompt);
        assert_eq!(taken.text, row["text"], "{prompt:?}");
        let told = taken.networks.len() + taken.notices.len();
        assert_eq!(told, row["tags"].as_array().expect("tags").len(), "{prompt:?}");
    }
}

#[test]
fn parts_and_their_weights() {
    for (prompt, row) in rows() {
        let text = row["text"].as_str().expect("a text");
        let found: Value = parts(text).into_iter().map(|part| json!([part.text, part.weight])).collect();
        assert_eq!(found, row["parts"], "{prompt:?}");
    }
}

#[test]
fn schedules_of_both_passes() {
    for (prompt, row) in rows() {
        let parts = parts(row["text"].as_str().expect("a text"));
        for (steps, key) in [(PromptSteps::first_pass(12), "schedules"), (PromptSteps::second_pass(12, 6), "second")] {
            let schedule = |text: &str| -> Value {
                let schedule = PromptSchedule::read(text, steps);
                schedule.entries().iter().map(|entry| json!([entry.until, entry.text])).collect()
            };
            let found: Value = parts.iter().map(|part| schedule(&part.text)).collect();
            assert_eq!(found, row[key], "{prompt:?}, {key}");
        }
    }
}

#[test]
fn weights_of_both_grammars() {
    for (prompt, row) in rows() {
        assert_pieces(&prompt, &pieces(row["text"].as_str().expect("a text")), &row["pieces"]);
        assert_pieces(&prompt, &comfy_pieces(&prompt), &row["comfy"]);
    }
}
