use super::{Walk, sum};
use crate::EngineError;

/// DPM-Solver++ (3M) SDE (k-diffusion's `sample_dpmpp_3m_sde`).
pub(super) fn dpmpp_3m_sde(walk: &mut Walk<'_>, mut x: Vec<f32>) -> Result<Vec<f32>, EngineError> {
    let eta = walk.plan.options().eta.unwrap_or(1.0);
    // the pictures seen before and the lengths of the steps behind them, the last first
    let mut last: Option<(Vec<f32>, f32)> = None;
    let mut before_last: Option<(Vec<f32>, f32)> = None;
    for (i, sigma, next) in walk.levels() {
        let denoised = walk.denoised(&x, sigma)?;
        walk.report(i, &denoised)?;
        if next == 0.0 {
            return Ok(denoised);
        }
        let length = sigma.ln() - next.ln();
        let whole = length * (1.0 + eta);
        let taken = -(-whole).exp_m1();
        let second = 1.0 - taken / whole;
        x = sum([((-whole).exp(), &x), (taken, &denoised)]);
        match (&last, &before_last) {
            (Some((seen_1, length_1)), Some((seen_2, length_2))) => {
                let third = second / whole - 0.5;
                let (r0, r1) = (length_1 / length, length_2 / length);
                // divided differences of the pictures, and what they weigh
                let (slope_0, slope_1) =
                    (second * (1.0 + r0 / (r0 + r1)) - third / (r0 + r1), (third - second * r0) / (r0 + r1));
                let (new, old) = (slope_0 / r0, slope_1 / r1);
                x = sum([(1.0, &x), (new, &denoised), (old - new, seen_1), (-old, seen_2)]);
            }
            (Some((seen_1, length_1)), None) => {
                let slope = second * length / length_1;
                x = sum([(1.0, &x), (slope, &denoised), (-slope, seen_1)]);
            }
            (None, _) => {}
        }
        let up = next * (-(-2.0 * eta * length).exp_m1()).sqrt();
        walk.add_tree_noise(&mut x, sigma, next, up);
        before_last = last.replace((denoised, length));
    }
    Ok(x)
}
