use super::Piece;

/// ComfyUI's weights: `(x)` multiplies by 1.1, `(x:1.5)` sets 1.5 whatever is around it; `\(` and `\)` are plain.
/// Square brackets, `BREAK`, `AND` and schedules are words.
///
/// Time grows with the length times the depth of brackets.
pub fn comfy_pieces(text: &str) -> Vec<Piece> {
    // ComfyUI keeps escaped brackets out of the way in the same manner.
    let text = text.replace(r"\)", "\0\u{1}").replace(r"\(", "\0\u{2}");
    let mut pieces = Vec::new();
    let mut open = vec![Stretch { text: &text, weight: 1.0, whole: false }];
    while let Some(stretch) = open.pop() {
        if stretch.whole {
            let text = stretch.text.replace("\0\u{1}", ")").replace("\0\u{2}", "(");
            pieces.push(Piece { text, weight: stretch.weight });
        } else {
            open.extend(stretches(stretch.text).into_iter().rev().map(|text| bracket(text, stretch.weight)));
        }
    }
    pieces
}

/// A part of the text that has one weight (`whole`) or may have brackets inside.
struct Stretch<'a> {
    text: &'a str,
    weight: f64,
    whole: bool,
}

fn bracket(text: &str, weight: f64) -> Stretch<'_> {
    let Some(inner) = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) else {
        return Stretch { text, weight, whole: true };
    };
    let number = |number: &str| number.trim().parse().ok().filter(|weight: &f64| weight.is_finite());
    match inner.rsplit_once(':').and_then(|(text, weight)| Some((text, number(weight)?))) {
        Some((text, weight)) if !text.is_empty() => Stretch { text, weight, whole: false },
        _ => Stretch { text: inner, weight: weight * 1.1, whole: false },
    }
}

/// Outermost brackets and what is between them. A bracket that closes nothing swallows the next one that opens.
fn stretches(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut start, mut depth) = (0, 0_i64);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => {
                if depth == 0 && start < at {
                    found.push(&text[start..at]);
                    start = at;
                }
                depth += 1;
            }
            b')' => {
                depth -= 1;
                if depth == 0 {
                    found.push(&text[start..=at]);
                    start = at + 1;
                }
            }
            _ => {}
        }
    }
    if start < text.len() {
        found.push(&text[start..]);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_number_wins() {
        let read =
            |text| -> Vec<(String, f64)> { comfy_pieces(text).into_iter().map(|p| (p.text, p.weight)).collect() };
        let piece = |text: &str, weight| (text.to_owned(), weight);
        assert_eq!(read("a (b) c"), [piece("a ", 1.0), piece("b", 1.1), piece(" c", 1.0)]);
        assert_eq!(read("((b:1.3) c:2)"), [piece("b", 1.3), piece(" c", 2.0)]);
        assert_eq!(read(r"\(b\) [c:d:3]"), [piece("(b) [c:d:3]", 1.0)]);
        assert_eq!(read("(b"), [piece("(b", 1.0)]);
        assert_eq!(read("a) (b)"), [piece("a) (b)", 1.0)]);
        assert_eq!(read("(b:x)"), [piece("b:x", 1.1)]);
        assert_eq!(read("(:2)"), [piece(":2", 1.1)]);
        assert_eq!(read("()"), []);
    }
}
