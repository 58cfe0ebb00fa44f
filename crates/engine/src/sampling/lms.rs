use std::collections::VecDeque;

use super::Walk;
use crate::EngineError;

/// Most slopes that a step looks back at.
const ORDER: usize = 4;

/// Linear multistep (k-diffusion's `sample_lms`): the integral of the polynomial through the last slopes.
pub(super) fn lms(walk: &mut Walk<'_>, mut x: Vec<f32>) -> Result<Vec<f32>, EngineError> {
    let mut slopes: VecDeque<(f64, Vec<f32>)> = VecDeque::new(); // levels and slopes, the newest first
    for (i, sigma, next) in walk.levels() {
        let denoised = walk.denoised(&x, sigma)?;
        slopes.truncate(ORDER - 1);
        slopes.push_front((sigma.into(), x.iter().zip(&denoised).map(|(x, seen)| (x - seen) / sigma).collect()));
        let levels: Vec<f64> = slopes.iter().map(|(level, _)| *level).collect();
        for (j, (_, slope)) in slopes.iter().enumerate() {
            let weight = weight(&levels, j, next.into()) as f32;
            x.iter_mut().zip(slope).for_each(|(x, slope)| *x += weight * slope);
        }
        walk.report(i, &denoised)?;
    }
    Ok(x)
}

/// The integral from `levels[0]` to `next` of the Lagrange polynomial that is 1 at `levels[j]` and 0 at the others.
fn weight(levels: &[f64], j: usize, next: f64) -> f64 {
    let at = |tau: f64| {
        let others = levels.iter().enumerate().filter(|(k, _)| *k != j);
        others.map(|(_, level)| (tau - level) / (levels[j] - level)).product::<f64>()
    };
    // Simpson's rule is exact up to the third degree
    (next - levels[0]) / 6.0 * (at(levels[0]) + 4.0 * at((levels[0] + next) / 2.0) + at(next))
}
