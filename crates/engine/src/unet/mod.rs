//! The denoising network of Stable Diffusion 1.x, 2.x (Rombach et al. 2022) and XL (Podell et al. 2023), laid out as the
//! checkpoint lists it.

mod label;
mod residual;
mod residuals;
mod transformer;
mod trunk;

use candle_core::{Result, Tensor};

use crate::EngineError;
use crate::checkpoint::{Family, Scope, UNetInputs, Weights};
use crate::layers::{Convolution, GroupNorm, Resize};
pub(crate) use label::{label, label_width};
use residual::ResidualBlock;
pub(crate) use residuals::Residuals;
use transformer::{SpatialTransformer, Text};
use trunk::Descent;
pub(crate) use trunk::Trunk;

/// Predicts the noise in a latent. Levels, layers per level, widths and depths all follow from which tensors exist.
pub(crate) struct UNet {
    trunk: Trunk,
    inputs: UNetInputs,
    up: Vec<Vec<Part>>,
    out_norm: GroupNorm,
    out: Convolution,
}

/// One numbered module of a block.
enum Part {
    Residual(Box<ResidualBlock>),
    Transformer(Box<SpatialTransformer>),
    Resize(Box<Convolution>),
}

impl Part {
    /// The module that the tensors under `scope` belong to, and the channels it hands on; `None` if there is none.
    fn load(
        scope: &Scope<'_>,
        channels: usize,
        text: Text,
        time: usize,
    ) -> std::result::Result<Option<(Self, usize)>, EngineError> {
        if scope.contains("in_layers.0.weight") {
            let block = ResidualBlock::load(scope, channels, time)?;
            let outputs = block.outputs();
            return Ok(Some((Self::Residual(Box::new(block)), outputs)));
        }
        if scope.contains("norm.weight") {
            let transformer = SpatialTransformer::load(scope, channels, text)?;
            return Ok(Some((Self::Transformer(Box::new(transformer)), channels)));
        }
        let (name, resize) = if scope.contains("op.weight") { ("op", Resize::Halve) } else { ("conv", Resize::Double) };
        if !scope.contains(&format!("{name}.weight")) {
            return Ok(None);
        }
        let convolution = Convolution::load_for(&scope.scope(name), channels, resize)?;
        let outputs = convolution.outputs();
        Ok(Some((Self::Resize(Box::new(convolution)), outputs)))
    }

    fn resizes(&self) -> bool {
        matches!(self, Self::Resize(_))
    }

    /// `next` is the size (height, width) that a doubling leads to.
    fn forward(&self, x: &Tensor, time: &Tensor, context: &Tensor, next: Option<(usize, usize)>) -> Result<Tensor> {
        match (self, next) {
            (Self::Residual(block), _) => block.forward(x, time),
            (Self::Transformer(transformer), _) => transformer.forward(x, context),
            (Self::Resize(convolution), Some(next)) => convolution.forward_to(x, next),
            (Self::Resize(convolution), None) => convolution.forward(x),
        }
    }
}

/// All modules `0, 1, …` of one block.
fn parts(
    scope: &Scope<'_>,
    channels: &mut usize,
    text: Text,
    time: usize,
) -> std::result::Result<Vec<Part>, EngineError> {
    let mut parts = Vec::new();
    while let Some((part, outputs)) = Part::load(&scope.scope(&parts.len().to_string()), *channels, text, time)? {
        *channels = outputs;
        parts.push(part);
    }
    Ok(parts)
}

