use super::walk::ancestral;
use super::{Walk, euler, sum};
use crate::EngineError;

/// DPM-Solver++ (2S) with fresh noise (k-diffusion's `sample_dpmpp_2s_ancestral`).
pub(super) fn dpmpp_2s_ancestral(walk: &mut Walk<'_>, mut x: Vec<f32>) -> Result<Vec<f32>, EngineError> {
    let eta = walk.plan.options().eta.unwrap_or(1.0);
    for (i, sigma, next) in walk.levels() {
        let denoised = walk.denoised(&x, sigma)?;
        let (down, up) = ancestral(sigma, next, eta);
        if down == 0.0 {
            euler::step(&mut x, &denoised, sigma, down);
        } else {
            let middle = (f64::from(sigma) * f64::from(down)).sqrt() as f32;
            let there = exponential(&x, &denoised, sigma, middle);
            let seen_there = walk.denoised(&there, middle)?;
            x = exponential(&x, &seen_there, sigma, down);
        }
        if up > 0.0 {
            walk.add_noise(&mut x, up);
        }
        walk.report(i, &denoised)?;
    }
    Ok(x)
}

/// The exponential integrator's step from `sigma` to `next` towards `denoised`.
pub(super) fn exponential(x: &[f32], denoised: &[f32], sigma: f32, next: f32) -> Vec<f32> {
    let ratio = next / sigma;
    sum([(ratio, x), (1.0 - ratio, denoised)])
}
