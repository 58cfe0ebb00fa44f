use candle_core::{Result, Tensor};

use super::convolution;
use super::names::Names;
use super::pixels::{padded, unshuffled};
use crate::EngineError;
use crate::checkpoint::Scope;
use crate::layers::{Convolution, Resize, leaky_relu};

/// Slope of the activation for values below zero.
const SLOPE: f32 = 0.2;

/// Share of a residual branch that is added.
const SHARE: f64 = 0.2;

/// RRDBNet: a trunk of densely connected blocks, then doublings.
///
/// Networks for small factors first fold 2 x 2 or 4 x 4 pixels into one with more channels; how many follows from the
/// channels of the first convolution.
pub(super) struct DenseNetwork {
    /// Side of the square of pixels that is folded into one.
    fold: usize,
    first: Convolution,
    blocks: Vec<[DensePart; 3]>,
    trunk: Convolution,
    doublings: Vec<Convolution>,
    large: Convolution,
    last: Convolution,
}

impl DenseNetwork {
    pub(super) fn load(scope: &Scope<'_>, names: &Names) -> std::result::Result<Self, EngineError> {
        let first = Convolution::load(&scope.scope(&names.first), Resize::Keep)?;
        let fold = match first.inputs() {
            3 => 1,
            12 => 2,
            48 => 4,
            _ => return Err(scope.scope(&names.first).unfit("weight", "a convolution with 3, 12 or 48 inputs")),
        };
        let doublings = names.doublings.len();
        if doublings > 3 || 1 << doublings < fold {
            return Err(scope
                .scope(&names.last)
                .unfit("weight", "the end of a network that enlarges 1, 2, 4 or 8 times"));
        }
        let width = first.outputs();
        let same = |name: &str, resize: Resize| convolution(&scope.scope(name), width, width, resize);
        let part = |block: usize, number: usize| {
            let name = format!("{}.{block}.{}{number}", names.block, names.part);
            DensePart::load(&scope.scope(&name), width, names.suffix)
        };
        Ok(Self {
            fold,
            blocks: (0..names.blocks)
                .map(|block| Ok([part(block, 1)?, part(block, 2)?, part(block, 3)?]))
                .collect::<std::result::Result<_, EngineError>>()?,
            trunk: same(&names.trunk, Resize::Keep)?,
            doublings: names
                .doublings
                .iter()
                .map(|name| same(name, Resize::Double))
                .collect::<std::result::Result<_, _>>()?,
            large: same(&names.large, Resize::Keep)?,
            last: convolution(&scope.scope(&names.last), width, 3, Resize::Keep)?,
            first,
        })
    }

    pub(super) fn factor(&self) -> usize {
        (1 << self.doublings.len()) / self.fold
    }

    /// # Shapes
    /// - x: `[batch, height, width, 3]`; result: `[batch, height * factor, width * factor, 3]`
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (_, height, width, _) = x.dims4()?;
        let first = self.first.forward(&unshuffled(&padded(x, self.fold)?, self.fold)?)?;
        let mut trunk = first.clone();
        for parts in &self.blocks {
            let mut inner = trunk.clone();
            for part in parts {
                inner = part.forward(&inner)?;
            }
            trunk = ((inner * SHARE)? + trunk)?;
        }
        let mut x = (self.trunk.forward(&trunk)? + first)?;
        for doubling in &self.doublings {
            x = leaky_relu(&doubling.forward(&x)?, SLOPE)?;
        }
        x = leaky_relu(&self.large.forward(&x)?, SLOPE)?;
        let made = self.last.forward(&x)?;
        made.narrow(1, 0, height * self.factor())?.narrow(2, 0, width * self.factor())?.contiguous()
    }
}

/// Five convolutions, each of which sees what all before it saw and made.
struct DensePart([Convolution; 5]);

impl DensePart {
    fn load(scope: &Scope<'_>, width: usize, suffix: &str) -> std::result::Result<Self, EngineError> {
        if scope.contains("conv1x1.weight") {
            return Err(scope.unfit("conv1x1.weight", "no such tensor: ESRGAN+ is not known"));
        }
        let at = |number: usize| scope.scope(&format!("conv{number}{suffix}"));
        let first = Convolution::load_for(&at(1), width, Resize::Keep)?;
        let growth = first.outputs();
        let layer = |number: usize, outputs: usize| {
            convolution(&at(number), width + (number - 1) * growth, outputs, Resize::Keep)
        };
        Ok(Self([first, layer(2, growth)?, layer(3, growth)?, layer(4, growth)?, layer(5, width)?]))
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let Self([first, middle @ .., last]) = self;
        let mut seen = Tensor::cat(&[x, &leaky_relu(&first.forward(x)?, SLOPE)?], 3)?;
        for layer in middle {
            let made = leaky_relu(&layer.forward(&seen)?, SLOPE)?;
            seen = Tensor::cat(&[seen, made], 3)?;
        }
        (last.forward(&seen)? * SHARE)? + x
    }
}
