//! Prompts to token ids, with everything built in.

mod chunk;
mod clip;
mod comfy_chunks;
mod webui_chunks;

pub(crate) use chunk::{Chunk, ChunkKey, Vectors};
pub(crate) use comfy_chunks::comfy_chunks;
pub(crate) use webui_chunks::webui_chunks;

use tokenizers::Tokenizer as Inner;

use crate::EngineError;

/// Positions of the text encoder: start, up to 75 tokens, end, padding.
pub(crate) const LENGTH: usize = 77;
/// Positions between start and end.
pub(crate) const WORDS: usize = LENGTH - 2;

/// A byte-pair tokenizer in CLIP's manner: lower-cased words, `</w>` at their ends.
pub(crate) struct Tokenizer {
    inner: Inner,
    start: u32,
    end: u32,
    comma: Option<u32>,
}

impl Tokenizer {
    /// Vocabulary sizes with a built-in tokenizer: spark's and CLIP's.
    const KNOWN: [usize; 2] = [3000, clip::VOCABULARY];

    /// The tokenizer of a text encoder with `vocabulary` token embeddings. Start and end are the last two tokens; end
    /// is the padding too.
    ///
    /// # Errors
    /// [`EngineError::UnknownVocabulary`], naming `file`, where none fits.
    pub(crate) fn for_vocabulary(vocabulary: usize, file: &str) -> Result<Self, EngineError> {
        let inner = match vocabulary {
            3000 => Inner::from_bytes(include_bytes!("../../../../models/spark/tokenizer.json")),
            clip::VOCABULARY => clip::tokenizer(),
            rows => {
                let known = Self::KNOWN.map(|size| size.to_string()).join(" and ");
                return Err(EngineError::UnknownVocabulary { file: file.to_owned(), rows, known });
            }
        };
        let inner = inner.map_err(|error| EngineError::Tokenizer(error.to_string()))?;
        let comma = inner.token_to_id(",</w>");
        Ok(Self { inner, start: vocabulary as u32 - 2, end: vocabulary as u32 - 1, comma })
    }

    /// The ids of a text's words, however many: no start, no end, no padding.
    pub(crate) fn words(&self, text: &str) -> Result<Vec<u32>, EngineError> {
        let encoding =
            self.inner.encode_fast(text, false).map_err(|error| EngineError::Tokenizer(error.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    pub(crate) fn start(&self) -> u32 {
        self.start
    }

    pub(crate) fn end(&self) -> u32 {
        self.end
    }

    /// The id of a comma with a space after it.
    pub(crate) fn comma(&self) -> Option<u32> {
        self.comma
    }

    /// Exactly 77 ids: start, the first 75 tokens of the prompt, end, and end again as padding.
    pub(crate) fn encode(&self, prompt: &str) -> Result<Vec<u32>, EngineError> {
        let mut ids = vec![self.start];
        ids.extend(self.words(prompt)?.iter().take(WORDS));
        ids.resize(LENGTH, self.end);
        Ok(ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_vocabulary_is_named() {
        let error = Tokenizer::for_vocabulary(50_000, "m.safetensors").err().map(|error| error.to_string());
        assert_eq!(
            error.as_deref(),
            Some("`m.safetensors` has a vocabulary of 50000 tokens; the built-in tokenizers have 3000 and 49408")
        );
    }

    #[test]
    fn ids_are_always_77_with_start_and_end() {
        for vocabulary in Tokenizer::KNOWN {
            let tokenizer = Tokenizer::for_vocabulary(vocabulary, "test").expect("built in");
            let (start, end) = (vocabulary as u32 - 2, vocabulary as u32 - 1);
            assert_eq!(tokenizer.encode("").expect("ids")[..3], [start, end, end]);
            let long = tokenizer.encode(&"banana ".repeat(500)).expect("ids");
            assert_eq!(long.len(), LENGTH);
            assert_eq!((long[0], long[76]), (start, end));
            assert_ne!(long[75], end);
            let short = tokenizer.encode("A  Banana\n").expect("ids");
            assert_eq!(short, tokenizer.encode("a banana").expect("ids"));
        }
    }
}
