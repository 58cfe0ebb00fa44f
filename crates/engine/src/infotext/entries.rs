//! The line of entries: `Key: value, Key: "quoted, value", …`.

use serde::de::IgnoredAny;

/// The entries of a line. Between commas stands `key: value`, or a word that is key and value at once; a value that
/// begins with a quote or a bracket ends where that closes, if a comma or the end follows.
pub(super) fn parse(line: &str) -> Vec<(String, String)> {
    let mut entries = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let comma = rest.find(',').unwrap_or(rest.len());
        let (head, _) = rest.split_at(comma);
        let (key, value, after) = match head.split_once(':') {
            Some((key, _)) => {
                let (_, value) = rest.split_at(key.len() + 1);
                let (value, after) = take_value(value.trim_start());
                (key.trim(), value, after)
            }
            None => (head.trim(), head.trim().to_owned(), behind_comma(rest, comma)),
        };
        if !key.is_empty() || !value.is_empty() {
            entries.push((key.to_owned(), value));
        }
        rest = after.trim_start();
    }
    entries
}

/// How many entries of a line have a key as AUTOMATIC1111 sees one: two or more letters, digits, `_`, `-`, `/` or
/// spaces, of which the first is neither a sign nor a space.
pub(super) fn keys(line: &str) -> usize {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let sound = |key: &str| {
        key.chars().count() >= 2
            && key.starts_with(word)
            && key.chars().all(|c| word(c) || matches!(c, ' ' | '-' | '/'))
    };
    parse(line).iter().filter(|(key, value)| sound(key) && key != value).count()
}

/// One entry as it is written: the value as JSON where it would not read back as it is.
pub(super) fn written(key: &str, value: &str) -> String {
    if key == value {
        return key.to_owned();
    }
    let quoted = value.contains([',', ':', '\n']) || value.starts_with('"');
    let value = if quoted { serde_json::Value::from(value).to_string() } else { value.to_owned() };
    format!("{key}: {value}")
}

/// Adds what extensions put behind the line of entries: each line that begins with a key is an entry of its own, the
/// others go on with the one before.
pub(super) fn append_lines(entries: &mut Vec<(String, String)>, lines: &[&str]) {
    for line in lines {
        match line.split_once(':') {
            Some((key, value)) if !key.contains(',') && !key.trim().is_empty() => {
                entries.push((key.trim().to_owned(), value.trim().to_owned()));
            }
            _ => {
                if let Some((_, value)) = entries.last_mut() {
                    *value = format!("{value}\n{line}").trim().to_owned();
                }
            }
        }
    }
}

/// A value and what follows the comma behind it.
fn take_value(text: &str) -> (String, &str) {
    let end = match text.bytes().next() {
        Some(b'"') => quoted_end(text),
        Some(b'{' | b'[') => json_end(text),
        _ => None,
    };
    if let Some((value, after)) = end.and_then(|end| text.split_at_checked(end)) {
        let after = after.trim_start();
        if after.is_empty() || after.starts_with(',') {
            let value = if value.starts_with('"') { unquoted(value) } else { value.to_owned() };
            return (value, after.strip_prefix(',').unwrap_or(after));
        }
    }
    let comma = text.find(',').unwrap_or(text.len());
    let (value, _) = text.split_at(comma);
    (value.trim_end().to_owned(), behind_comma(text, comma))
}

fn behind_comma(text: &str, comma: usize) -> &str {
    text.get(comma + 1..).unwrap_or_default()
}

/// Where the quoted text that begins at 0 ends; a backslash keeps the character behind it from ending it.
fn quoted_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    let close = text.bytes().skip(1).position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    });
    close.map(|at| at + 2)
}

/// Where the JSON that begins at 0 ends.
fn json_end(text: &str) -> Option<usize> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    Some(values.byte_offset())
}

/// What a quoted value says; as it stands if it is no JSON.
fn unquoted(value: &str) -> String {
    serde_json::from_str(value).unwrap_or_else(|_| value.to_owned())
}
