use std::collections::HashMap;

use crate::embeddings::Embeddings;
use crate::prompt::{
    Piece, PromptNotice, PromptPart, PromptSchedule, PromptSteps, comfy_pieces, parts, pieces, tags_left, take_networks,
};
use crate::tokenizer::{Chunk, Tokenizer, comfy_chunks, webui_chunks};
use crate::{Emphasis, EngineError};

/// Reads prompts: text in, chunks of tokens out.
pub(crate) struct PromptReader<'a> {
    pub(crate) tokenizer: &'a Tokenizer,
    pub(crate) embeddings: Embeddings<'a>,
    pub(crate) emphasis: Emphasis,
    pub(crate) steps: PromptSteps,
}

/// A prompt as tokens: one part, or as many as `AND` makes.
pub(crate) struct ReadPrompt {
    pub(crate) parts: Vec<ReadPart>,
}

/// One of the pictures that are added up.
pub(crate) struct ReadPart {
    pub(crate) weight: f32,
    /// The chunks of each different text, as many for each.
    pub(crate) texts: Vec<Vec<Chunk>>,
    /// The last call of the model that a text is for, and which one it is, in AUTOMATIC1111's count.
    pub(crate) entries: Vec<(usize, usize)>,
    /// Whether there is no text at all.
    pub(crate) is_empty: bool,
}

impl PromptReader<'_> {
    /// # Errors
    /// When the tokenizer fails, or an embedding that the prompt names cannot be read.
    pub(crate) fn prompt(&self, prompt: &str) -> Result<ReadPrompt, EngineError> {
        if self.emphasis == Emphasis::ComfyUi {
            return self.whole(prompt);
        }
        let taken = take_networks(prompt);
        taken.notices.into_iter().for_each(|notice| self.embeddings.tell(notice));
        let parts = parts(&taken.text);
        if let [PromptPart { weighted: true, weight, .. }] = *parts.as_slice() {
            self.embeddings.tell(PromptNotice::WholeWeight { weight });
        }
        let parts = parts.iter().map(|part| self.part(&part.text, part.weight as f32)).collect::<Result<_, _>>()?;
        Ok(ReadPrompt { parts })
    }

    /// Schedules and weights count in a negative prompt, tags and `AND` are words.
    ///
    /// # Errors
    /// As [`PromptReader::prompt`].
    pub(crate) fn negative_prompt(&self, prompt: &str) -> Result<ReadPrompt, EngineError> {
        if self.emphasis == Emphasis::ComfyUi {
            return self.whole(prompt);
        }
        tags_left(prompt).into_iter().for_each(|notice| self.embeddings.tell(notice));
        Ok(ReadPrompt { parts: vec![self.part(prompt, 1.0)?] })
    }

    fn whole(&self, prompt: &str) -> Result<ReadPrompt, EngineError> {
        let texts = vec![comfy_chunks(&comfy_pieces(prompt), self.tokenizer, &self.embeddings)?];
        let part = ReadPart { weight: 1.0, texts, entries: vec![(usize::MAX, 0)], is_empty: prompt.is_empty() };
        Ok(ReadPrompt { parts: vec![part] })
    }

    fn part(&self, text: &str, weight: f32) -> Result<ReadPart, EngineError> {
        let schedule = PromptSchedule::read(text, self.steps);
        if schedule.is_unread() {
            self.embeddings.tell(PromptNotice::UnreadSchedule);
        }
        let mut texts: Vec<Vec<Chunk>> = Vec::new();
        let mut known: HashMap<&str, usize> = HashMap::new();
        let mut entries = Vec::new();
        for entry in schedule.entries() {
            let text = match known.get(entry.text.as_str()) {
                Some(text) => *text,
                None => {
                    texts.push(self.chunks(&entry.text)?);
                    known.insert(&entry.text, texts.len() - 1);
                    texts.len() - 1
                }
            };
            entries.push((entry.until, text));
        }
        let chunks = texts.iter().map(Vec::len).max().unwrap_or(0);
        texts.iter_mut().for_each(|text| text.resize_with(chunks, || Chunk::empty(self.tokenizer)));
        let is_empty = schedule.entries().iter().all(|entry| entry.text.is_empty());
        Ok(ReadPart { weight, texts, entries, is_empty })
    }

    fn chunks(&self, text: &str) -> Result<Vec<Chunk>, EngineError> {
        let pieces = match self.emphasis {
            Emphasis::None => vec![Piece { text: text.to_owned(), weight: 1.0 }],
            _ => pieces(text),
        };
        if pieces.iter().any(|piece| piece.text == Piece::BREAK && !piece.is_break()) {
            self.embeddings.tell(PromptNotice::BreakInBrackets);
        }
        webui_chunks(&pieces, self.tokenizer, &self.embeddings)
    }
}

impl ReadPart {
    /// Which text holds for a call of the model, counted from 0; as [`PromptSchedule::index_at`].
    pub(crate) fn text_at(&self, call: usize) -> usize {
        let entry = self.entries.iter().find(|(until, _)| call <= *until).or(self.entries.first());
        entry.map_or(0, |(_, text)| *text)
    }
}
