//! Styles: words that are put around a prompt, from the `styles.csv` of a home and of imported programs.

use manifest::layout;
use server::Style;
use std::path::{Path, PathBuf};

/// A longer file is no list of styles.
const LARGEST: u64 = 4 << 20;
/// More styles nobody can choose from.
const MOST: usize = 2000;

/// The home's own first, then those of imported programs; of several with one name the first.
pub(crate) fn of(home: &Path) -> Vec<Style> {
    let mut found: Vec<Style> = Vec::new();
    for file in files(home) {
        let small = fs_err::metadata(&file).is_ok_and(|metadata| metadata.len() <= LARGEST);
        let Some(text) = small.then(|| fs_err::read(&file).ok()).flatten() else { continue };
        for style in parse(&String::from_utf8_lossy(&text)) {
            if found.len() < MOST && !found.iter().any(|known| known.name == style.name) {
                found.push(style);
            }
        }
    }
    found
}

fn files(home: &Path) -> Vec<PathBuf> {
    let programs = fs_err::read_dir(home.join(layout::IMPORTED)).into_iter().flatten().flatten();
    let mut imported: Vec<PathBuf> = programs.map(|entry| entry.path().join(layout::STYLES)).collect();
    imported.sort();
    [home.join(layout::STYLES)].into_iter().chain(imported).filter(|path| path.is_file()).collect()
}

/// AUTOMATIC1111's table: `name,prompt,negative_prompt`, with or without that line.
fn parse(text: &str) -> Vec<Style> {
    let rows = rows(text.trim_start_matches('\u{feff}')).into_iter();
    rows.filter_map(|row| {
        let mut cells = row.into_iter();
        let (name, prompt) = (cells.next()?.trim().to_owned(), cells.next()?);
        let negative_prompt = cells.next().unwrap_or_default();
        let is_style = !name.is_empty() && name != "name" && !(prompt.is_empty() && negative_prompt.is_empty());
        is_style.then_some(Style { name, prompt, negative_prompt })
    })
    .collect()
}

/// Rows and cells of comma-separated values (RFC 4180).
fn rows(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => cell.extend(letters.next()),
            '"' if quoted => quoted = false,
            '"' if cell.is_empty() => quoted = true,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell).trim_end_matches('\r').to_owned());
                rows.push(std::mem::take(&mut row));
            }
            other => cell.push(other),
        }
    }
    row.push(cell);
    rows.push(row);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_automatic1111_are_read() {
        let text = "\u{feff}name,prompt,negative_prompt\r\nInk,\"{prompt}, ink, \"\"sumi\"\"\",\"colour,\nphoto\"\r\nempty,,\r\nPlain,plain";
        let styles = parse(text);
        let texts: Vec<_> =
            styles.iter().map(|s| (s.name.as_str(), s.prompt.as_str(), s.negative_prompt.as_str())).collect();
        assert_eq!(texts, [("Ink", "{prompt}, ink, \"sumi\"", "colour,\nphoto"), ("Plain", "plain", "")]);
        assert!(parse("\"never closed").is_empty());
    }
}
