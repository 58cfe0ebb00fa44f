//! QR codes, as text for a terminal and as a path for the page.

use std::fmt::Write as _;

use qrcodegen::{QrCode, QrCodeEcc};
use serde::Serialize;

/// Empty modules around a code; scanners want four.
const QUIET: i32 = 4;

/// The four kinds of two modules above each other, by (upper is dark, lower is dark). Light is what is printed, because
/// terminals are dark more often than not.
const HALVES: [[char; 2]; 2] = [['█', '▀'], ['▄', ' ']];

/// A QR code as an SVG path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct QrPath {
    /// Width and height in modules, with the quiet zone.
    side: i32,
    /// The dark modules, one rectangle for each run of them.
    path: String,
}

/// A text as lines for a terminal; `None` for more than a QR code holds.
pub(crate) fn lines(text: &str) -> Option<Vec<String>> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let dark = |x, y| usize::from(code.get_module(x, y));
    let range = -QUIET..code.size() + QUIET;
    let half = |x, y| HALVES.get(dark(x, y)).and_then(|row| row.get(dark(x, y + 1))).copied().unwrap_or(' ');
    Some(range.clone().step_by(2).map(|y| range.clone().map(|x| half(x, y)).collect()).collect())
}

/// A text as a path; `None` for more than a QR code holds.
pub(crate) fn path(text: &str) -> Option<QrPath> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let mut path = String::new();
    for y in 0..code.size() {
        let mut x = 0;
        while x < code.size() {
            let run = (x..code.size()).take_while(|x| code.get_module(*x, y)).count();
            let run = i32::try_from(run).unwrap_or(0);
            if run > 0 {
                // Writing into a text does not fail.
                let _ = write!(path, "M{} {}h{run}v1h-{run}z", x + QUIET, y + QUIET);
            }
            x += run.max(1);
        }
    }
    Some(QrPath { side: code.size() + 2 * QUIET, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "http://192.168.1.5:7860/pair?code=12345678";

    #[test]
    fn both_forms_show_the_same_modules() {
        let code = QrCode::encode_text(TEXT, QrCodeEcc::Medium).expect("short enough");
        let count = (0..code.size()).flat_map(|y| (0..code.size()).map(move |x| (x, y)));
        let dark = count.filter(|(x, y)| code.get_module(*x, *y)).count();
        let lines = lines(TEXT).expect("short enough");
        // Each character is two modules; the last line may have one below the code.
        let light: usize = lines
            .iter()
            .flat_map(|line| line.chars())
            .map(|half| match half {
                '█' => 2,
                ' ' => 0,
                _ => 1,
            })
            .sum();
        let width = lines[0].chars().count();
        assert_eq!(width * lines.len() * 2 - light, dark);
        let drawn = path(TEXT).expect("short enough");
        assert_eq!(usize::try_from(drawn.side).expect("positive"), width);
        let runs =
            drawn.path.split('M').filter_map(|part| part.split_once('h')?.1.split_once('v')?.0.parse::<usize>().ok());
        assert_eq!(runs.sum::<usize>(), dark);
        assert_eq!(path(&"x".repeat(5000)), None);
    }
}
