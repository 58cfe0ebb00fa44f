//! Layers of a network: weights from a checkpoint plus one custom candle operation each.
//!
//! Tensors are f32 on the CPU. Pictures are channels-last (`[batch, height, width, channels]`), sequences are
//! `[batch, length, width]`. Every operation checks its operands' shapes and returns an error where they do not fit.

mod activation;
mod attention;
mod convolution;
mod linear;
mod normalization;

pub(crate) use activation::{Slopes, geglu, gelu, leaky_relu, quick_gelu, silu};
pub(crate) use attention::attention;
pub(crate) use convolution::{Convolution, Resize};
pub(crate) use linear::Linear;
pub(crate) use normalization::{GroupNorm, LayerNorm, affine_silu};

use candle_core::{CpuStorage, Layout, Result, bail};

/// The f32 elements of a contiguous operand.
fn floats<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let all = storage.as_slice::<f32>()?;
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&all[start..end]),
        None => bail!("a tensor of shape {:?} is not contiguous", layout.shape()),
    }
}
