use std::collections::HashMap;

use candle_core::{Device, Tensor};

use crate::prompt_reader::{ReadPart, ReadPrompt};
use crate::tokenizer::{Chunk, ChunkKey, LENGTH};
use crate::weighting::{Weighted, move_from, multiply};
use crate::{Emphasis, EngineError};

/// What the UNet is told about a prompt.
#[derive(Clone, Debug)]
pub struct Conditioning {
    /// The encoded words: `[1, 77 * chunks, context width]`.
    pub context: Tensor,
    /// The encoded prompt as a whole, for Stable Diffusion XL only: `[1, 1280]`.
    pub pooled: Option<Tensor>,
}

impl Conditioning {
    /// Positions of the context.
    pub(crate) fn length(&self) -> usize {
        self.context.dims().get(1).copied().unwrap_or(0)
    }

    fn zeroed(&self) -> Result<Self, EngineError> {
        let pooled = self.pooled.as_ref().map(Tensor::zeros_like).transpose()?;
        Ok(Self { context: self.context.zeros_like()?, pooled })
    }

    /// The context made longer with copies of its last position.
    fn lengthened(&self, length: usize) -> Result<Self, EngineError> {
        let missing = length.saturating_sub(self.length());
        if missing == 0 {
            return Ok(self.clone());
        }
        let last = self.context.narrow(1, self.length() - 1, 1)?.repeat((1, missing, 1))?;
        Ok(Self { context: Tensor::cat(&[&self.context, &last], 1)?, pooled: self.pooled.clone() })
    }

    /// The context made longer with another's.
    fn followed_by(&self, other: &Self, times: usize) -> Result<Self, EngineError> {
        let more = other.context.repeat((1, times, 1))?;
        Ok(Self { context: Tensor::cat(&[&self.context, &more], 1)?, pooled: self.pooled.clone() })
    }
}

/// What the text encoders make of one chunk.
#[derive(Default)]
pub(crate) struct EncodedChunk {
    /// `[77, width]` for each text encoder.
    pub(crate) hidden: Vec<Vec<f32>>,
    /// `[1, 1280]`.
    pub(crate) pooled: Option<Tensor>,
}

/// What text encoders do with chunks.
type Encode<'a> = dyn Fn(&[&Chunk]) -> Result<Vec<EncodedChunk>, EngineError> + 'a;

/// A prompt, encoded for all calls of the model.
pub(crate) struct EncodedPrompt {
    parts: Vec<EncodedPart>,
}

struct EncodedPart {
    read: ReadPart,
    texts: Vec<Conditioning>,
}

impl EncodedPrompt {
    /// The parts for a call of the model, counted from 0, each with its weight. They have one length: shorter ones are
    /// filled up with copies of their last position, as AUTOMATIC1111 does.
    pub(crate) fn at(&self, call: usize) -> Result<Vec<(f32, Conditioning)>, EngineError> {
        let of = |part: &EncodedPart| Some((part.read.weight, part.texts.get(part.read.text_at(call))?.clone()));
        let parts: Vec<(f32, Conditioning)> = self.parts.iter().filter_map(of).collect();
        let length = parts.iter().map(|(_, part)| part.length()).max().unwrap_or(0);
        parts.into_iter().map(|(weight, part)| Ok((weight, part.lengthened(length)?))).collect()
    }
}

/// Encodes a prompt and a negative prompt, each chunk once.
pub(crate) struct Conditioner<'a> {
    /// Whose formula weights words.
    pub(crate) emphasis: Emphasis,
    /// The chunk of an empty prompt.
    pub(crate) empty: Chunk,
    /// Whether an empty negative prompt is all zeros: Stable Diffusion XL in AUTOMATIC1111 and Forge.
    pub(crate) zero_empty_negative: bool,
    /// Whether prompt and negative prompt are to have one length.
    pub(crate) pad: bool,
    /// The text encoders.
    pub(crate) encode: &'a Encode<'a>,
}

