use super::Walk;
use super::walk::ancestral;
use crate::EngineError;

/// Euler's method (k-diffusion's `sample_euler`).
pub(super) fn euler(walk: &mut Walk<'_>, mut x: Vec<f32>) -> Result<Vec<f32>, EngineError> {
    for (i, sigma, next) in walk.levels() {
        let raised = walk.churn(&mut x, sigma);
        let denoised = walk.denoised(&x, raised)?;
        step(&mut x, &denoised, raised, next);
        walk.report(i, &denoised)?;
    }
    Ok(x)
}

/// Euler's method with fresh noise after each step but the last (k-diffusion's `sample_euler_ancestral`).
///
/// With eta 0 on DDIM's levels it is DDIM (Song et al. 2020, equation 12), with the paper's eta the same as ours.
pub(super) fn euler_ancestral(walk: &mut Walk<'_>, mut x: Vec<f32>, eta: f32) -> Result<Vec<f32>, EngineError> {
    for (i, sigma, next) in walk.levels() {
        let denoised = walk.denoised(&x, sigma)?;
        let (down, up) = ancestral(sigma, next, eta);
        step(&mut x, &denoised, sigma, down);
        if up > 0.0 {
            walk.add_noise(&mut x, up);
        }
        walk.report(i, &denoised)?;
    }
    Ok(x)
}

/// Moves `x` from noise level `sigma` to `next` along the line through `denoised`.
pub(super) fn step(x: &mut [f32], denoised: &[f32], sigma: f32, next: f32) {
    for (x, denoised) in x.iter_mut().zip(denoised) {
        let slope = (*x - denoised) / sigma;
        *x += slope * (next - sigma);
    }
}
