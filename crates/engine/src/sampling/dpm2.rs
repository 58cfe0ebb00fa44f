use super::Walk;
use super::euler::step;
use super::walk::ancestral;
use crate::EngineError;

/// DPM-Solver-2 with a look in the middle of each step (k-diffusion's `sample_dpm_2`).
pub(super) fn dpm2(walk: &mut Walk<'_>, mut x: Vec<f32>) -> Result<Vec<f32>, EngineError> {
    for (i, sigma, next) in walk.levels() {
        let raised = walk.churn(&mut x, sigma);
        let denoised = walk.denoised(&x, raised)?;
        midpoint(walk, &mut x, &denoised, raised, next)?;
        walk.report(i, &denoised)?;
    }
    Ok(x)
}

/// DPM-Solver-2 with fresh noise (k-diffusion's `sample_dpm_2_ancestral`).
pub(super) fn dpm2_ancestral(walk: &mut Walk<'_>, mut x: Vec<f32>) -> Result<Vec<f32>, EngineError> {
    let eta = walk.plan.options().eta.unwrap_or(1.0);
    for (i, sigma, next) in walk.levels() {
        let denoised = walk.denoised(&x, sigma)?;
        let (down, up) = ancestral(sigma, next, eta);
        midpoint(walk, &mut x, &denoised, sigma, down)?;
        if down > 0.0 && up > 0.0 {
            walk.add_noise(&mut x, up);
        }
        walk.report(i, &denoised)?;
    }
    Ok(x)
}

/// Moves `x` from `sigma` to `next` along the slope at the geometric mean of both.
fn midpoint(walk: &mut Walk<'_>, x: &mut [f32], denoised: &[f32], sigma: f32, next: f32) -> Result<(), EngineError> {
    if next == 0.0 {
        step(x, denoised, sigma, next);
        return Ok(());
    }
    let middle = (f64::from(sigma) * f64::from(next)).sqrt() as f32;
    let mut there = x.to_vec();
    step(&mut there, denoised, sigma, middle);
    let seen_there = walk.denoised(&there, middle)?;
    for ((x, there), seen) in x.iter_mut().zip(&there).zip(&seen_there) {
        *x += (there - seen) / middle * (next - sigma);
    }
    Ok(())
}
