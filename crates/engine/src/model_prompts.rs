//! A model's side of prompts.

use std::sync::PoisonError;

use crate::checkpoint::UNetInputs;
use crate::conditioning::{Conditioner, Conditioning, EncodedChunk, EncodedPrompt};
use crate::embeddings::Embeddings;
use crate::guidance::{Guidance, Pull};
use crate::prompt::{PromptSteps, take_networks};
use crate::prompt_reader::{PromptReader, ReadPrompt};
use crate::prompt_report::{PromptChunk, PromptReport};
use crate::sampling::needs_negative;
use crate::text_encoder::TextEncoder;
use crate::tokenizer::{Chunk, LENGTH};
use crate::{Emphasis, EngineError, GenerateSettings, Model, Shelf};

impl Model {
    /// The textual inversions that prompts may name from now on. A file is read when a prompt names it.
    pub fn set_embeddings(&self, embeddings: Shelf) {
        *self.embeddings.write().unwrap_or_else(PoisonError::into_inner) = embeddings;
    }

    /// What the prompts of these settings mean to this model, without drawing anything.
    ///
    /// # Errors
    /// When an embedding that a prompt names cannot be read.
    pub fn read_prompts(&self, settings: &GenerateSettings) -> Result<PromptReport, EngineError> {
        let emphasis = settings.text.emphasis;
        self.with_reader(emphasis, PromptSteps::first_pass(settings.steps as usize), |reader| {
            let (prompt, negative) =
                (reader.prompt(&settings.prompt)?, reader.negative_prompt(&settings.negative_prompt)?);
            let chunks = |read: &ReadPrompt| -> Vec<PromptChunk> {
                let first = read.parts.first().and_then(|part| part.texts.get(part.text_at(0)));
                first.into_iter().flatten().map(PromptChunk::of).collect()
            };
            let networks = match emphasis {
                Emphasis::ComfyUi => Vec::new(),
                _ => take_networks(&settings.prompt).networks,
            };
            let (prompt, negative_prompt) = (chunks(&prompt), chunks(&negative));
            Ok(PromptReport { networks, prompt, negative_prompt, notices: reader.embeddings.notices() })
        })
    }

    /// What the UNet is told at a call of the model, counted from 0: the parts of the prompt with their weights, and
    /// the negative prompt.
    ///
    /// # Errors
    /// As [`Model::generate`].
    pub fn conditionings(
        &self,
        settings: &GenerateSettings,
        steps: PromptSteps,
        call: usize,
    ) -> Result<(Vec<(f32, Conditioning)>, Conditioning), EngineError> {
        settings.text.check()?;
        let (prompt, negative) = self.encoded(settings, steps, &|_| true)?;
        let negative = negative.map(|negative| negative.at(call)).transpose()?.unwrap_or_default();
        let negative = negative.into_iter().next().map(|(_, negative)| negative);
        let missing = || EngineError::Compute(candle_core::Error::Msg("a prompt without parts".to_owned()));
        Ok((prompt.at(call)?, negative.ok_or_else(missing)?))
    }

    /// The prompts of a pass, ready for the sampler. `call` is the first call of this model: 0 unless another has begun
    /// the pass.
    ///
    /// # Errors
    /// As [`Model::generate`].
    pub(crate) fn guidance(
        &self,
        settings: &GenerateSettings,
        steps: PromptSteps,
        call: usize,
    ) -> Result<Guidance, EngineError> {
        let edits = self.info().inputs == UNetInputs::Edit;
        let pull = Pull {
            cfg_scale: settings.cfg_scale,
            cfg_rescale: settings.sampling.cfg_rescale,
            image_cfg_scale: edits.then(|| settings.image.clone().unwrap_or_default().image_cfg_scale),
        };
        let needed = |weights: &[f32]| edits || needs_negative(weights, settings.cfg_scale);
        Ok(Guidance::new(self.encoded(settings, steps, &needed)?, pull, call))
    }

    /// `needed` says whether a prompt with parts of such weights needs the negative prompt.
    fn encoded(
        &self,
        settings: &GenerateSettings,
        steps: PromptSteps,
        needed: &dyn Fn(&[f32]) -> bool,
    ) -> Result<(EncodedPrompt, Option<EncodedPrompt>), EngineError> {
        let text = &settings.text;
        self.with_reader(text.emphasis, steps, |reader| {
            let prompt = reader.prompt(&settings.prompt)?;
            let weights: Vec<f32> = prompt.parts.iter().map(|part| part.weight).collect();
            let negative = needed(&weights).then(|| reader.negative_prompt(&settings.negative_prompt)).transpose()?;
            self.focus_text();
            let conditioner = Conditioner {
                emphasis: text.emphasis,
                empty: Chunk::empty(reader.tokenizer),
                zero_empty_negative: self.family().is_xl(),
                pad: text.pad_conds,
                encode: &|chunks| self.encode_chunks(chunks, text.clip_skip),
            };
            conditioner.encode(prompt, negative)
        })
    }

    fn with_reader<T>(
        &self,
        emphasis: Emphasis,
        steps: PromptSteps,
        read: impl FnOnce(&PromptReader<'_>) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let shelf = self.embeddings.read().unwrap_or_else(PoisonError::into_inner);
        let widths: Vec<usize> = self.text_encoders.iter().map(TextEncoder::width).collect();
        let embeddings = Embeddings::new(&shelf, &widths, &self.tokenizer)?;
        read(&PromptReader { tokenizer: &self.tokenizer, embeddings, emphasis, steps })
    }

    fn encode_chunks(&self, chunks: &[&Chunk], clip_skip: u32) -> Result<Vec<EncodedChunk>, EngineError> {
        let mut encoded: Vec<EncodedChunk> = chunks.iter().map(|_| EncodedChunk::default()).collect();
        for (index, encoder) in self.text_encoders.iter().enumerate() {
            let ids: Vec<Vec<u32>> = chunks.iter().map(|chunk| encoder.padded(chunk.ids())).collect();
            let mut embedded = encoder.embed(&ids)?;
            for (row, chunk) in chunks.iter().enumerate() {
                for vectors in chunk.vectors() {
                    let Some(table) = vectors.embedding.table(index) else { continue };
                    let places = vectors.rows.len().min(LENGTH.saturating_sub(vectors.at));
                    let table = table.narrow(0, vectors.rows.start, places)?.unsqueeze(0)?;
                    embedded = embedded
                        .slice_assign(&[row..row + 1, vectors.at..vectors.at + places, 0..encoder.width()], &table)?;
                }
            }
            let all = encoder.encode_embedded(&embedded, &ids, clip_skip)?;
            for (row, chunk) in encoded.iter_mut().enumerate() {
                chunk.hidden.push(all.hidden.get(row)?.flatten_all()?.to_vec1()?);
                let pooled = all.pooled.as_ref().map(|pooled| pooled.narrow(0, row, 1)).transpose()?;
                chunk.pooled = pooled.or(chunk.pooled.take());
            }
        }
        Ok(encoded)
    }
}