impl UNet {
    /// Loads what lies under `model.diffusion_model`; `context` is the width of the text encoders.
    pub(crate) fn load(weights: &Weights, family: Family, context: usize) -> std::result::Result<Self, EngineError> {
        let scope = weights.scope("model.diffusion_model");
        let text = Text::of(family, context);
        let trunk = Trunk::load(&scope, text)?;
        let (time, mut channels) = (trunk.time_width(), trunk.outputs());
        let mut skipped = trunk.widths().to_vec();
        let mut up = Vec::new();
        while let Some(skip) = skipped.pop() {
            channels += skip;
            let scope = scope.scope(&format!("output_blocks.{}", up.len()));
            let block = parts(&scope, &mut channels, text, time)?;
            if block.is_empty() {
                // names the tensor that a block cannot be without
                scope.shape("0.in_layers.0.weight")?;
            }
            up.push(block);
        }
        let doublings = up.iter().flatten().filter(|part: &&Part| part.resizes()).count();
        let out = Convolution::load_for(&scope.scope("out.2"), channels, Resize::Keep)?;
        if trunk.halvings() != doublings {
            return Err(scope.unfit("out.2.weight", "a network that doubles the picture as often as it halves it"));
        }
        let inputs = UNetInputs::of_channels(trunk.inputs());
        let Some(inputs) = inputs.filter(|_| out.outputs() == crate::vae::LATENT_CHANNELS) else {
            let expected = "a network with 4, 8 or 9 input and 4 output channels";
            return Err(scope.unfit("input_blocks.0.0.weight", expected));
        };
        Ok(Self { trunk, inputs, out_norm: GroupNorm::load(&scope.scope("out.0"), channels, 1e-5)?, up, out })
    }

    /// What it takes besides the latent.
    pub(crate) fn inputs(&self) -> UNetInputs {
        self.inputs
    }

    /// Features of the label, where there is one.
    pub(crate) fn label_width(&self) -> Option<usize> {
        self.trunk.label_width()
    }

    /// The predicted noise or velocity.
    ///
    /// # Shapes
    /// - latent: `[batch, height / 8, width / 8, inputs]`: 4 channels scaled to unit variance, then what [`UNetInputs`]
    ///   says; result: `[batch, height / 8, width / 8, 4]`
    /// - timestep: 0 to 999, fractions allowed
    /// - context: `[batch, words, text encoder width]`
    /// - label: `[batch, label width]` for Stable Diffusion XL
    /// - control: what ControlNets add
    pub(crate) fn forward(
        &self,
        latent: &Tensor,
        timestep: f32,
        context: &Tensor,
        label: Option<&Tensor>,
        control: Option<&Residuals>,
    ) -> Result<Tensor> {
        let Descent { time, mut skipped, middle: mut x } =
            self.trunk.forward(latent, None, timestep, context, label)?;
        if let Some(control) = control {
            (skipped, x) = control.correct(skipped, &x)?;
        }
        for block in &self.up {
            let Some(skip) = skipped.pop() else { candle_core::bail!("more output than input blocks") };
            x = Tensor::cat(&[&x, &skip], 3)?;
            let next = skipped.last().map(Tensor::dims4).transpose()?.map(|(_, height, width, _)| (height, width));
            for part in block {
                x = part.forward(&x, &time, context, next)?;
            }
        }
        self.out.forward(&self.out_norm.forward_silu(&x)?)
    }
}

/// Cosines, then sines, of a number (a timestep or a size) at frequencies from 1 down to 1/10000 (Ho et al. 2020).
fn sinusoids(number: f32, width: usize) -> Vec<f32> {
    let half = width / 2;
    let angles = (0..half).map(|i| {
        let frequency = (-(10_000_f32.ln()) * i as f32 / half as f32).exp();
        number * frequency
    });
    let angles: Vec<f32> = angles.collect();
    let mut waves: Vec<f32> = angles.iter().map(|angle| angle.cos()).collect();
    waves.extend(angles.iter().map(|angle| angle.sin()));
    waves.resize(width, 0.0);
    waves
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of diffusers' `get_timestep_embedding(torch.tensor([981.5]), 8, flip_sin_to_cos=True, downscale_freq_shift=0)`.
    #[test]
    fn sinusoids_equal_the_reference() {
        let found = sinusoids(981.5, 8);
        let expected = [
            0.245_178_92_f32,
            -0.724_407_6,
            -0.924_824_8,
            0.555_776_24,
            0.969_477_8,
            -0.689_371_9,
            -0.380_393_4,
            0.831_331_9,
        ];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-4, "{found} is not {expected}");
        }
    }
}
