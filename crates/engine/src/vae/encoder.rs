use candle_core::{Result, Tensor};

use super::LATENT_CHANNELS;
use super::blocks::{EPSILON, Middle, ResidualBlock};
use crate::EngineError;
use crate::checkpoint::Scope;
use crate::layers::{Convolution, GroupNorm, Linear, Resize};

/// The encoder with the 1x1 convolution behind it.
pub(super) struct Encoder {
    input: Convolution,
    levels: Vec<Level>,
    middle: Middle,
    out_norm: GroupNorm,
    out: Convolution,
    quant: Linear,
}

/// One resolution: residual blocks, then (except at the last) a halving.
struct Level {
    blocks: Vec<ResidualBlock>,
    halve: Option<Convolution>,
}

impl Encoder {
    /// Loads `encoder` and `quant_conv`.
    pub(super) fn load(stage: &Scope<'_>) -> std::result::Result<Self, EngineError> {
        let scope = stage.scope("encoder");
        let input = Convolution::load_for(&scope.scope("conv_in"), 3, Resize::Keep)?;
        let mut channels = input.outputs();
        let mut levels: Vec<Level> = Vec::new();
        loop {
            let level = scope.scope(&format!("down.{}", levels.len()));
            let blocks = ResidualBlock::load_all(&level, &mut channels)?;
            if blocks.is_empty() {
                break;
            }
            let halve = match level.contains("downsample.conv.weight") {
                true => {
                    Some(Convolution::load_for(&level.scope("downsample.conv"), channels, Resize::HalveFromCorner)?)
                }
                false => None,
            };
            channels = halve.as_ref().map_or(channels, Convolution::outputs);
            levels.push(Level { blocks, halve });
        }
        let middle = Middle::load(&scope.scope("mid"), channels)?;
        let out = Convolution::load_for(&scope.scope("conv_out"), middle.outputs(), Resize::Keep)?;
        let quant = Linear::load_for(&stage.scope("quant_conv"), out.outputs())?;
        if levels.iter().filter(|level| level.halve.is_some()).count() != 3 || quant.outputs() != 2 * LATENT_CHANNELS {
            return Err(scope.unfit("conv_out.weight", "an encoder to 8 channels that halves the picture three times"));
        }
        Ok(Self {
            out_norm: GroupNorm::load(&scope.scope("norm_out"), middle.outputs(), EPSILON)?,
            input,
            levels,
            middle,
            out,
            quant,
        })
    }

    /// Mean and logarithm of the variance of a picture's latent.
    ///
    /// # Shapes
    /// - picture: `[batch, height, width, 3]`, -1 to 1, sides of at least 8; result: `[batch, height / 8, width / 8, 8]`
    pub(super) fn forward(&self, picture: &Tensor) -> Result<Tensor> {
        let mut x = self.input.forward(picture)?;
        for level in &self.levels {
            for block in &level.blocks {
                x = block.forward(&x)?;
            }
            if let Some(halve) = &level.halve {
                x = halve.forward(&x)?;
            }
        }
        x = self.middle.forward(&x)?;
        self.quant.forward(&self.out.forward(&self.out_norm.forward_silu(&x)?)?)
    }
}
