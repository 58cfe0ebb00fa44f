use std::ops::Range;
use std::sync::Arc;

use super::{LENGTH, Tokenizer};
use crate::embedding::Embedding;

/// What a text encoder sees at once: start, 75 tokens or vectors, end; each with a weight.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    ids: Vec<u32>,
    weights: Vec<f32>,
    vectors: Vec<Vectors>,
}

/// Vectors of an embedding that take the places of tokens.
#[derive(Clone, Debug)]
pub(crate) struct Vectors {
    /// First place, counted from the start token.
    pub(crate) at: usize,
    pub(crate) embedding: Arc<Embedding>,
    /// Which of its vectors.
    pub(crate) rows: Range<usize>,
}

/// All that decides how a chunk is encoded: everything but its weights.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ChunkKey(Vec<u32>, Vec<(usize, String, usize)>);

impl Chunk {
    /// Start, words (75 at most count), end, and end again as padding.
    pub(super) fn new(tokenizer: &Tokenizer, words: &[(u32, f32)], vectors: Vec<Vectors>) -> Self {
        let words = words.iter().take(LENGTH - 2);
        let (mut ids, mut weights): (Vec<u32>, Vec<f32>) =
            std::iter::once(&(tokenizer.start(), 1.0)).chain(words).copied().unzip();
        ids.resize(LENGTH, tokenizer.end());
        weights.resize(LENGTH, 1.0);
        Self { ids, weights, vectors }
    }

    /// The chunk of an empty prompt.
    pub(crate) fn empty(tokenizer: &Tokenizer) -> Self {
        Self::new(tokenizer, &[], Vec::new())
    }

    /// 77 ids; 0 where a vector stands.
    pub(crate) fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// 77 weights.
    pub(crate) fn weights(&self) -> &[f32] {
        &self.weights
    }

    pub(crate) fn is_weighted(&self) -> bool {
        self.weights.iter().any(|weight| *weight != 1.0)
    }

    pub(crate) fn vectors(&self) -> &[Vectors] {
        &self.vectors
    }

    pub(crate) fn key(&self) -> ChunkKey {
        let vectors = self.vectors.iter().map(|v| (v.at, v.embedding.name().to_owned(), v.rows.start)).collect();
        ChunkKey(self.ids.clone(), vectors)
    }
}
