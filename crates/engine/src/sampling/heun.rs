use super::{Walk, euler, sum};
use crate::EngineError;

/// Heun's method (k-diffusion's `sample_heun`).
pub(super) fn heun(walk: &mut Walk<'_>, mut x: Vec<f32>) -> Result<Vec<f32>, EngineError> {
    for (i, sigma, next) in walk.levels() {
        let raised = walk.churn(&mut x, sigma);
        let denoised = walk.denoised(&x, raised)?;
        x = step(walk, x, &denoised, raised, next)?;
        walk.report(i, &denoised)?;
    }
    Ok(x)
}

/// One step: along the mean of the slopes at its beginning and at its end.
pub(super) fn step(
    walk: &mut Walk<'_>,
    mut x: Vec<f32>,
    denoised: &[f32],
    sigma: f32,
    next: f32,
) -> Result<Vec<f32>, EngineError> {
    if next == 0.0 {
        euler::step(&mut x, denoised, sigma, next);
        return Ok(x);
    }
    let mut there = x.clone();
    euler::step(&mut there, denoised, sigma, next);
    let seen_there = walk.denoised(&there, next)?;
    let half = (next - sigma) / 2.0;
    let (here, end) = (half / sigma, half / next);
    Ok(sum([(1.0 + here, &x), (-here, denoised), (end, &there), (-end, &seen_there)]))
}
