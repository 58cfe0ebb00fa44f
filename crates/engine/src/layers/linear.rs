use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, bail};

use super::floats;
use crate::EngineError;
use crate::checkpoint::{Parameter, Scope};
use crate::kernels::product::{Bias, product};

/// A dense layer, or a 1x1 convolution over a channels-last picture: the same thing.
///
/// # Shapes
/// - input: `[.., inputs]`, output: `[.., outputs]`
pub(crate) struct Linear {
    weight: Parameter,
    bias: Option<Parameter>,
}

impl Linear {
    /// A layer of the weight of a dense layer and a bias of as many elements as it has outputs.
    pub(crate) fn of(weight: Parameter, bias: Option<Parameter>) -> Self {
        Self { weight, bias }
    }

    /// Loads `weight` and, where there is one, `bias`.
    pub(crate) fn load(scope: &Scope<'_>) -> std::result::Result<Self, EngineError> {
        let weight = scope.dense("weight")?;
        let bias = scope.contains("bias").then(|| scope.vector("bias", Some(weight.outputs()))).transpose()?;
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
        self.weight.inputs()
    }

    pub(crate) fn outputs(&self) -> usize {
        self.weight.outputs()
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let dense = Dense { weight: &self.weight };
        match &self.bias {
            Some(bias) => x.apply_op2_no_bwd(&bias.get()?, &dense),
            None => x.apply_op1_no_bwd(&dense),
        }
    }
}

struct Dense<'a> {
    weight: &'a Parameter,
}

impl Dense<'_> {
    fn apply(&self, x: &[f32], shape: &Shape, bias: Option<&[f32]>) -> Result<(CpuStorage, Shape)> {
        let (inputs, outputs) = (self.weight.inputs(), self.weight.outputs());
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
        self.weight.with_weight(|weight| {
            let bias = bias.map_or(Bias::None, Bias::Outputs);
            product(|row, _| &x[row * inputs..][..inputs], weight, bias, &mut out);
            Ok(())
        })?;
        Ok((CpuStorage::F32(out), result))
    }
}

impl CustomOp1 for Dense<'_> {
    fn name(&self) -> &'static str {
        "dense"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout) -> Result<(CpuStorage, Shape)> {
        self.apply(floats(x, xl)?, xl.shape(), None)
    }
}

impl CustomOp2 for Dense<'_> {
    fn name(&self) -> &'static str {
        "dense"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, b: &CpuStorage, bl: &Layout) -> Result<(CpuStorage, Shape)> {
        self.apply(floats(x, xl)?, xl.shape(), Some(floats(b, bl)?))
    }
}
