use candle_core::{Result, Tensor};

use crate::EngineError;
use crate::checkpoint::{Family, Scope};
use crate::kernels::precision::Precision;
use crate::layers::{GroupNorm, LayerNorm, Linear, attention, geglu};

/// Into how many heads attention is divided: a constant of the family that no tensor tells.
#[derive(Clone, Copy)]
pub(super) enum Heads {
    /// That many: 8 in Stable Diffusion 1.x.
    Count(usize),
    /// As many as there are groups of so many features: 64 in Stable Diffusion 2.x and XL.
    Of(usize),
}

impl Heads {
    fn count(self, width: usize) -> usize {
        match self {
            Self::Count(count) => count,
            Self::Of(features) => (width / features).max(1),
        }
    }
}

/// What transformers look at besides the picture.
#[derive(Clone, Copy)]
pub(super) struct Text {
    /// Features per word.
    pub(super) width: usize,
    pub(super) heads: Heads,
}

impl Text {
    /// What the transformers of a family look at.
    pub(super) fn of(family: Family, width: usize) -> Self {
        Self { width, heads: if family == Family::Sd1 { Heads::Count(8) } else { Heads::Of(64) } }
    }
}

/// Transformer blocks over the pixels of a picture.
pub(super) struct SpatialTransformer {
    norm: GroupNorm,
    enter: Linear,
    blocks: Vec<Block>,
    leave: Linear,
}

impl SpatialTransformer {
    /// Loads a transformer for `channels` channels that looks at `text`.
    pub(super) fn load(scope: &Scope<'_>, channels: usize, text: Text) -> std::result::Result<Self, EngineError> {
        let enter = Linear::load_for(&scope.scope("proj_in"), channels)?;
        let width = enter.outputs();
        let heads = text.heads.count(width);
        if width % heads != 0 {
            return Err(scope.unfit("proj_in.weight", &format!("a multiple of {heads} features")));
        }
        let all = scope.scope("transformer_blocks");
        let blocks = (0..)
            .map(|i| all.scope(&i.to_string()))
            .take_while(|block| block.contains("norm1.weight"))
            .map(|block| Block::load(&block, width, text.width, heads))
            .collect::<std::result::Result<_, _>>()?;
        let leave = Linear::load_for(&scope.scope("proj_out"), width)?;
        // 1e-6 here, unlike the residual blocks' 1e-5
        Ok(Self { norm: GroupNorm::load(&scope.scope("norm"), channels, 1e-6)?, enter, blocks, leave })
    }

    /// # Shapes
    /// - x, result: `[batch, height, width, channels]`; context: `[batch, 77, context width]`
    pub(super) fn forward(&self, x: &Tensor, context: &Tensor) -> Result<Tensor> {
        let (batch, height, width, channels) = x.dims4()?;
        let mut hidden = self.enter.forward(&self.norm.forward(x)?.reshape((batch, height * width, channels))?)?;
        for block in &self.blocks {
            hidden = block.forward(&hidden, context)?;
        }
        x + self.leave.forward(&hidden)?.reshape((batch, height, width, channels))?
    }
}

/// Self-attention, attention to the text, and a gated feed-forward layer, each behind a layer norm.
struct Block {
    norm1: LayerNorm,
    own: Attention,
    norm2: LayerNorm,
    text: Attention,
    norm3: LayerNorm,
    up: Linear,
    down: Linear,
}

impl Block {
    fn load(scope: &Scope<'_>, width: usize, context: usize, heads: usize) -> std::result::Result<Self, EngineError> {
        let norm = |name: &str| LayerNorm::load(&scope.scope(name), width);
        let up = Linear::load_for(&scope.scope("ff.net.0.proj"), width)?;
        Ok(Self {
            norm1: norm("norm1")?,
            own: Attention::load(&scope.scope("attn1"), width, width, heads)?,
            norm2: norm("norm2")?,
            text: Attention::load(&scope.scope("attn2"), width, context, heads)?,
            norm3: norm("norm3")?,
            down: Linear::load_for(&scope.scope("ff.net.2"), up.outputs() / 2)?,
            up,
        })
    }

    /// # Shapes
    /// - x, result: `[batch, pixels, width]`; context: `[batch, 77, context width]`
    fn forward(&self, x: &Tensor, context: &Tensor) -> Result<Tensor> {
        let x = (x + self.own.forward(&self.norm1.forward(x)?)?)?;
        let x = (&x + self.text.forward_to_text(&self.norm2.forward(&x)?, context)?)?;
        let hidden = geglu(&self.up.forward(&self.norm3.forward(&x)?)?)?;
        &x + self.down.forward(&hidden)?
    }
}

/// Attention of a sequence to itself or to the text.
struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    heads: usize,
}

impl Attention {
    fn load(scope: &Scope<'_>, width: usize, source: usize, heads: usize) -> std::result::Result<Self, EngineError> {
        Ok(Self {
            heads,
            query: Linear::load_for(&scope.scope("to_q"), width)?,
            key: Linear::load_for(&scope.scope("to_k"), source)?,
            value: Linear::load_for(&scope.scope("to_v"), source)?,
            out: Linear::load(&scope.scope("to_out.0"))?,
        })
    }

    /// # Shapes
    /// - x, result: `[batch, pixels, width]`
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.look(x, &self.key.forward(x)?, &self.value.forward(x)?)
    }

    /// Keys and values of the text are few, and every pixel of every step depends on them: they are always f32.
    ///
    /// # Shapes
    /// - x, result: `[batch, pixels, width]`; context: `[batch, 77 * chunks, context width]`
    fn forward_to_text(&self, x: &Tensor, context: &Tensor) -> Result<Tensor> {
        let (keys, values) = Precision::F32.during(|| (self.key.forward(context), self.value.forward(context)));
        self.look(x, &keys?, &values?)
    }

    fn look(&self, x: &Tensor, keys: &Tensor, values: &Tensor) -> Result<Tensor> {
        self.out.forward(&attention(&self.query.forward(x)?, keys, values, self.heads, false)?)
    }
}
