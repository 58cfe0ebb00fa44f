use super::{Chunk, Tokenizer, Vectors, WORDS};
use crate::EngineError;
use crate::embeddings::Embeddings;
use crate::prompt::Piece;

/// How far back a comma may be for the words behind it to go to the next chunk together, in tokens.
const BACKTRACK: usize = 20;

/// Cuts a prompt into chunks as AUTOMATIC1111 does: a chunk that is full ends at a comma that is at most 20 tokens back,
/// `BREAK` ends a chunk, an embedding that does not fit goes to the next one as a whole.
///
/// When words behind a comma move, the vectors of an embedding among them stay behind, and the token 0 (`!`) moves in
/// their place. This is AUTOMATIC1111's and Forge's oversight; pictures depend on it.
///
/// # Errors
/// When the tokenizer fails, or an embedding cannot be read.
pub(crate) fn webui_chunks(
    pieces: &[Piece],
    tokenizer: &Tokenizer,
    embeddings: &Embeddings<'_>,
) -> Result<Vec<Chunk>, EngineError> {
    let mut cutter = Cutter { tokenizer, chunks: Vec::new(), words: Vec::new(), vectors: Vec::new(), comma: None };
    for piece in pieces {
        if piece.is_break() {
            cutter.next();
            continue;
        }
        let ids = tokenizer.words(&piece.text)?;
        let mut rest = ids.as_slice();
        while let Some((id, after)) = rest.split_first() {
            cutter.make_room(*id);
            let weight = piece.weight as f32;
            rest = match embeddings.at_start(rest)? {
                None => {
                    cutter.words.push((*id, weight));
                    after
                }
                Some((embedding, length)) => {
                    let vectors = embedding.vectors();
                    if cutter.words.len() + vectors > WORDS {
                        cutter.next();
                    }
                    cutter.vectors.push(Vectors { at: cutter.words.len() + 1, embedding, rows: 0..vectors });
                    cutter.words.extend(std::iter::repeat_n((0, weight), vectors));
                    rest.get(length..).unwrap_or_default()
                }
            };
        }
    }
    if !cutter.words.is_empty() || cutter.chunks.is_empty() {
        cutter.next();
    }
    Ok(cutter.chunks)
}

struct Cutter<'a> {
    tokenizer: &'a Tokenizer,
    chunks: Vec<Chunk>,
    words: Vec<(u32, f32)>,
    vectors: Vec<Vectors>,
    /// Where in `words` the last comma is.
    comma: Option<usize>,
}

impl Cutter<'_> {
    fn next(&mut self) {
        self.chunks.push(Chunk::new(self.tokenizer, &self.words, std::mem::take(&mut self.vectors)));
        self.words.clear();
        self.comma = None;
    }

    /// Starts a new chunk if this one has no place for another token.
    fn make_room(&mut self, id: u32) {
        let full = self.words.len() >= WORDS;
        if self.tokenizer.comma() == Some(id) {
            self.comma = Some(self.words.len());
        } else if let Some(comma) = self.comma.filter(|comma| full && self.words.len() - comma <= BACKTRACK) {
            let moved = self.words.split_off(comma + 1);
            self.next();
            self.words = moved;
        }
        if self.words.len() >= WORDS {
            self.next();
        }
    }
}
