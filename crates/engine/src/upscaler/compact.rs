use candle_core::{Result, Tensor};

use super::pixels::{repeated, shuffled};
use crate::EngineError;
use crate::checkpoint::Scope;
use crate::layers::{Convolution, Resize, Slopes};

/// SRVGGNetCompact (Real-ESRGAN): convolutions at the given size with a slope per channel below zero, then the channels
/// are spread over the larger picture, and the given picture is added.
pub(super) struct CompactNetwork {
    layers: Vec<(Convolution, Slopes)>,
    last: Convolution,
    factor: usize,
}

impl CompactNetwork {
    /// Largest factor.
    const FACTOR: usize = 8;

    /// Loads the modules `0`, `1`, … under `body`: convolutions and activations in turn, a convolution last.
    pub(super) fn load(scope: &Scope<'_>) -> std::result::Result<Self, EngineError> {
        let at = |number: usize| scope.scope(&number.to_string());
        let mut layers = Vec::new();
        let mut channels = 3;
        loop {
            let number = 2 * layers.len();
            let convolution = Convolution::load_for(&at(number), channels, Resize::Keep)?;
            channels = convolution.outputs();
            if at(number + 1).contains("weight") {
                layers.push((convolution, Slopes::load(&at(number + 1), channels)?));
                continue;
            }
            let factor = (1..=Self::FACTOR).find(|factor| 3 * factor * factor == channels);
            let unfit = || at(number).unfit("weight", "a convolution with 3, 12, 27, 48, … outputs");
            return Ok(Self { layers, last: convolution, factor: factor.ok_or_else(unfit)? });
        }
    }

    pub(super) fn factor(&self) -> usize {
        self.factor
    }

    /// # Shapes
    /// - x: `[batch, height, width, 3]`; result: `[batch, height * factor, width * factor, 3]`
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut hidden = x.clone();
        for (convolution, slopes) in &self.layers {
            hidden = slopes.forward(&convolution.forward(&hidden)?)?;
        }
        shuffled(&self.last.forward(&hidden)?, self.factor)? + repeated(x, self.factor)?
    }
}
