use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::floats;
use crate::EngineError;
use crate::checkpoint::{Parameter, Scope};
use crate::kernels::normalization::{GroupNormalization, affine, layer_normalization};

/// Group normalization with the 32 groups of every Stable Diffusion 1.x norm.
///
/// # Shapes
/// - input and output: `[batch, .., channels]`
pub(crate) struct GroupNorm {
    weight: Parameter,
    bias: Parameter,
    epsilon: f32,
}

impl GroupNorm {
    /// Groups per norm: a constant of the family that no tensor tells.
    const GROUPS: usize = 32;

    /// Loads `weight` and `bias` for `channels`.
    pub(crate) fn load(scope: &Scope<'_>, channels: usize, epsilon: f32) -> std::result::Result<Self, EngineError> {
        let weight = scope.vector("weight", Some(channels))?;
        if !channels.is_multiple_of(Self::GROUPS) {
            return Err(scope.unfit("weight", "a multiple of 32 channels"));
        }
        Ok(Self { weight, bias: scope.vector("bias", Some(channels))?, epsilon })
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.apply(x, false)
    }

    /// The norm followed by a SiLU.
    pub(crate) fn forward_silu(&self, x: &Tensor) -> Result<Tensor> {
        self.apply(x, true)
    }

    fn apply(&self, x: &Tensor, silu: bool) -> Result<Tensor> {
        let group = Group { groups: Self::GROUPS, epsilon: self.epsilon, silu, factors: false };
        x.apply_op3_no_bwd(&self.weight.get()?, &self.bias.get()?, &group)
    }

    /// What the norm does to each channel of a picture: a factor and a summand. [`affine_silu`] applies them.
    ///
    /// # Shapes
    /// - x: `[batch, .., channels]`; result: `[batch, 2, channels]`
    pub(crate) fn factors(&self, x: &Tensor) -> Result<Tensor> {
        let group = Group { groups: Self::GROUPS, epsilon: self.epsilon, silu: false, factors: true };
        x.apply_op3_no_bwd(&self.weight.get()?, &self.bias.get()?, &group)
    }
}

/// A norm with the factors of [`GroupNorm::factors`] of this or another picture, and a SiLU behind it.
///
/// # Shapes
/// - x and result: `[batch, .., channels]`; factors: `[batch, 2, channels]`
pub(crate) fn affine_silu(x: &Tensor, factors: &Tensor) -> Result<Tensor> {
    x.apply_op2_no_bwd(factors, &Affine)
}

struct Affine;

impl CustomOp2 for Affine {
    fn name(&self) -> &'static str {
        "affine-silu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, f: &CpuStorage, fl: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, two, channels) = fl.shape().dims3()?;
        let dims = xl.shape().dims();
        if two != 2 || dims.first() != Some(&batch) || dims.last() != Some(&channels) || xl.shape().elem_count() == 0 {
            bail!("factors of shape {:?} got {dims:?}", fl.shape());
        }
        let mut values = floats(x, xl)?.to_vec();
        let pictures = values.chunks_exact_mut(xl.shape().elem_count() / batch);
        for (picture, factors) in pictures.zip(floats(f, fl)?.chunks_exact(2 * channels)) {
            let (scale, shift) = factors.split_at(channels);
            affine(picture, scale, shift, true);
        }
        Ok((CpuStorage::F32(values), xl.shape().clone()))
    }
}

struct Group {
    groups: usize,
    epsilon: f32,
    silu: bool,
    /// Return what the norm does instead of doing it.
    factors: bool,
}

impl CustomOp3 for Group {
    fn name(&self) -> &'static str {
        "group-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        w: &CpuStorage,
        wl: &Layout,
        b: &CpuStorage,
        bl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (weight, bias) = (floats(w, wl)?, floats(b, bl)?);
        let dims = xl.shape().dims();
        if dims.last() != Some(&weight.len()) || bias.len() != weight.len() || weight.len() % self.groups != 0 {
            bail!("a group norm of {} channels got {dims:?}", weight.len());
        }
        let norm = GroupNormalization { weight, bias, groups: self.groups, epsilon: self.epsilon, silu: self.silu };
        let values = floats(x, xl)?;
        if self.factors {
            let picture = (values.len() / dims[0].max(1)).max(1);
            let factors = values.chunks_exact(picture).map(|picture| norm.scale_and_shift(picture));
            let all: Vec<f32> = factors.flat_map(|(scale, shift)| scale.into_iter().chain(shift)).collect();
            return Ok((CpuStorage::F32(all), Shape::from((dims[0], 2, weight.len()))));
        }
        let mut values = values.to_vec();
        norm.apply(&mut values, dims[0]);
        Ok((CpuStorage::F32(values), xl.shape().clone()))
    }
}

/// Layer normalization with epsilon 1e-5.
///
/// # Shapes
/// - input and output: `[.., width]`
pub(crate) struct LayerNorm {
    weight: Parameter,
    bias: Parameter,
}

impl LayerNorm {
    /// Loads `weight` and `bias` for rows of `width`.
    pub(crate) fn load(scope: &Scope<'_>, width: usize) -> std::result::Result<Self, EngineError> {
        Ok(Self { weight: scope.vector("weight", Some(width))?, bias: scope.vector("bias", Some(width))? })
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.apply_op3_no_bwd(&self.weight.get()?, &self.bias.get()?, &Layer)
    }
}

struct Layer;

impl CustomOp3 for Layer {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        w: &CpuStorage,
        wl: &Layout,
        b: &CpuStorage,
        bl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (weight, bias) = (floats(w, wl)?, floats(b, bl)?);
        if xl.shape().dims().last() != Some(&weight.len()) || bias.len() != weight.len() {
            bail!("a layer norm of width {} got {:?}", weight.len(), xl.shape());
        }
        let out = layer_normalization(floats(x, xl)?, weight, bias, 1e-5);
        Ok((CpuStorage::F32(out), xl.shape().clone()))
    }
}
