use candle_core::{Result, Tensor};

use super::LATENT_CHANNELS;
use super::blocks::{EPSILON, Middle, ResidualBlock};
use crate::EngineError;
use crate::checkpoint::Scope;
use crate::layers::{Convolution, GroupNorm, Linear, Resize};

/// The decoder with the 1x1 convolution in front of it.
pub(super) struct Decoder {
    post_quant: Linear,
    input: Convolution,
    middle: Middle,
    levels: Vec<Level>,
    out_norm: GroupNorm,
    out: Convolution,
}

/// One resolution: residual blocks, then (except at the last) a doubling.
struct Level {
    blocks: Vec<ResidualBlock>,
    double: Option<Convolution>,
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
        let count = (0..).take_while(|&i| level_of(i).contains("block.0.conv1.weight")).count();
        let mut levels = Vec::new();
        for level in (0..count).rev().map(level_of) {
            let blocks = ResidualBlock::load_all(&level, &mut channels)?;
            let double = match level.contains("upsample.conv.weight") {
                true => Some(Convolution::load_for(&level.scope("upsample.conv"), channels, Resize::Double)?),
                false => None,
            };
            channels = double.as_ref().map_or(channels, Convolution::outputs);
            levels.push(Level { blocks, double });
        }
        let out = Convolution::load_for(&scope.scope("conv_out"), channels, Resize::Keep)?;
        if levels.iter().filter(|level| level.double.is_some()).count() != 3 || out.outputs() != 3 {
            return Err(scope.unfit("conv_out.weight", "a decoder to 3 channels that doubles the picture three times"));
        }
        Ok(Self {
            out_norm: GroupNorm::load(&scope.scope("norm_out"), channels, EPSILON)?,
            post_quant,
            input,
            middle,
            levels,
            out,
        })
    }

    /// The picture of a latent.
    ///
    /// # Shapes
    /// - latent: `[batch, height / 8, width / 8, 4]`, as the encoder made it (not scaled)
    /// - result: `[batch, height, width, 3]`, roughly within -1 to 1
    pub(super) fn forward(&self, latent: &Tensor) -> Result<Tensor> {
        let mut x = self.middle.forward(&self.input.forward(&self.post_quant.forward(latent)?)?)?;
        for level in &self.levels {
            for block in &level.blocks {
                x = block.forward(&x)?;
            }
            if let Some(double) = &level.double {
                x = double.forward(&x)?;
            }
        }
        self.out.forward(&self.out_norm.forward_silu(&x)?)
    }
}
