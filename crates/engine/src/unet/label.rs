use candle_core::{Device, Result, Tensor};

use super::sinusoids;
use crate::EngineError;
use crate::checkpoint::Scope;
use crate::layers::{Linear, silu};

/// What Stable Diffusion XL's UNet is told besides timestep and words: the summary of the prompt and some numbers
/// (Podell et al. 2023).
pub(super) struct LabelEmbedding {
    layers: [Linear; 2],
}

impl LabelEmbedding {
    /// Loads two layers that end in a time embedding of `time` features.
    pub(super) fn load(scope: &Scope<'_>, time: usize) -> std::result::Result<Self, EngineError> {
        let first = Linear::load(&scope.scope("0"))?;
        let second = Linear::load_for(&scope.scope("2"), first.outputs())?;
        if second.outputs() != time {
            return Err(scope.unfit("2.weight", &format!("a layer with {time} outputs")));
        }
        Ok(Self { layers: [first, second] })
    }

    /// Features of a label.
    pub(super) fn width(&self) -> usize {
        self.layers[0].inputs()
    }

    /// # Shapes
    /// - label: `[batch, width]`; result: `[batch, time width]`
    pub(super) fn forward(&self, label: &Tensor) -> Result<Tensor> {
        self.layers[1].forward(&silu(&self.layers[0].forward(label)?)?)
    }
}

/// Features per number.
const NUMBER: usize = 256;

/// Features of the label of a summary and so many numbers.
pub(crate) fn label_width(pooled: usize, numbers: usize) -> usize {
    pooled + numbers * NUMBER
}

/// The label of one or more prompts: the summary, then the numbers as waves.
///
/// # Shapes
/// - pooled: `[batch, summary width]`; result: `[batch, summary width + 256 * numbers]`
pub(crate) fn label(pooled: &Tensor, numbers: &[f32]) -> Result<Tensor> {
    let (batch, _) = pooled.dims2()?;
    let waves: Vec<f32> = numbers.iter().flat_map(|&number| sinusoids(number, NUMBER)).collect();
    let waves = Tensor::from_vec(waves.repeat(batch), (batch, numbers.len() * NUMBER), &Device::Cpu)?;
    Tensor::cat(&[pooled, &waves], 1)
}
