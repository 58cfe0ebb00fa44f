use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::floats;
use crate::kernels::attention::{self, AttentionShape};

/// Attention over `heads` heads; with `causal`, a query sees keys up to its own position only.
///
/// # Shapes
/// - q: `[batch, queries, width]`; k, v: `[batch, keys, width]`; result: `[batch, queries, width]`
pub(crate) fn attention(q: &Tensor, k: &Tensor, v: &Tensor, heads: usize, causal: bool) -> Result<Tensor> {
    q.apply_op3_no_bwd(k, v, &Attention { heads, causal })
}

struct Attention {
    heads: usize,
    causal: bool,
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        ql: &Layout,
        k: &CpuStorage,
        kl: &Layout,
        v: &CpuStorage,
        vl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (batch, queries, width) = ql.shape().dims3()?;
        let (key_batch, keys, key_width) = kl.shape().dims3()?;
        if kl.shape() != vl.shape()
            || (key_batch, key_width) != (batch, width)
            || self.heads == 0
            || width % self.heads != 0
            || keys == 0
        {
            bail!("attention with {} heads got {:?}, {:?}, {:?}", self.heads, ql.shape(), kl.shape(), vl.shape());
        }
        let shape = AttentionShape { batch, queries, keys, width, heads: self.heads, causal: self.causal };
        let out = attention::attention(floats(q, ql)?, floats(k, kl)?, floats(v, vl)?, shape);
        Ok((CpuStorage::F32(out), ql.shape().clone()))
    }
}
