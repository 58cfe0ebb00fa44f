use candle_core::{Result, Tensor};

use crate::EngineError;
use crate::checkpoint::Scope;
use crate::layers::{Convolution, Resize, silu};

/// Brings the picture that controls to the latent's size: eight convolutions, three of which halve it.
pub(super) struct HintEncoder {
    layers: Vec<Convolution>,
    last: Convolution,
}

impl HintEncoder {
    /// What each convolution but the last does to the size.
    const SIZES: [Resize; 7] =
        [Resize::Keep, Resize::Keep, Resize::Halve, Resize::Keep, Resize::Halve, Resize::Keep, Resize::Halve];

    /// Loads the convolutions `0`, `2`, … `14`; the last must lead to `outputs` channels.
    pub(super) fn load(scope: &Scope<'_>, outputs: usize) -> std::result::Result<Self, EngineError> {
        let mut channels = 3;
        let mut layers = Vec::new();
        for (i, resize) in Self::SIZES.into_iter().enumerate() {
            let layer = Convolution::load_for(&scope.scope(&(2 * i).to_string()), channels, resize)?;
            channels = layer.outputs();
            layers.push(layer);
        }
        let last = Convolution::load_for(&scope.scope("14"), channels, Resize::Keep)?;
        if last.outputs() != outputs {
            return Err(scope.unfit("14.weight", &format!("a convolution with {outputs} outputs")));
        }
        Ok(Self { layers, last })
    }

    /// # Shapes
    /// - picture: `[1, height, width, 3]`, 0 to 1; result: `[1, height / 8, width / 8, outputs]`
    pub(super) fn forward(&self, picture: &Tensor) -> Result<Tensor> {
        let mut x = picture.clone();
        for layer in &self.layers {
            x = silu(&layer.forward(&x)?)?;
        }
        self.last.forward(&x)
    }
}
