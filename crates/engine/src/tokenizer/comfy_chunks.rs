use std::sync::Arc;

use super::{Chunk, Tokenizer, Vectors, WORDS};
use crate::EngineError;
use crate::embedding::Embedding;
use crate::embeddings::Embeddings;
use crate::prompt::Piece;

/// A piece or an embedding of fewer tokens than this is never cut in two.
const WHOLE: usize = 8;

/// What starts the name of an embedding, at a piece's start or behind a space.
const CALL: &str = "embedding:";

/// Cuts a prompt into chunks as ComfyUI does: each piece of one weight stays together if it is short, or fills what is
/// left of a chunk if it is long.
///
/// # Errors
/// When the tokenizer fails, or an embedding cannot be read.
pub(crate) fn comfy_chunks(
    pieces: &[Piece],
    tokenizer: &Tokenizer,
    embeddings: &Embeddings<'_>,
) -> Result<Vec<Chunk>, EngineError> {
    let mut cutter = Cutter { tokenizer, chunks: Vec::new(), words: Vec::new(), vectors: Vec::new() };
    for piece in pieces {
        let weight = piece.weight as f32;
        for stretch in stretches(&piece.text) {
            let mut words = stretch.to_owned();
            if let Some(call) = stretch.strip_prefix(CALL) {
                let (embedding, left) = called(call, embeddings)?;
                words = left;
                if let Some(embedding) = embedding {
                    cutter.add(&vec![(0, weight); embedding.vectors()], Some(embedding));
                }
            }
            let ids: Vec<(u32, f32)> = tokenizer.words(&words)?.into_iter().map(|id| (id, weight)).collect();
            cutter.add(&ids, None);
        }
    }
    cutter.next();
    Ok(cutter.chunks)
}

/// A piece, cut before each `embedding:` that is behind a space.
fn stretches(text: &str) -> Vec<&str> {
    let mut starts: Vec<usize> = text
        .match_indices(CALL)
        .map(|(at, _)| at)
        .filter(|&at| text[..at].chars().next_back().is_some_and(char::is_whitespace))
        .collect();
    starts.insert(0, 0);
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts.iter().zip(ends).map(|(&start, end)| &text[start..end]).filter(|stretch| !stretch.is_empty()).collect()
}

/// The embedding behind `embedding:` and the words behind its name. Commas around a name are not part of it.
fn called(call: &str, embeddings: &Embeddings<'_>) -> Result<(Option<Arc<Embedding>>, String), EngineError> {
    let call = call.trim_start();
    let end = call.find(char::is_whitespace).unwrap_or(call.len());
    let (name, rest) = call.split_at(end);
    let (name, tail) = name.split_at(name.find(['<', '[']).unwrap_or(name.len()));
    let bare = name.trim_matches(',');
    let commas = &name[name.trim_end_matches(',').len()..];
    Ok((embeddings.called(bare)?, format!("{commas} {tail} {rest}")))
}

struct Cutter<'a> {
    tokenizer: &'a Tokenizer,
    chunks: Vec<Chunk>,
    words: Vec<(u32, f32)>,
    vectors: Vec<Vectors>,
}

impl Cutter<'_> {
    fn next(&mut self) {
        self.chunks.push(Chunk::new(self.tokenizer, &self.words, std::mem::take(&mut self.vectors)));
        self.words.clear();
    }

    /// Adds tokens that belong together: words, or the places of an embedding's vectors.
    fn add(&mut self, group: &[(u32, f32)], embedding: Option<Arc<Embedding>>) {
        let mut done = 0;
        while done < group.len() {
            let room = WORDS.saturating_sub(self.words.len());
            let left = group.len() - done;
            if left > room && (group.len() < WHOLE || room == 0) {
                self.next();
                continue;
            }
            let count = left.min(room);
            if let Some(embedding) = &embedding {
                let (embedding, rows) = (Arc::clone(embedding), done..done + count);
                self.vectors.push(Vectors { at: self.words.len() + 1, embedding, rows });
            }
            self.words.extend(group.iter().skip(done).take(count));
            done += count;
        }
    }
}
