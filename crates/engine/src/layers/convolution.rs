use candle_core::{CpuStorage, CustomOp2, DType, Device, Layout, Result, Shape, Tensor, bail};

use super::floats;
use crate::EngineError;
use crate::checkpoint::{Parameter, Scope};
use crate::kernels::convolution::{ConvolutionShape, convolution};

/// What a convolution does to the size of the picture.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resize {
    /// Nothing.
    Keep,
    /// Halves it, rounding up: stride 2.
    Halve,
    /// Halves it, rounding down: stride 2 with windows that start at even pixels, zeros below and right only.
    HalveFromCorner,
    /// Doubles it by nearest neighbour first.
    Double,
}

/// A 3x3 convolution with one pixel of zeros around the picture (but see [`Resize::HalveFromCorner`]).
///
/// # Shapes
/// - input: `[batch, height, width, inputs]`, output: `[batch, height', width', outputs]`
pub(crate) struct Convolution {
    weight: Parameter,
    bias: Option<Parameter>,
    resize: Resize,
}

impl Convolution {
    /// Loads `weight` and `bias`.
    pub(crate) fn load(scope: &Scope<'_>, resize: Resize) -> std::result::Result<Self, EngineError> {
        let weight = scope.convolution("weight")?;
        let bias = scope.vector("bias", Some(weight.outputs()))?;
        Ok(Self { weight, bias: Some(bias), resize })
    }

    /// Loads a convolution that has no `bias`.
    pub(crate) fn load_unbiased(scope: &Scope<'_>, resize: Resize) -> std::result::Result<Self, EngineError> {
        Ok(Self { weight: scope.convolution("weight")?, bias: None, resize })
    }

    /// Loads a convolution that must take `inputs` channels.
    pub(crate) fn load_for(scope: &Scope<'_>, inputs: usize, resize: Resize) -> std::result::Result<Self, EngineError> {
        let layer = Self::load(scope, resize)?;
        if layer.inputs() == inputs {
            Ok(layer)
        } else {
            Err(scope.unfit("weight", &format!("a convolution with {inputs} inputs")))
        }
    }

    pub(crate) fn inputs(&self) -> usize {
        self.weight.inputs()
    }

    pub(crate) fn outputs(&self) -> usize {
        self.weight.outputs()
    }

    fn bias(&self) -> Result<Tensor> {
        match &self.bias {
            Some(bias) => bias.get(),
            None => Tensor::zeros(self.outputs(), DType::F32, &Device::Cpu),
        }
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.apply(x, &self.bias()?, None)
    }

    /// Doubles the picture to `size` (height, width): twice its size, or one pixel less where it had been odd.
    pub(crate) fn forward_to(&self, x: &Tensor, size: (usize, usize)) -> Result<Tensor> {
        self.apply(x, &self.bias()?, Some(size))
    }

    /// The convolution plus one value per picture and channel.
    ///
    /// # Shapes
    /// - offset: `[batch, outputs]`
    pub(crate) fn forward_with_offset(&self, x: &Tensor, offset: &Tensor) -> Result<Tensor> {
        let bias = offset.broadcast_add(&self.bias()?)?;
        self.apply(x, &bias, None)
    }

    fn apply(&self, x: &Tensor, bias: &Tensor, cut: Option<(usize, usize)>) -> Result<Tensor> {
        x.apply_op2_no_bwd(bias, &Conv { weight: &self.weight, resize: self.resize, cut })
    }
}

struct Conv<'a> {
    weight: &'a Parameter,
    resize: Resize,
    cut: Option<(usize, usize)>,
}

impl CustomOp2 for Conv<'_> {
    fn name(&self) -> &'static str {
        "convolution"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, b: &CpuStorage, bl: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, height, width, inputs) = xl.shape().dims4()?;
        let outputs = self.weight.outputs();
        let bias = floats(b, bl)?;
        if self.weight.inputs() != inputs || (bias.len() != outputs && bias.len() != batch * outputs) {
            bail!("a convolution with {} inputs got {:?}", self.weight.inputs(), xl.shape());
        }
        let shape = ConvolutionShape {
            batch,
            height,
            width,
            inputs,
            outputs,
            stride: if matches!(self.resize, Resize::Halve | Resize::HalveFromCorner) { 2 } else { 1 },
            margin: if self.resize == Resize::HalveFromCorner { 0 } else { 1 },
            doubled: (self.resize == Resize::Double).then(|| self.cut.unwrap_or((2 * height, 2 * width))),
        };
        if let Some((to_height, to_width)) = shape.doubled
            && (to_height.div_ceil(2), to_width.div_ceil(2)) != (height, width)
        {
            bail!("a picture of {height}x{width} cannot be doubled to {to_height}x{to_width}");
        }
        if shape.margin == 0 && height.min(width) < 2 {
            bail!("a picture of {height}x{width} cannot be halved");
        }
        let (out_height, out_width) = shape.result_size();
        let x = floats(x, xl)?;
        let out = self.weight.with_weight(|weight| Ok(convolution(x, weight, bias, shape)))?;
        Ok((CpuStorage::F32(out), Shape::from((batch, out_height, out_width, outputs))))
    }
}
