use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::floats;
use crate::EngineError;
use crate::checkpoint::{Parameter, Scope};
use crate::kernels::matrix;

/// A dense layer, or a 1x1 convolution over a channels-last picture: the same thing.
///
/// # Shapes
/// - input: `[.., inputs]`, output: `[.., outputs]`
pub(crate) struct Linear {
    weight: Parameter,
    bias: Option<Parameter>,
}

impl Linear {
    /// A layer of these parameters.
    ///
    /// # Shapes
    /// - weight: `[inputs, outputs]`, bias: `[outputs]`
    pub(crate) fn of(weight: Parameter, bias: Option<Parameter>) -> Self {
        Self { weight, bias }
    }

    /// Loads `weight` and, where there is one, `bias`.
    pub(crate) fn load(scope: &Scope<'_>) -> std::result::Result<Self, EngineError> {
        let weight = scope.dense("weight")?;
        let bias = scope.contains("bias").then(|| scope.vector("bias", Some(weight.dims()[1]))).transpose()?;
        Ok(Self { weight, bias })
    }

    /// Loads a layer that must take `inputs` features.
    pub(crate) fn load_for(scope: &Scope<'_>, inputs: usize) -> std::result::Result<Self, EngineError> {
        let layer = Self::load(scope)?;
        if layer.inputs() == inputs {
            Ok(layer)
        } else {
            Err(scope.unfit("weight", &format!("a layer with {inputs} inputs")))
        }
    }

    pub(crate) fn inputs(&self) -> usize {
        self.weight.dims()[0]
    }

    pub(crate) fn outputs(&self) -> usize {
        self.weight.dims()[1]
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let weight = self.weight.get()?;
        match &self.bias {
            Some(bias) => x.apply_op3_no_bwd(&weight, &bias.get()?, &Dense),
            None => x.apply_op2_no_bwd(&weight, &Dense),
        }
    }
}

struct Dense;

fn dense(x: &[f32], shape: &Shape, w: &[f32], weight: &Shape, bias: Option<&[f32]>) -> Result<(CpuStorage, Shape)> {
    let (inputs, outputs) = weight.dims2()?;
    let mut dims = shape.dims().to_vec();
    match dims.last_mut() {
        Some(last) if *last == inputs => *last = outputs,
        _ => bail!("a dense layer for {inputs} features got {dims:?}"),
    }
    if bias.is_some_and(|bias| bias.len() != outputs) {
        bail!("a dense layer with {outputs} outputs has another number of biases");
    }
    let result = Shape::from(dims);
    let mut out = vec![0.0; result.elem_count()];
    matrix::dense(x, w, bias, inputs, outputs, &mut out);
    Ok((CpuStorage::F32(out), result))
}

impl CustomOp2 for Dense {
    fn name(&self) -> &'static str {
        "dense"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, w: &CpuStorage, wl: &Layout) -> Result<(CpuStorage, Shape)> {
        dense(floats(x, xl)?, xl.shape(), floats(w, wl)?, wl.shape(), None)
    }
}

impl CustomOp3 for Dense {
    fn name(&self) -> &'static str {
        "dense"
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
        dense(floats(x, xl)?, xl.shape(), floats(w, wl)?, wl.shape(), Some(floats(b, bl)?))
    }
}