impl Conditioner<'_> {
    /// How many chunks are encoded at once.
    const BATCH: usize = 8;

    /// # Errors
    /// When the text encoders fail.
    pub(crate) fn encode(
        &self,
        prompt: ReadPrompt,
        negative: Option<ReadPrompt>,
    ) -> Result<(EncodedPrompt, Option<EncodedPrompt>), EngineError> {
        let mut chunks: Vec<&Chunk> = Vec::new();
        for read in [Some(&prompt), negative.as_ref()].into_iter().flatten() {
            chunks.extend(read.parts.iter().flat_map(|part| part.texts.iter().flatten()));
        }
        if self.pad || self.emphasis == Emphasis::ComfyUi && chunks.iter().any(|chunk| chunk.is_weighted()) {
            chunks.push(&self.empty);
        }
        let mut keys: Vec<ChunkKey> = Vec::new();
        chunks.retain(|chunk| {
            let key = chunk.key();
            let new = !keys.contains(&key);
            keys.extend(new.then_some(key));
            new
        });
        let mut encoded = HashMap::new();
        for (chunks, keys) in chunks.chunks(Self::BATCH).zip(keys.chunks(Self::BATCH)) {
            encoded.extend(keys.iter().cloned().zip((self.encode)(chunks)?));
        }
        let mut prompt = self.weighted(prompt, false, &encoded)?;
        let mut negative = negative.map(|negative| self.weighted(negative, true, &encoded)).transpose()?;
        if let Some(negative) = negative.as_mut().filter(|_| self.pad) {
            let empty = self.text(std::slice::from_ref(&self.empty), &encoded)?;
            let length = |prompt: &EncodedPrompt| {
                prompt.parts.iter().flat_map(|part| &part.texts).map(Conditioning::length).max().unwrap_or(0)
            };
            let longest = length(&prompt).max(length(negative));
            for text in [&mut prompt, negative].into_iter().flat_map(|p| &mut p.parts).flat_map(|p| &mut p.texts) {
                let missing = (longest - text.length()) / empty.length().max(1);
                if missing > 0 {
                    *text = text.followed_by(&empty, missing)?;
                }
            }
        }
        Ok((prompt, negative))
    }

    fn weighted(
        &self,
        prompt: ReadPrompt,
        negative: bool,
        encoded: &HashMap<ChunkKey, EncodedChunk>,
    ) -> Result<EncodedPrompt, EngineError> {
        let mut parts = Vec::new();
        for read in prompt.parts {
            let mut texts = self.part(&read, encoded)?;
            if negative && read.is_empty && self.zero_empty_negative && self.emphasis != Emphasis::ComfyUi {
                texts = texts.iter().map(Conditioning::zeroed).collect::<Result<_, _>>()?;
            }
            parts.push(EncodedPart { read, texts });
        }
        Ok(EncodedPrompt { parts })
    }

    /// The texts of one part; their weights are applied to all of them together.
    fn part(
        &self,
        read: &ReadPart,
        encoded: &HashMap<ChunkKey, EncodedChunk>,
    ) -> Result<Vec<Conditioning>, EngineError> {
        let mut texts: Vec<Vec<Hidden>> = read.texts.iter().map(|text| hidden(text, encoded)).collect();
        let chunks = read.texts.first().map_or(0, Vec::len);
        let encoders = encoded.values().next().map_or(0, |encoded| encoded.hidden.len());
        match self.emphasis {
            Emphasis::Original | Emphasis::NoNorm => {
                let counts: Vec<usize> =
                    (0..texts.len()).map(|text| read.entries.iter().filter(|entry| entry.1 == text).count()).collect();
                for (chunk, encoder) in (0..chunks).flat_map(|chunk| (0..encoders).map(move |encoder| (chunk, encoder)))
                {
                    let together = texts.iter_mut().zip(&read.texts).zip(&counts);
                    let mut together: Vec<Weighted<'_>> = together
                        .filter_map(|((hidden, text), count)| {
                            let hidden = hidden.get_mut(chunk)?.get_mut(encoder)?;
                            Some(Weighted { hidden, weights: text.get(chunk)?.weights(), count: *count })
                        })
                        .collect();
                    multiply(&mut together, self.emphasis == Emphasis::Original);
                }
            }
            Emphasis::ComfyUi => {
                if let Some(empty) = encoded.get(&self.empty.key()) {
                    let chunks = texts.iter_mut().flatten().zip(read.texts.iter().flatten());
                    for (hidden, chunk) in chunks {
                        let encoders = hidden.iter_mut().zip(&empty.hidden);
                        encoders.for_each(|(hidden, empty)| move_from(empty, hidden, chunk.weights()));
                    }
                }
            }
            Emphasis::Ignore | Emphasis::None => {}
        }
        let pooled = |text: &Vec<Chunk>| encoded.get(&text.first()?.key())?.pooled.clone();
        texts.iter().zip(&read.texts).map(|(hidden, text)| conditioning(hidden, pooled(text))).collect()
    }

    fn text(&self, text: &[Chunk], encoded: &HashMap<ChunkKey, EncodedChunk>) -> Result<Conditioning, EngineError> {
        conditioning(&hidden(text, encoded), None)
    }
}

/// `[77, width]` for each text encoder.
type Hidden = Vec<Vec<f32>>;

fn hidden(text: &[Chunk], encoded: &HashMap<ChunkKey, EncodedChunk>) -> Vec<Hidden> {
    text.iter().filter_map(|chunk| Some(encoded.get(&chunk.key())?.hidden.clone())).collect()
}

/// Joins chunks along the positions and text encoders along the features.
fn conditioning(chunks: &[Hidden], pooled: Option<Tensor>) -> Result<Conditioning, EngineError> {
    let mut values = Vec::new();
    for encoders in chunks {
        let width = |hidden: &Vec<f32>| hidden.len() / LENGTH;
        for position in 0..LENGTH {
            for hidden in encoders {
                values.extend_from_slice(
                    hidden.get(position * width(hidden)..(position + 1) * width(hidden)).unwrap_or_default(),
                );
            }
        }
    }
    let length = LENGTH * chunks.len();
    let width = values.len() / length.max(1);
    Ok(Conditioning { context: Tensor::from_vec(values, (1, length, width), &Device::Cpu)?, pooled })
}
