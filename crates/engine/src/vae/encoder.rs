use candle_core::{Result, Tensor};

use super::LATENT_CHANNELS;
use super::blocks::{EPSILON, Middle, Norms, ResidualBlock};
use crate::EngineError;
use crate::checkpoint::Scope;
use crate::layers::{Convolution, GroupNorm, Linear, Resize};

/// The encoder with the 1x1 convolution behind it.
pub(super) struct Encoder {
    input: Convolution,
    /// The picture's size and the smaller ones, down to twice the latent's.
    levels: Vec<Level>,
    /// Blocks that work at the latent's own size.
    last: Vec<ResidualBlock>,
    middle: Middle,
    out_norm: GroupNorm,
    out: Convolution,
    quant: Linear,
}

/// Residual blocks and the halving behind them.
struct Level {
    blocks: Vec<ResidualBlock>,
    halve: Convolution,
}

impl Encoder {
    /// Loads `encoder` and `quant_conv`.
    pub(super) fn load(stage: &Scope<'_>) -> std::result::Result<Self, EngineError> {
        let scope = stage.scope("encoder");
        let input = Convolution::load_for(&scope.scope("conv_in"), 3, Resize::Keep)?;
        let mut channels = input.outputs();
        let level_of = |i: usize| scope.scope(&format!("down.{i}"));
        let mut levels = Vec::new();
        for level in (0..3).map(level_of) {
            let blocks = ResidualBlock::load_all(&level, &mut channels)?;
            let halve = Convolution::load_for(&level.scope("downsample.conv"), channels, Resize::HalveFromCorner)?;
            channels = halve.outputs();
            levels.push(Level { blocks, halve });
        }
        let last = ResidualBlock::load_all(&level_of(3), &mut channels)?;
        let middle = Middle::load(&scope.scope("mid"), channels)?;
        let out = Convolution::load_for(&scope.scope("conv_out"), middle.outputs(), Resize::Keep)?;
        let quant = Linear::load_for(&stage.scope("quant_conv"), out.outputs())?;
        if quant.outputs() != 2 * LATENT_CHANNELS || level_of(4).contains("block.0.conv1.weight") {
            return Err(scope.unfit("conv_out.weight", "an encoder to 8 channels that halves the picture three times"));
        }
        Ok(Self {
            out_norm: GroupNorm::load(&scope.scope("norm_out"), middle.outputs(), EPSILON)?,
            input,
            levels,
            last,
            middle,
            out,
            quant,
        })
    }

    /// The way down to the latent's size.
    ///
    /// # Shapes
    /// - picture: `[batch, height, width, 3]`, -1 to 1, sides of at least 8
    /// - result: `[batch, height / 8, width / 8, channels]`
    pub(super) fn begin(&self, picture: &Tensor, norms: &mut Norms) -> Result<Tensor> {
        let mut x = self.input.forward(picture)?;
        for level in &self.levels {
            for block in &level.blocks {
                x = block.forward(&x, norms)?;
            }
            x = level.halve.forward(&x)?;
        }
        Ok(x)
    }

    /// What works at the latent's own size; every position sees all others.
    ///
    /// # Shapes
    /// - x: what [`Encoder::begin`] returns
    /// - result: `[batch, height / 8, width / 8, 8]`, mean and logarithm of the variance
    pub(super) fn finish(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = x.clone();
        for block in &self.last {
            x = block.forward(&x, &mut Norms::Own)?;
        }
        x = self.middle.forward(&x)?;
        self.quant.forward(&self.out.forward(&self.out_norm.forward_silu(&x)?)?)
    }
}
