//! The decoder of Stable Diffusion's autoencoder: latent in, picture out.

use candle_core::{Result, Tensor};

use crate::EngineError;
use crate::checkpoint::{Scope, Weights};
use crate::layers::{Convolution, GroupNorm, Linear, Resize, attention};

/// Channels of a latent.
pub(crate) const LATENT_CHANNELS: usize = 4;

/// Latents are this much smaller than what the autoencoder works with (Stable Diffusion 1.x and 2.x).
const SCALE: f64 = 0.18215;

/// Epsilon of the autoencoder's norms.
const EPSILON: f32 = 1e-6;

/// The decoder with the 1x1 convolution in front of it.
pub(crate) struct Decoder {
    post_quant: Linear,
    input: Convolution,
    middle1: ResidualBlock,
    attention: AttentionBlock,
    middle2: ResidualBlock,
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
    /// Loads what lies under `first_stage_model`.
    pub(crate) fn load(weights: &Weights) -> std::result::Result<Self, EngineError> {
        let stage = weights.scope("first_stage_model");
        let scope = stage.scope("decoder");
        let post_quant = Linear::load_for(&stage.scope("post_quant_conv"), LATENT_CHANNELS)?;
        let input = Convolution::load_for(&scope.scope("conv_in"), post_quant.outputs(), Resize::Keep)?;
        let channels = input.outputs();
        let middle1 = ResidualBlock::load(&scope.scope("mid.block_1"), channels)?;
        let attention = AttentionBlock::load(&scope.scope("mid.attn_1"), middle1.outputs())?;
        let middle2 = ResidualBlock::load(&scope.scope("mid.block_2"), middle1.outputs())?;
        let mut channels = middle2.outputs();
        let level_of = |i: usize| scope.scope(&format!("up.{i}"));
        let count = (0..).take_while(|&i| level_of(i).contains("block.0.conv1.weight")).count();
        let mut levels = Vec::new();
        for level in (0..count).rev().map(level_of) {
            let mut blocks: Vec<ResidualBlock> = Vec::new();
            loop {
                let block = level.scope(&format!("block.{}", blocks.len()));
                if !block.contains("conv1.weight") {
                    break;
                }
                let block = ResidualBlock::load(&block, channels)?;
                channels = block.outputs();
                blocks.push(block);
            }
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
            middle1,
            attention,
            middle2,
            levels,
            out,
        })
    }

    /// The picture of a latent.
    ///
    /// # Shapes
    /// - latent: `[batch, height / 8, width / 8, 4]`, as the UNet knows it (scaled by 0.18215)
    /// - result: `[batch, height, width, 3]`, roughly within -1 to 1
    pub(crate) fn forward(&self, latent: &Tensor) -> Result<Tensor> {
        let latent = latent.affine(1.0 / SCALE, 0.0)?;
        let mut x = self.input.forward(&self.post_quant.forward(&latent)?)?;
        x = self.middle1.forward(&x)?;
        x = self.attention.forward(&x)?;
        x = self.middle2.forward(&x)?;
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

/// A residual block without time embedding.
struct ResidualBlock {
    norm1: GroupNorm,
    conv1: Convolution,
    norm2: GroupNorm,
    conv2: Convolution,
    shortcut: Option<Linear>,
}

impl ResidualBlock {
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

    fn outputs(&self) -> usize {
        self.conv2.outputs()
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let hidden = self.conv1.forward(&self.norm1.forward_silu(x)?)?;
        let hidden = self.conv2.forward(&self.norm2.forward_silu(&hidden)?)?;
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
