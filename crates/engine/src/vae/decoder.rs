use candle_core::{Result, Tensor};

use super::LATENT_CHANNELS;
use super::blocks::{EPSILON, Middle, Norms, ResidualBlock};
use crate::EngineError;
use crate::checkpoint::Scope;
use crate::layers::{Convolution, GroupNorm, Linear, Resize};

/// The decoder with the 1x1 convolution in front of it.
pub(super) struct Decoder {
    post_quant: Linear,
    input: Convolution,
    middle: Middle,
    /// Blocks that work at the latent's own size.
    first: Vec<ResidualBlock>,
    /// The larger sizes, up to the picture's.
    levels: Vec<Level>,
    out_norm: GroupNorm,
    out: Convolution,
}

/// A doubling and the residual blocks behind it.
struct Level {
    double: Convolution,
    blocks: Vec<ResidualBlock>,
}

impl Decoder {
    /// Loads `decoder` and `post_quant_conv`.
    pub(super) fn load(stage: &Scope<'_>) -> std::result::Result<Self, EngineError> {
        let scope = stage.scope("decoder");
        let post_quant = Linear::load_for(&stage.scope("post_quant_conv"), LATENT_CHANNELS)?;
        let input = Convolution::load_for(&scope.scope("conv_in"), post_quant.outputs(), Resize::Keep)?;
        let middle = Middle::load(&scope.scope("mid"), input.outputs())?;
        let mut channels = middle.outputs();
        let level_of = |i: usize| scope.scope(&format!("up.{i}"));
        let first = ResidualBlock::load_all(&level_of(3), &mut channels)?;
        let mut levels = Vec::new();
        // a level's doubling leads to the next smaller number
        for i in (0..3).rev() {
            let double = Convolution::load_for(&level_of(i + 1).scope("upsample.conv"), channels, Resize::Double)?;
            channels = double.outputs();
            levels.push(Level { double, blocks: ResidualBlock::load_all(&level_of(i), &mut channels)? });
        }
        let out = Convolution::load_for(&scope.scope("conv_out"), channels, Resize::Keep)?;
        if out.outputs() != 3 || level_of(4).contains("block.0.conv1.weight") {
            return Err(scope.unfit("conv_out.weight", "a decoder to 3 channels that doubles the picture three times"));
        }
        Ok(Self {
            out_norm: GroupNorm::load(&scope.scope("norm_out"), channels, EPSILON)?,
            post_quant,
            input,
            middle,
            first,
            levels,
            out,
        })
    }

    /// What works at the latent's own size: a fraction of the work, and the part in which every position sees all
    /// others.
    ///
    /// # Shapes
    /// - latent: `[batch, height / 8, width / 8, 4]`, as the encoder made it (not scaled)
    /// - result: `[batch, height / 8, width / 8, channels]`
    pub(super) fn begin(&self, latent: &Tensor) -> Result<Tensor> {
        let mut x = self.middle.forward(&self.input.forward(&self.post_quant.forward(latent)?)?)?;
        for block in &self.first {
            x = block.forward(&x, &mut Norms::Own)?;
        }
        Ok(x)
    }

    /// The rest of the way to the picture.
    ///
    /// # Shapes
    /// - x: what [`Decoder::begin`] returns
    /// - result: `[batch, height, width, 3]`, roughly within -1 to 1
    pub(super) fn finish(&self, x: &Tensor, norms: &mut Norms) -> Result<Tensor> {
        let mut x = x.clone();
        for level in &self.levels {
            x = level.double.forward(&x)?;
            for block in &level.blocks {
                x = block.forward(&x, norms)?;
            }
        }
        self.out.forward(&norms.apply(&self.out_norm, &x)?)
    }
}
