use candle_core::{Result, Tensor, bail};

/// What ControlNets add to what a UNet's own blocks hand on.
pub(crate) struct Residuals {
    /// For each block on the way down, `[batch, height, width, channels]`.
    pub(crate) skipped: Vec<Tensor>,
    /// For the middle.
    pub(crate) middle: Tensor,
}

impl Residuals {
    /// `weight` times `found`, plus `sum`.
    pub(crate) fn weighted(found: Self, weight: f32, sum: Option<Self>) -> Result<Self> {
        let Some(sum) = sum else {
            let skipped = found.skipped.iter().map(|x| x * f64::from(weight)).collect::<Result<_>>()?;
            return Ok(Self { skipped, middle: (found.middle * f64::from(weight))? });
        };
        let more = Self::weighted(found, weight, None)?;
        Ok(Self { skipped: added(sum.skipped, &more.skipped)?, middle: (sum.middle + more.middle)? })
    }

    /// What the UNet's blocks handed on, corrected.
    pub(super) fn correct(&self, skipped: Vec<Tensor>, middle: &Tensor) -> Result<(Vec<Tensor>, Tensor)> {
        Ok((added(skipped, &self.skipped)?, (middle + &self.middle)?))
    }
}

fn added(all: Vec<Tensor>, more: &[Tensor]) -> Result<Vec<Tensor>> {
    if all.len() != more.len() {
        bail!("a UNet with {} blocks on the way down got corrections for {}", all.len(), more.len());
    }
    all.iter().zip(more).map(|(one, other)| one + other).collect()
}
