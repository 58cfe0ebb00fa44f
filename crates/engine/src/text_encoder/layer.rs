use candle_core::{Result, Tensor};

use crate::layers::{LayerNorm, Linear, attention, gelu, quick_gelu};

/// One pre-norm transformer layer.
pub(super) struct Layer {
    pub(super) norm1: LayerNorm,
    pub(super) attention: SelfAttention,
    pub(super) out: Linear,
    pub(super) norm2: LayerNorm,
    pub(super) up: Linear,
    pub(super) down: Linear,
    pub(super) heads: usize,
    pub(super) exact_gelu: bool,
}

/// Projections to query, key and value.
pub(super) enum SelfAttention {
    /// Three layers.
    Apart([Linear; 3]),
    /// One layer whose outputs are query, key and value one after the other.
    Fused(Linear),
}

impl SelfAttention {
    fn forward(&self, x: &Tensor) -> Result<[Tensor; 3]> {
        match self {
            Self::Apart([query, key, value]) => Ok([query.forward(x)?, key.forward(x)?, value.forward(x)?]),
            Self::Fused(fused) => {
                let all = fused.forward(x)?;
                let width = fused.inputs();
                let part = |i: usize| all.narrow(2, i * width, width)?.contiguous();
                Ok([part(0)?, part(1)?, part(2)?])
            }
        }
    }
}

impl Layer {
    /// # Shapes
    /// - x, result: `[prompts, 77, width]`
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let [q, k, v] = self.attention.forward(&self.norm1.forward(x)?)?;
        let x = (x + self.out.forward(&attention(&q, &k, &v, self.heads, true)?)?)?;
        let hidden = self.up.forward(&self.norm2.forward(&x)?)?;
        let hidden = if self.exact_gelu { gelu(&hidden)? } else { quick_gelu(&hidden)? };
        x + self.down.forward(&hidden)?
    }
}
