use super::whole_words;

/// A stretch of a prompt whose words all have one weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// The words.
    pub text: String,
    /// Their weight; 1 is plain.
    pub weight: f64,
}

impl Piece {
    pub(crate) const BREAK: &'static str = "BREAK";

    fn new(text: &str) -> Self {
        Self { text: text.to_owned(), weight: 1.0 }
    }

    /// Whether the piece ends a chunk instead of having words. A `BREAK` inside of brackets got another weight and is
    /// a word, as in AUTOMATIC1111.
    pub fn is_break(&self) -> bool {
        self.text == Self::BREAK && self.weight == -1.0
    }
}

/// AUTOMATIC1111's weights: `(x)` multiplies by 1.1, `[x]` divides by it, `(x:1.5)` multiplies by 1.5; brackets nest,
/// unclosed ones reach to the end, a backslash makes `( ) [ ] \` plain, `BREAK` is a piece of its own.
///
/// Time grows with the length times the depth of brackets.
pub fn pieces(text: &str) -> Vec<Piece> {
    let mut reader = Reader::default();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = reader.take(first, rest);
        rest = &rest[length..];
    }
    reader.finish()
}

#[derive(Default)]
struct Reader {
    pieces: Vec<Piece>,
    /// For each open `(`, the first piece inside of it.
    round: Vec<usize>,
    /// The same for `[`.
    square: Vec<usize>,
}

impl Reader {
    const STRONGER: f64 = 1.1;
    const WEAKER: f64 = 1.0 / 1.1;

    /// Reads what `rest` begins with and returns its length.
    fn take(&mut self, first: char, rest: &str) -> usize {
        match first {
            '\\' => {
                let escaped =
                    rest[1..].chars().next().filter(|next| r"()[]\".contains(*next)).map_or(0, char::len_utf8);
                self.pieces.push(Piece::new(&rest[1..1 + escaped]));
                1 + escaped
            }
            '(' => open(&mut self.round, self.pieces.len()),
            '[' => open(&mut self.square, self.pieces.len()),
            ')' => close(&mut self.pieces, &mut self.round, ")", Self::STRONGER),
            ']' => close(&mut self.pieces, &mut self.square, "]", Self::WEAKER),
            ':' => match explicit_weight(rest) {
                Some((weight, length)) => close(&mut self.pieces, &mut self.round, &rest[..length], weight),
                None => {
                    self.pieces.push(Piece::new(":"));
                    1
                }
            },
            _ => {
                let length = rest.find(['\\', '(', ')', '[', ']', ':']).unwrap_or(rest.len());
                self.words(&rest[..length]);
                length
            }
        }
    }

    /// A text without brackets; `BREAK` takes the space around it.
    fn words(&mut self, text: &str) {
        let mut start = 0;
        for at in whole_words(text, Piece::BREAK) {
            let Some(before) = text.get(start..at) else { continue };
            self.pieces.push(Piece::new(before.trim_end()));
            self.pieces.push(Piece { text: Piece::BREAK.to_owned(), weight: -1.0 });
            let after = &text[at + Piece::BREAK.len()..];
            start = text.len() - after.trim_start().len();
        }
        self.pieces.push(Piece::new(&text[start..]));
    }

    fn finish(mut self) -> Vec<Piece> {
        for (open, weight) in [(self.round, Self::STRONGER), (self.square, Self::WEAKER)] {
            open.into_iter().for_each(|start| multiply(&mut self.pieces, start, weight));
        }
        let mut merged: Vec<Piece> = Vec::with_capacity(self.pieces.len());
        for piece in self.pieces {
            match merged.last_mut().filter(|last| last.weight == piece.weight) {
                Some(last) => last.text.push_str(&piece.text),
                None => merged.push(piece),
            }
        }
        if merged.is_empty() { vec![Piece::new("")] } else { merged }
    }
}

fn open(brackets: &mut Vec<usize>, start: usize) -> usize {
    brackets.push(start);
    1
}

/// Ends the innermost bracket, or is text where none is open.
fn close(pieces: &mut Vec<Piece>, brackets: &mut Vec<usize>, token: &str, weight: f64) -> usize {
    match brackets.pop() {
        Some(start) => multiply(pieces, start, weight),
        None => pieces.push(Piece::new(token)),
    }
    token.len()
}

fn multiply(pieces: &mut [Piece], start: usize, weight: f64) {
    pieces.iter_mut().skip(start).for_each(|piece| piece.weight *= weight);
}

/// The number of `:1.2)` and the length of the whole.
fn explicit_weight(rest: &str) -> Option<(f64, usize)> {
    let number = rest.strip_prefix(':')?.trim_start();
    let sign = usize::from(number.starts_with(['+', '-']));
    let length = sign + number[sign..].find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(0);
    let (number, after) = number.split_at(length);
    let after = after.trim_start().strip_prefix(')')?;
    Some((number.parse().ok()?, rest.len() - after.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, f64)> {
        pieces(text).into_iter().map(|piece| (piece.text, piece.weight)).collect()
    }

    #[test]
    fn weights_multiply_and_equal_neighbours_merge() {
        let piece = |text: &str, weight| (text.to_owned(), weight);
        assert_eq!(read("(unnecessary)(parens)"), [piece("unnecessaryparens", 1.1)]);
        assert_eq!(read(r"\(literal\]"), [piece("(literal]", 1.0)]);
        assert_eq!(read("(unbalanced"), [piece("unbalanced", 1.1)]);
        assert_eq!(read(""), [piece("", 1.0)]);
        assert_eq!(
            read("a (((house:1.3)) [on] a (hill:0.5), sun, (((sky)))."),
            [
                piece("a ", 1.0),
                piece("house", 1.573_000_000_000_000_4),
                piece(" ", 1.1),
                piece("on", 1.0),
                piece(" a ", 1.1),
                piece("hill", 0.55),
                piece(", sun, ", 1.1),
                piece("sky", 1.464_100_000_000_000_6),
                piece(".", 1.1),
            ]
        );
    }

    #[test]
    fn break_ends_a_chunk_outside_of_brackets_only() {
        let breaks = |text| pieces(text).iter().filter(|piece| piece.is_break()).count();
        assert_eq!(breaks("a BREAK b"), 1);
        assert_eq!(breaks("BREAK BREAK"), 2);
        assert_eq!(breaks("BREAKBREAK aBREAK"), 0);
        assert_eq!(breaks("(a BREAK b)"), 0);
        assert_eq!(read("(a BREAK b)")[1], ("BREAK".to_owned(), -1.1));
    }

    #[test]
    fn a_weight_that_is_no_number_is_text() {
        assert_eq!(read("(a:1.2.3)"), [("a:1.2.3".to_owned(), 1.1)]);
        assert_eq!(read("(a:)"), [("a:".to_owned(), 1.1)]);
        assert_eq!(read("a:1.2)"), [("a:1.2)".to_owned(), 1.0)]);
        assert_eq!(read("(a: -.5 )"), [("a".to_owned(), -0.5)]);
    }
}
