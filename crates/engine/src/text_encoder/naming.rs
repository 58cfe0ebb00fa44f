use super::TextEncoder;
use super::layer::{Layer, SelfAttention};
use crate::EngineError;
use crate::checkpoint::{Parameter, Scope};
use crate::layers::{LayerNorm, Linear};

/// The two ways in which files name a text encoder's tensors.
pub(super) enum Naming<'a> {
    /// transformers: query, key and value apart; `projection` is where the text projection lies.
    Transformers { model: Scope<'a>, projection: Scope<'a> },
    /// OpenCLIP: query, key and value in one matrix.
    OpenClip { model: Scope<'a> },
}

impl<'a> Naming<'a> {
    /// Finds the text encoder under `part`: `transformer.text_model` (or, in files converted by early tools,
    /// `transformer` itself), or OpenCLIP's `model`.
    pub(super) fn of(part: &Scope<'a>) -> Option<Self> {
        let (open, projection) = (part.scope("model"), part.scope("transformer"));
        if open.contains("token_embedding.weight") {
            return Some(Self::OpenClip { model: open });
        }
        let named = |model: &Scope<'_>| model.contains("embeddings.token_embedding.weight");
        let model = [projection.scope("text_model"), projection.clone()].into_iter().find(named)?;
        Some(Self::Transformers { model, projection })
    }

    pub(super) fn is_transformers(&self) -> bool {
        matches!(self, Self::Transformers { .. })
    }

    fn model(&self) -> &Scope<'a> {
        match self {
            Self::Transformers { model, .. } | Self::OpenClip { model } => model,
        }
    }

    fn pick<'b>(&self, transformers: &'b str, open_clip: &'b str) -> &'b str {
        if self.is_transformers() { transformers } else { open_clip }
    }

    fn tokens_name(&self) -> &'static str {
        self.pick("embeddings.token_embedding.weight", "token_embedding.weight")
    }

    /// # Shapes
    /// - result: `[vocabulary, width]`
    pub(super) fn tokens(&self) -> Result<Parameter, EngineError> {
        self.model().table(self.tokens_name())
    }

    pub(super) fn unfit_tokens(&self, expected: &str) -> EngineError {
        self.model().unfit(self.tokens_name(), expected)
    }

    /// # Shapes
    /// - result: `[77, width]`
    pub(super) fn positions(&self, width: usize) -> Result<Parameter, EngineError> {
        let name = self.pick("embeddings.position_embedding.weight", "positional_embedding");
        let positions = self.model().table(name)?;
        if positions.dims() != [crate::tokenizer::LENGTH, width] {
            return Err(self.model().unfit(name, &format!("[77, {width}]")));
        }
        Ok(positions)
    }

    pub(super) fn final_norm(&self, width: usize) -> Result<LayerNorm, EngineError> {
        LayerNorm::load(&self.model().scope(self.pick("final_layer_norm", "ln_final")), width)
    }

    /// The projection of the summary: a dense layer of transformers, or OpenCLIP's matrix, which is stored the other
    /// way round.
    pub(super) fn projection(&self, width: usize) -> Result<Linear, EngineError> {
        match self {
            Self::Transformers { projection, .. } => Linear::load_for(&projection.scope("text_projection"), width),
            Self::OpenClip { model } => {
                let weight = model.projection("text_projection")?;
                if weight.inputs() != width {
                    return Err(model.unfit("text_projection", &format!("a matrix with {width} rows")));
                }
                Ok(Linear::of(weight, None))
            }
        }
    }

    /// All layers, with the exact GELU or CLIP's quick one.
    pub(super) fn layers(&self, width: usize, exact_gelu: bool) -> Result<Vec<Layer>, EngineError> {
        let all = self.model().scope(self.pick("encoder.layers", "transformer.resblocks"));
        (0..)
            .map(|i| all.scope(&i.to_string()))
            .take_while(|layer| layer.contains(self.pick("layer_norm1.weight", "ln_1.weight")))
            .map(|layer| self.layer(&layer, width, exact_gelu))
            .collect()
    }

    fn layer(&self, scope: &Scope<'_>, width: usize, exact_gelu: bool) -> Result<Layer, EngineError> {
        let linear = |name: &str| Linear::load_for(&scope.scope(name), width);
        let up = linear(self.pick("mlp.fc1", "mlp.c_fc"))?;
        let attention = match self {
            Self::Transformers { .. } => SelfAttention::Apart([
                linear("self_attn.q_proj")?,
                linear("self_attn.k_proj")?,
                linear("self_attn.v_proj")?,
            ]),
            Self::OpenClip { .. } => {
                let (weight, bias) = ("attn.in_proj_weight", "attn.in_proj_bias");
                let fused = Linear::of(scope.dense(weight)?, Some(scope.vector(bias, Some(3 * width))?));
                if (fused.inputs(), fused.outputs()) != (width, 3 * width) {
                    return Err(scope.unfit(weight, &format!("[{}, {width}]", 3 * width)));
                }
                SelfAttention::Fused(fused)
            }
        };
        Ok(Layer {
            norm1: LayerNorm::load(&scope.scope(self.pick("layer_norm1", "ln_1")), width)?,
            attention,
            out: linear(self.pick("self_attn.out_proj", "attn.out_proj"))?,
            norm2: LayerNorm::load(&scope.scope(self.pick("layer_norm2", "ln_2")), width)?,
            down: Linear::load_for(&scope.scope(self.pick("mlp.fc2", "mlp.c_proj")), up.outputs())?,
            up,
            heads: width / TextEncoder::HEAD,
            exact_gelu,
        })
    }
}
