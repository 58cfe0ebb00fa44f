use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, bail};

use super::floats;
use crate::EngineError;
use crate::checkpoint::{Parameter, Scope};
use crate::kernels::activation;

/// `x * sigmoid(x)`.
pub(crate) fn silu(x: &Tensor) -> Result<Tensor> {
    x.apply_op1_no_bwd(&InPlace { name: "silu", f: activation::silu })
}

/// `x * sigmoid(1.702 x)`.
pub(crate) fn quick_gelu(x: &Tensor) -> Result<Tensor> {
    x.apply_op1_no_bwd(&InPlace { name: "quick-gelu", f: activation::quick_gelu })
}

/// The exact GELU: `x` times the normal distribution's cumulative probability at `x`.
pub(crate) fn gelu(x: &Tensor) -> Result<Tensor> {
    x.apply_op1_no_bwd(&InPlace { name: "gelu", f: activation::gelu })
}

/// Values below zero times `slope`: ReLU for a slope of 0.
pub(crate) fn leaky_relu(x: &Tensor, slope: f32) -> Result<Tensor> {
    x.apply_op1_no_bwd(&InPlace { name: "leaky-relu", f: |values: &mut [f32]| activation::leaky_relu(values, slope) })
}

/// PReLU: values below zero times the slope of their channel.
///
/// # Shapes
/// - input and output: `[batch, .., channels]`
pub(crate) struct Slopes(Parameter);

impl Slopes {
    /// Loads `weight` for `channels`.
    pub(crate) fn load(scope: &Scope<'_>, channels: usize) -> std::result::Result<Self, EngineError> {
        Ok(Self(scope.vector("weight", Some(channels))?))
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.apply_op2_no_bwd(&self.0.get()?, &ParametricRelu)
    }
}

/// The first half of each row times the GELU of the second half.
///
/// # Shapes
/// - x: `[.., 2 * width]`, result: `[.., width]`
pub(crate) fn geglu(x: &Tensor) -> Result<Tensor> {
    x.apply_op1_no_bwd(&Geglu)
}

struct InPlace<F> {
    name: &'static str,
    f: F,
}

impl<F: Fn(&mut [f32])> CustomOp1 for InPlace<F> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut values = floats(x, xl)?.to_vec();
        (self.f)(&mut values);
        Ok((CpuStorage::F32(values), xl.shape().clone()))
    }
}

struct ParametricRelu;

impl CustomOp2 for ParametricRelu {
    fn name(&self) -> &'static str {
        "parametric-relu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, s: &CpuStorage, sl: &Layout) -> Result<(CpuStorage, Shape)> {
        let slopes = floats(s, sl)?;
        if xl.shape().dims().last() != Some(&slopes.len()) {
            bail!("{} slopes got {:?}", slopes.len(), xl.shape());
        }
        let mut values = floats(x, xl)?.to_vec();
        activation::parametric_relu(&mut values, slopes);
        Ok((CpuStorage::F32(values), xl.shape().clone()))
    }
}

struct Geglu;

impl CustomOp1 for Geglu {
    fn name(&self) -> &'static str {
        "geglu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut dims = xl.shape().dims().to_vec();
        let width = match dims.last_mut() {
            Some(last) if *last > 0 && *last % 2 == 0 => {
                *last /= 2;
                *last
            }
            _ => bail!("GEGLU got {dims:?}"),
        };
        Ok((CpuStorage::F32(activation::geglu(floats(x, xl)?, width)), Shape::from(dims)))
    }
}
