use candle_core::{Result, Tensor};

use crate::EngineError;
use crate::checkpoint::Scope;
use crate::kernels::precision::Precision;
use crate::layers::{Convolution, GroupNorm, Linear, Resize};

/// A residual block: norm, SiLU, convolution, plus the time embedding; norm, SiLU, convolution; plus the input.
pub(super) struct ResidualBlock {
    norm1: GroupNorm,
    conv1: Convolution,
    time: Linear,
    norm2: GroupNorm,
    conv2: Convolution,
    shortcut: Option<Linear>,
}

impl ResidualBlock {
    /// Loads a block that takes `channels` channels and a time embedding of `time` features.
    pub(super) fn load(scope: &Scope<'_>, channels: usize, time: usize) -> std::result::Result<Self, EngineError> {
        let conv1 = Convolution::load_for(&scope.scope("in_layers.2"), channels, Resize::Keep)?;
        let outputs = conv1.outputs();
        let projection = Linear::load_for(&scope.scope("emb_layers.1"), time)?;
        let conv2 = Convolution::load_for(&scope.scope("out_layers.3"), outputs, Resize::Keep)?;
        if projection.outputs() != outputs || conv2.outputs() != outputs {
            return Err(scope.unfit("emb_layers.1.weight", &format!("a projection to {outputs} channels")));
        }
        let shortcut = match scope.contains("skip_connection.weight") || channels != outputs {
            true => Some(Linear::load_for(&scope.scope("skip_connection"), channels)?),
            false => None,
        };
        Ok(Self {
            norm1: GroupNorm::load(&scope.scope("in_layers.0"), channels, 1e-5)?,
            conv1,
            time: projection,
            norm2: GroupNorm::load(&scope.scope("out_layers.0"), outputs, 1e-5)?,
            conv2,
            shortcut,
        })
    }

    pub(super) fn outputs(&self) -> usize {
        self.conv2.outputs()
    }

    /// # Shapes
    /// - x: `[batch, height, width, channels]`, time: `[batch, time width]` (activated)
    /// - result: `[batch, height, width, outputs]`
    pub(super) fn forward(&self, x: &Tensor, time: &Tensor) -> Result<Tensor> {
        let offset = self.time.forward(time)?;
        let hidden = self.conv1.forward_with_offset(&self.norm1.forward_silu(x)?, &offset)?;
        let hidden = self.conv2.forward(&self.norm2.forward_silu(&hidden)?)?;
        match &self.shortcut {
            // all of the signal goes through it, so that its rounding would weigh more than everybody else's: always f32
            Some(shortcut) => Precision::F32.during(|| shortcut.forward(x))? + hidden,
            None => x + hidden,
        }
    }
}
