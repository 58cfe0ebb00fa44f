//! A1111's text about a picture, taken apart into its parameters.
//!
//! The last line holds `Name: value` pairs; a value with commas or colons stands in quotes, as JSON text.

use serde_json::{Map, Value};

/// Fewer pairs than this are prose, not parameters.
const LEAST_PAIRS: usize = 3;

/// The parameters under A1111's names: `Prompt`, `Negative prompt`, `Steps`, …; `Size` also as `Size-1` and `Size-2`.
pub(crate) fn parameters(text: &str) -> Map<String, Value> {
    let text = text.trim();
    let (before, last) = text.rsplit_once('\n').unwrap_or(("", text));
    let found = pairs(last);
    let (prompt, found) = if found.len() < LEAST_PAIRS { (text, Vec::new()) } else { (before, found) };
    let (prompt, negative) = match prompt.find("Negative prompt:") {
        Some(start) if start == 0 || prompt.as_bytes().get(start - 1) == Some(&b'\n') => {
            let (prompt, rest) = prompt.split_at(start);
            (prompt, rest.trim_start_matches("Negative prompt:"))
        }
        _ => (prompt, ""),
    };
    let mut all = Map::new();
    all.insert("Prompt".to_owned(), prompt.trim().into());
    all.insert("Negative prompt".to_owned(), negative.trim().into());
    for (name, value) in found {
        let sides = value.split_once('x').filter(|(width, height)| is_number(width) && is_number(height));
        match sides {
            Some((width, height)) => {
                all.insert(format!("{name}-1"), width.into());
                all.insert(format!("{name}-2"), height.into());
            }
            None => {
                all.insert(name, value.into());
            }
        }
    }
    all
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The `Name: value` pairs of one line.
fn pairs(line: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut rest = line.trim();
    while let Some((name, after)) = rest.split_once(": ") {
        let (value, next) = if after.starts_with('"') { quoted(after) } else { plain(after) };
        all.push((name.trim().to_owned(), value));
        rest = next.trim_start_matches([',', ' ']);
    }
    all
}

fn plain(text: &str) -> (String, &str) {
    let (value, rest) = text.split_once(',').unwrap_or((text, ""));
    (value.trim().to_owned(), rest)
}

/// A value in quotes; one that never ends is taken as plain.
fn quoted(text: &str) -> (String, &str) {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<String>();
    match values.next() {
        Some(Ok(value)) => (value, text.get(values.byte_offset()..).unwrap_or_default()),
        _ => plain(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_apart() {
        let text = "a cat,\non a mat\nNegative prompt: dog: big\nSteps: 20, Sampler: DPM++ 2M, Size: 512x768, \
                    Lora hashes: \"a: 12, b: \\\"3\\\"\", Seed: 7";
        let found = parameters(text);
        let of = |name: &str| found.get(name).and_then(Value::as_str).unwrap_or("nothing").to_owned();
        assert_eq!((of("Prompt"), of("Negative prompt")), ("a cat,\non a mat".to_owned(), "dog: big".to_owned()));
        assert_eq!((of("Steps"), of("Sampler"), of("Seed")), ("20".into(), "DPM++ 2M".into(), "7".into()));
        assert_eq!((of("Size-1"), of("Size-2"), of("Size")), ("512".into(), "768".into(), "nothing".into()));
        assert_eq!(of("Lora hashes"), "a: 12, b: \"3\"");
    }

    #[test]
    fn prose_is_a_prompt() {
        for text in ["", "a cat: big", "Steps: 1, Seed: \"2", ": , : , : ", "é\nNegative prompt:"] {
            assert!(parameters(text).contains_key("Prompt"), "{text}");
        }
        assert_eq!(parameters("a: b, c: d").get("Prompt"), Some(&Value::from("a: b, c: d")));
    }
}
