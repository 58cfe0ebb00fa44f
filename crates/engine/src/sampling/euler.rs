use super::{Denoise, Schedule, denoise};
use crate::EngineError;

/// Euler's method along `sigmas` (k-diffusion's `sample_euler` without churn), from `noise * sigmas[0]`.
pub(super) fn euler(
    schedule: &Schedule,
    sigmas: &[f32],
    noise: &[f32],
    model: &mut dyn Denoise,
) -> Result<Vec<f32>, EngineError> {
    let mut x: Vec<f32> = noise.iter().map(|noise| noise * sigmas[0]).collect();
    for (i, pair) in sigmas.windows(2).enumerate() {
        let [sigma, next] = [pair[0], pair[1]];
        let denoised = denoise(schedule, &x, sigma, model)?;
        step(&mut x, &denoised, sigma, next);
        model.report(i, sigmas.len() - 1, &denoised)?;
    }
    Ok(x)
}

/// Euler's method with fresh noise after each step but the last (k-diffusion's `sample_euler_ancestral`, eta 1).
pub(super) fn euler_ancestral(
    schedule: &Schedule,
    sigmas: &[f32],
    noise: &[f32],
    model: &mut dyn Denoise,
) -> Result<Vec<f32>, EngineError> {
    let mut x: Vec<f32> = noise.iter().map(|noise| noise * sigmas[0]).collect();
    for (i, pair) in sigmas.windows(2).enumerate() {
        let [sigma, next] = [pair[0], pair[1]];
        let denoised = denoise(schedule, &x, sigma, model)?;
        let (down, up) = split(sigma, next);
        step(&mut x, &denoised, sigma, down);
        if next > 0.0 {
            for (x, noise) in x.iter_mut().zip(model.fresh_noise()) {
                *x += noise * up;
            }
        }
        model.report(i, sigmas.len() - 1, &denoised)?;
    }
    Ok(x)
}

/// Moves `x` from noise level `sigma` to `next` along the line through `denoised`.
fn step(x: &mut [f32], denoised: &[f32], sigma: f32, next: f32) {
    for (x, denoised) in x.iter_mut().zip(denoised) {
        let slope = (*x - denoised) / sigma;
        *x += slope * (next - sigma);
    }
}

/// The noise level to step down to, and how much fresh noise leads from there to `next`.
fn split(sigma: f32, next: f32) -> (f32, f32) {
    let up = next.min((next * next * (sigma * sigma - next * next) / (sigma * sigma)).sqrt());
    ((next * next - up * up).sqrt(), up)
}
