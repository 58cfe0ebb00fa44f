use candle_core::{Result, Tensor};

use crate::EngineError;
use crate::checkpoint::{Parameter, Scope, Weights};
use crate::layers::{LayerNorm, Linear, attention, quick_gelu};

/// CLIP's text encoder (Radford et al. 2021) as Stable Diffusion 1.x uses it: the last hidden state behind the final
/// layer norm, quick GELU, heads of 64 features, causal attention over all 77 positions (padding included).
pub(crate) struct TextEncoder {
    tokens: Parameter,
    positions: Parameter,
    layers: Vec<Layer>,
    final_norm: LayerNorm,
}

impl TextEncoder {
    /// Features per attention head, the same in every CLIP.
    const HEAD: usize = 64;

    /// Loads what lies under `cond_stage_model.transformer.text_model` (or, in files converted by early tools,
    /// directly under `cond_stage_model.transformer`).
    pub(crate) fn load(weights: &Weights) -> std::result::Result<Self, EngineError> {
        let transformer = weights.scope("cond_stage_model.transformer");
        let scope = match transformer.scope("embeddings").contains("token_embedding.weight") {
            true => transformer,
            false => transformer.scope("text_model"),
        };
        let embeddings = scope.scope("embeddings");
        let tokens = embeddings.table("token_embedding.weight")?;
        let positions = embeddings.table("position_embedding.weight")?;
        let width = tokens.dims()[1];
        if width % Self::HEAD != 0 {
            return Err(embeddings.unfit("token_embedding.weight", "rows of a multiple of 64"));
        }
        if positions.dims() != [crate::tokenizer::LENGTH, width] {
            return Err(embeddings.unfit("position_embedding.weight", &format!("[77, {width}]")));
        }
        let encoder = scope.scope("encoder.layers");
        let layers = (0..)
            .map(|i| encoder.scope(&i.to_string()))
            .take_while(|layer| layer.contains("layer_norm1.weight"))
            .map(|layer| Layer::load(&layer, width))
            .collect::<std::result::Result<_, _>>()?;
        Ok(Self { tokens, positions, layers, final_norm: LayerNorm::load(&scope.scope("final_layer_norm"), width)? })
    }

    /// Rows of the token embedding: the size of the vocabulary.
    pub(crate) fn vocabulary(&self) -> usize {
        self.tokens.dims()[0]
    }

    /// Features per position.
    pub(crate) fn width(&self) -> usize {
        self.tokens.dims()[1]
    }

    /// The hidden states that condition the UNet.
    ///
    /// # Shapes
    /// - ids: 77 token ids per prompt, each below [`TextEncoder::vocabulary`]
    /// - result: `[prompts, 77, width]`
    pub(crate) fn encode(&self, ids: &[Vec<u32>]) -> Result<Tensor> {
        let length = crate::tokenizer::LENGTH;
        let embedded = self.tokens.rows(&ids.concat())?.reshape((ids.len(), length, self.width()))?;
        let mut x = embedded.broadcast_add(&self.positions.get()?)?;
        for layer in &self.layers {
            x = layer.forward(&x)?;
        }
        self.final_norm.forward(&x)
    }
}

/// One pre-norm transformer layer.
struct Layer {
    norm1: LayerNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    norm2: LayerNorm,
    up: Linear,
    down: Linear,
    heads: usize,
}

impl Layer {
    fn load(scope: &Scope<'_>, width: usize) -> std::result::Result<Self, EngineError> {
        let linear = |name: &str| Linear::load_for(&scope.scope(name), width);
        let up = linear("mlp.fc1")?;
        Ok(Self {
            norm1: LayerNorm::load(&scope.scope("layer_norm1"), width)?,
            query: linear("self_attn.q_proj")?,
            key: linear("self_attn.k_proj")?,
            value: linear("self_attn.v_proj")?,
            out: linear("self_attn.out_proj")?,
            norm2: LayerNorm::load(&scope.scope("layer_norm2"), width)?,
            down: Linear::load_for(&scope.scope("mlp.fc2"), up.outputs())?,
            up,
            heads: width / TextEncoder::HEAD,
        })
    }

    /// # Shapes
    /// - x, result: `[prompts, 77, width]`
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let normed = self.norm1.forward(x)?;
        let (q, k, v) = (self.query.forward(&normed)?, self.key.forward(&normed)?, self.value.forward(&normed)?);
        let x = (x + self.out.forward(&attention(&q, &k, &v, self.heads, true)?)?)?;
        let hidden = quick_gelu(&self.up.forward(&self.norm2.forward(&x)?)?)?;
        x + self.down.forward(&hidden)?
    }
}
