use candle_core::Tensor;

use crate::conditioning::{Conditioning, EncodedPrompt};
use crate::sampling::guide;
use crate::{EngineError, Model};

/// The prompts of one pass, encoded for all calls of the model, and how strongly they pull.
pub(crate) struct Guidance {
    prompt: EncodedPrompt,
    negative: Option<EncodedPrompt>,
    pull: Pull,
    call: usize,
}

/// How strongly prompts pull.
#[derive(Clone, Copy)]
pub(crate) struct Pull {
    pub(crate) cfg_scale: f32,
    pub(crate) cfg_rescale: f32,
    /// For editing models: how strongly the picture pulls.
    pub(crate) image_cfg_scale: Option<f32>,
}

/// Prompts that are asked about in one call of the UNet: their contexts have one length.
pub(crate) struct Asked(Vec<Question>);

#[derive(Clone)]
struct Question {
    conditioning: Conditioning,
    negative: bool,
    blind: bool,
}

impl Asked {
    /// How many prompts.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// For each prompt, whether it is asked about without the picture that the model looks at.
    pub(crate) fn blind(&self) -> impl Iterator<Item = bool> {
        self.0.iter().map(|question| question.blind)
    }

    /// # Shapes
    /// - result: `[count, 77 * chunks, context width]`
    pub(crate) fn context(&self) -> Result<Tensor, EngineError> {
        let contexts: Vec<&Tensor> = self.0.iter().map(|question| &question.conditioning.context).collect();
        Ok(Tensor::cat(&contexts, 0)?)
    }

    /// The label that the model wants for a picture of this size, if it wants one.
    pub(crate) fn label(&self, model: &Model, width: u32, height: u32) -> Result<Option<Tensor>, EngineError> {
        let label = |question: &Question| {
            let pooled = question.conditioning.pooled.as_ref();
            model.label(pooled, &model.sizes(width, height, question.negative)).transpose()
        };
        let labels = self.0.iter().filter_map(label).collect::<Result<Vec<_>, _>>()?;
        if labels.is_empty() { Ok(None) } else { Ok(Some(Tensor::cat(&labels, 0)?)) }
    }
}

impl Guidance {
    /// Without a negative prompt, the prompt's own prediction is what counts. `call` is the first call of the model, 0
    /// unless another model has begun the pass.
    pub(crate) fn new((prompt, negative): (EncodedPrompt, Option<EncodedPrompt>), pull: Pull, call: usize) -> Self {
        Self { prompt, negative, pull, call }
    }

    /// One call of the model: what `ask` predicts for each prompt, put together ([`guide`]; editing: Brooks et al. 2023).
    ///
    /// # Shapes
    /// - `ask` returns as many elements for each prompt as the result has
    ///
    /// # Errors
    /// Those of `ask`.
    pub(crate) fn predict(
        &mut self,
        ask: &mut dyn FnMut(&Asked) -> Result<Vec<f32>, EngineError>,
    ) -> Result<Vec<f32>, EngineError> {
        let parts = self.prompt.at(self.call)?;
        let negative = self.negative.as_ref().map(|negative| negative.at(self.call)).transpose()?;
        self.call += 1;
        let weights: Vec<f32> = parts.iter().map(|(weight, _)| *weight).collect();
        let question = |(_, conditioning)| Question { conditioning, negative: false, blind: false };
        let mut asked: Vec<Question> = parts.into_iter().map(question).collect();
        let Pull { cfg_scale, cfg_rescale, image_cfg_scale } = self.pull;
        let Some((_, negative)) = negative.and_then(|negative| negative.into_iter().next()) else {
            let predicted = ask(&Asked(asked))?;
            return Ok(match *weights.as_slice() {
                [1.0] => predicted,
                _ => guide(&weighted(&weights, &predicted), None, cfg_scale, cfg_rescale),
            });
        };
        let together = asked.iter().all(|part| part.conditioning.length() == negative.length());
        let without = Question { conditioning: negative, negative: true, blind: false };
        let blind = image_cfg_scale.map(|_| Question { blind: true, ..without.clone() });
        let rest: Vec<Question> = [Some(without), blind].into_iter().flatten().collect();
        let (count, of_rest) = (asked.len() + rest.len(), rest.len());
        let predicted = if together {
            asked.extend(rest);
            ask(&Asked(asked))?
        } else {
            let mut predicted = ask(&Asked(asked))?;
            predicted.extend(ask(&Asked(rest))?);
            predicted
        };
        let length = predicted.len() / count;
        let (with, rest) = predicted.split_at(length * (count - of_rest));
        let (without, blind) = rest.split_at(length);
        let parts = weighted(&weights, with);
        let Some(image_cfg_scale) = image_cfg_scale else {
            return Ok(guide(&parts, Some(without), cfg_scale, cfg_rescale));
        };
        let mut result = blind.to_vec();
        let mut pull = |to: &[f32], from: &[f32], scale: f32| {
            for ((value, to), from) in result.iter_mut().zip(to).zip(from) {
                *value += scale * (to - from);
            }
        };
        parts.iter().for_each(|(weight, with)| pull(with, without, weight * cfg_scale));
        pull(without, blind, image_cfg_scale);
        Ok(result)
    }
}

/// The predictions for a prompt's parts, each with its weight.
fn weighted<'a>(weights: &[f32], predicted: &'a [f32]) -> Vec<(f32, &'a [f32])> {
    let length = predicted.len() / weights.len().max(1);
    weights.iter().copied().zip(predicted.chunks_exact(length.max(1))).collect()
}
