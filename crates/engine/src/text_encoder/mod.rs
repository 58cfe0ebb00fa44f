//! CLIP's text encoders (Radford et al. 2021): OpenAI's CLIP-L, OpenCLIP's H and bigG.

mod layer;
mod naming;

use candle_core::{Device, Result, Tensor};

use crate::EngineError;
use crate::checkpoint::{Family, Parameter, Part, Weights};
use crate::layers::{LayerNorm, Linear};
use layer::Layer;
use naming::Naming;

/// One text encoder of a model. Causal attention over all 77 positions (padding included), heads of 64 features.
pub(crate) struct TextEncoder {
    tokens: Parameter,
    positions: Parameter,
    layers: Vec<Layer>,
    final_norm: LayerNorm,
    projection: Option<Linear>,
    role: Role,
}

/// What a family makes of a text encoder.
#[derive(Clone, Copy)]
struct Role {
    /// The last layer that is used, counted from the end: 1 is the last.
    skip: u32,
    /// Whether the final norm is applied to the hidden state.
    normed: bool,
    /// Whether the end of text, projected, sums up the prompt.
    pooled: bool,
    /// Whether this is one of OpenCLIP's: the exact GELU, and 0 as the id of padding.
    open_clip: bool,
}

/// What a text encoder makes of prompts.
pub(crate) struct Encoded {
    /// `[prompts, 77, width]`
    pub(crate) hidden: Tensor,
    /// `[prompts, projected width]`, from OpenCLIP's bigG only
    pub(crate) pooled: Option<Tensor>,
}

impl TextEncoder {
    /// Features per attention head, the same in every CLIP.
    const HEAD: usize = 64;

    /// Loads the text encoders of a model in the order in which their features are put together.
    ///
    /// # Errors
    /// [`EngineError::MissingPart`] where a text encoder is missing.
    pub(crate) fn load_all(weights: &Weights, family: Family) -> std::result::Result<Vec<Self>, EngineError> {
        let clip = Role { skip: 1, normed: true, pooled: false, open_clip: false };
        let inner = Role { skip: 2, normed: false, ..clip };
        let big = Role { pooled: true, open_clip: true, ..inner };
        let parts = match family {
            Family::Sd2 => vec![("cond_stage_model", Role { open_clip: true, skip: 2, ..clip })],
            Family::Sdxl => vec![("conditioner.embedders.0", inner), ("conditioner.embedders.1", big)],
            Family::SdxlRefiner => vec![("conditioner.embedders.0", big)],
            _ => vec![("cond_stage_model", clip)],
        };
        let missing = || EngineError::MissingPart { file: weights.file().to_owned(), part: Part::TextEncoder };
        let load = |(prefix, role)| {
            let naming = Naming::of(&weights.scope(prefix)).ok_or_else(missing)?;
            Self::load(&naming, role)
        };
        parts.into_iter().map(load).collect()
    }

    fn load(naming: &Naming<'_>, mut role: Role) -> std::result::Result<Self, EngineError> {
        let tokens = naming.tokens()?;
        let width = tokens.dims()[1];
        if width % Self::HEAD != 0 {
            return Err(naming.unfit_tokens("rows of a multiple of 64"));
        }
        let layers: Vec<Layer> = naming.layers(width, role.open_clip)?;
        // transformers' copies of OpenCLIP's H end with the layer that is used
        if role.normed && naming.is_transformers() {
            role.skip = 1;
        }
        Ok(Self {
            positions: naming.positions(width)?,
            layers,
            final_norm: naming.final_norm(width)?,
            projection: if role.pooled { Some(naming.projection(width)?) } else { None },
            tokens,
            role,
        })
    }

    /// Rows of the token embedding: the size of the vocabulary.
    pub(crate) fn vocabulary(&self) -> usize {
        self.tokens.dims()[0]
    }

    /// Features per position.
    pub(crate) fn width(&self) -> usize {
        self.tokens.dims()[1]
    }

    /// Features of the summary, for encoders that make one.
    pub(crate) fn pooled_width(&self) -> Option<usize> {
        self.projection.as_ref().map(Linear::outputs)
    }

    /// The id that follows the end of a prompt up to position 77.
    pub(crate) fn padding(&self) -> u32 {
        if self.role.open_clip { 0 } else { self.vocabulary() as u32 - 1 }
    }

    /// The same ids with this encoder's padding behind the first end token.
    pub(crate) fn padded(&self, ids: &[u32]) -> Vec<u32> {
        let end = self.vocabulary() as u32 - 1;
        let text = ids.iter().position(|&id| id == end).map_or(ids.len(), |at| at + 1);
        ids.iter().enumerate().map(|(at, &id)| if at < text { id } else { self.padding() }).collect()
    }

    /// The embeddings of tokens, of which some may then be replaced by those of a textual inversion.
    ///
    /// # Shapes
    /// - ids: 77 token ids per prompt, each below [`TextEncoder::vocabulary`]
    /// - result: `[prompts, 77, width]`
    pub(crate) fn embed(&self, ids: &[Vec<u32>]) -> Result<Tensor> {
        self.tokens.rows(&ids.concat())?.reshape((ids.len(), crate::tokenizer::LENGTH, self.width()))
    }

    /// The hidden states that condition the UNet, and the summary where there is one.
    ///
    /// `clip_skip` counts layers from the end: 1 is the last one. Fewer than the family was trained with means as many
    /// as that (2 for Stable Diffusion 2.x and XL); more than there are means the first layer.
    ///
    /// # Shapes
    /// - embedded: `[prompts, 77, width]`; ids: 77 per prompt, whose largest is the end of the text
    pub(crate) fn encode_embedded(&self, embedded: &Tensor, ids: &[Vec<u32>], clip_skip: u32) -> Result<Encoded> {
        let skipped = clip_skip.max(self.role.skip).max(1) as usize - 1;
        let last = self.layers.len().saturating_sub(skipped).max(1);
        let mut x = embedded.broadcast_add(&self.positions.get()?)?;
        let mut hidden = x.clone();
        for (i, layer) in self.layers.iter().enumerate() {
            if i >= last && self.projection.is_none() {
                break;
            }
            x = layer.forward(&x)?;
            if i < last {
                hidden = x.clone();
            }
        }
        let pooled = self.projection.as_ref().map(|projection| self.pooled(&x, ids, projection)).transpose()?;
        let hidden = if self.role.normed { self.final_norm.forward(&hidden)? } else { hidden };
        Ok(Encoded { hidden, pooled })
    }

    /// The last layer at the end of each text, normed and projected.
    fn pooled(&self, last: &Tensor, ids: &[Vec<u32>], projection: &Linear) -> Result<Tensor> {
        let length = crate::tokenizer::LENGTH;
        let end = |ids: &Vec<u32>| {
            let largest = ids.iter().max();
            ids.iter().position(|id| Some(id) == largest).unwrap_or(0)
        };
        let rows: Vec<u32> = ids.iter().enumerate().map(|(i, ids)| (i * length + end(ids)) as u32).collect();
        let rows = last.flatten_to(1)?.index_select(&Tensor::new(rows, &Device::Cpu)?, 0)?;
        projection.forward(&self.final_norm.forward(&rows)?)
    }
}
