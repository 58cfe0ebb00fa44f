//! What encoder and decoder are made of.

use candle_core::{Result, Tensor, bail};

use crate::EngineError;
use crate::checkpoint::Scope;
use crate::layers::{Convolution, GroupNorm, Linear, Resize, affine_silu, attention};

/// Epsilon of the autoencoder's norms.
pub(super) const EPSILON: f32 = 1e-6;

/// Where the norms take mean and deviation from.
pub(super) enum Norms {
    /// What they normalize.
    Own,
    /// The same, and it is noted for later.
    Note(Vec<Tensor>),
    /// What was noted for another picture, in the same order.
    Noted(std::vec::IntoIter<Tensor>),
}

impl Norms {
    /// The norm followed by a SiLU.
    pub(super) fn apply(&mut self, norm: &GroupNorm, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Own => norm.forward_silu(x),
            Self::Note(noted) => {
                let factors = norm.factors(x)?;
                noted.push(factors.clone());
                affine_silu(x, &factors)
            }
            Self::Noted(noted) => match noted.next() {
                Some(factors) => affine_silu(x, &factors),
                None => bail!("fewer norms were noted than there are"),
            },
        }
    }
}

/// A residual block without time embedding.
pub(super) struct ResidualBlock {
    norm1: GroupNorm,
    conv1: Convolution,
    norm2: GroupNorm,
    conv2: Convolution,
    shortcut: Option<Linear>,
}

impl ResidualBlock {
    /// Loads the blocks `block.0`, `block.1`, … of one resolution; `channels` becomes what the last hands on.
    pub(super) fn load_all(level: &Scope<'_>, channels: &mut usize) -> std::result::Result<Vec<Self>, EngineError> {
        let mut blocks = Vec::new();
        loop {
            let block = level.scope(&format!("block.{}", blocks.len()));
            if !block.contains("conv1.weight") {
                return Ok(blocks);
            }
            let block = Self::load(&block, *channels)?;
            *channels = block.outputs();
            blocks.push(block);
        }
    }

    fn load(scope: &Scope<'_>, channels: usize) -> std::result::Result<Self, EngineError> {
        let conv1 = Convolution::load_for(&scope.scope("conv1"), channels, Resize::Keep)?;
        let conv2 = Convolution::load_for(&scope.scope("conv2"), conv1.outputs(), Resize::Keep)?;
        let shortcut = match scope.contains("nin_shortcut.weight") || channels != conv2.outputs() {
            true => Some(Linear::load_for(&scope.scope("nin_shortcut"), channels)?),
            false => None,
        };
        Ok(Self {
            norm1: GroupNorm::load(&scope.scope("norm1"), channels, EPSILON)?,
            norm2: GroupNorm::load(&scope.scope("norm2"), conv1.outputs(), EPSILON)?,
            conv1,
            conv2,
            shortcut,
        })
    }

    pub(super) fn outputs(&self) -> usize {
        self.conv2.outputs()
    }

    pub(super) fn forward(&self, x: &Tensor, norms: &mut Norms) -> Result<Tensor> {
        // one statement each, so that no more than two of them are in memory at a time
        let mut hidden = norms.apply(&self.norm1, x)?;
        hidden = self.conv1.forward(&hidden)?;
        hidden = norms.apply(&self.norm2, &hidden)?;
        hidden = self.conv2.forward(&hidden)?;
        match &self.shortcut {
            Some(shortcut) => shortcut.forward(x)? + hidden,
            None => x + hidden,
        }
    }
}

/// Self-attention of all pixels with a single head.
struct AttentionBlock {
    norm: GroupNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
}

impl AttentionBlock {
    fn load(scope: &Scope<'_>, channels: usize) -> std::result::Result<Self, EngineError> {
        let linear = |name: &str| Linear::load_for(&scope.scope(name), channels);
        Ok(Self {
            norm: GroupNorm::load(&scope.scope("norm"), channels, EPSILON)?,
            query: linear("q")?,
            key: linear("k")?,
            value: linear("v")?,
            out: linear("proj_out")?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, height, width, channels) = x.dims4()?;
        let normed = self.norm.forward(x)?.reshape((batch, height * width, channels))?;
        let (q, k, v) = (self.query.forward(&normed)?, self.key.forward(&normed)?, self.value.forward(&normed)?);
        let seen = self.out.forward(&attention(&q, &k, &v, 1, false)?)?;
        x + seen.reshape((batch, height, width, channels))?
    }
}

/// The blocks at the lowest resolution: residual, attention, residual.
pub(super) struct Middle {
    block1: ResidualBlock,
    attention: AttentionBlock,
    block2: ResidualBlock,
}

impl Middle {
    /// Loads `block_1`, `attn_1` and `block_2`.
    pub(super) fn load(scope: &Scope<'_>, channels: usize) -> std::result::Result<Self, EngineError> {
        let block1 = ResidualBlock::load(&scope.scope("block_1"), channels)?;
        let attention = AttentionBlock::load(&scope.scope("attn_1"), block1.outputs())?;
        let block2 = ResidualBlock::load(&scope.scope("block_2"), block1.outputs())?;
        Ok(Self { block1, attention, block2 })
    }

    pub(super) fn outputs(&self) -> usize {
        self.block2.outputs()
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.attention.forward(&self.block1.forward(x, &mut Norms::Own)?)?;
        self.block2.forward(&x, &mut Norms::Own)
    }
}
