use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::floats;
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

/// The first half of each row times the GELU of the second half.
///
/// # Shapes
/// - x: `[.., 2 * width]`, result: `[.., width]`
pub(crate) fn geglu(x: &Tensor) -> Result<Tensor> {
    x.apply_op1_no_bwd(&Geglu)
}

struct InPlace {
    name: &'static str,
    f: fn(&mut [f32]),
}

impl CustomOp1 for InPlace {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut values = floats(x, xl)?.to_vec();
        (self.f)(&mut values);
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
