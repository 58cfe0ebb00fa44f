use super::dpmpp_2s::exponential;
use super::walk::ancestral;
use super::{Walk, euler};
use crate::EngineError;

/// DPM-Solver++ (SDE) (k-diffusion's `sample_dpmpp_sde`, r = 1/2).
pub(super) fn dpmpp_sde(walk: &mut Walk<'_>, mut x: Vec<f32>) -> Result<Vec<f32>, EngineError> {
    let eta = walk.plan.options().eta.unwrap_or(1.0);
    for (i, sigma, next) in walk.levels() {
        let denoised = walk.denoised(&x, sigma)?;
        if next == 0.0 {
            euler::step(&mut x, &denoised, sigma, next);
        } else {
            // the noise belongs to a step between exactly these levels: there and back through logarithms
            let [from, to] = [sigma, next].map(|level| -(f64::from(level).ln() as f32));
            let halfway = from + (to - from) * 0.5;
            let [start, middle, end] = [from, halfway, to].map(|time| f64::from(-time).exp() as f32);
            let (down, up) = ancestral(start, middle, eta);
            let mut there = exponential(&x, &denoised, sigma, down);
            walk.add_tree_noise(&mut there, start, middle, up);
            let seen_there = walk.denoised(&there, middle)?;
            let (down, up) = ancestral(start, end, eta);
            x = exponential(&x, &seen_there, sigma, down);
            walk.add_tree_noise(&mut x, start, end, up);
        }
        walk.report(i, &denoised)?;
    }
    Ok(x)
}
