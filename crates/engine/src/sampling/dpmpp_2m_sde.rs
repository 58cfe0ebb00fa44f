use super::{Walk, sum};
use crate::EngineError;

/// How DPM-Solver++ (2M) SDE corrects its steps.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Correction {
    Midpoint,
    Heun,
}

/// DPM-Solver++ (2M) SDE (k-diffusion's `sample_dpmpp_2m_sde`).
pub(super) fn dpmpp_2m_sde(
    walk: &mut Walk<'_>,
    mut x: Vec<f32>,
    correction: Correction,
) -> Result<Vec<f32>, EngineError> {
    let eta = walk.plan.options().eta.unwrap_or(1.0);
    let mut last: Option<(Vec<f32>, f32)> = None; // the picture seen before, and the length of the step behind it
    for (i, sigma, next) in walk.levels() {
        let denoised = walk.denoised(&x, sigma)?;
        walk.report(i, &denoised)?;
        if next == 0.0 {
            return Ok(denoised);
        }
        let length = sigma.ln() - next.ln();
        let whole = length * (1.0 + eta);
        let taken = -(-whole).exp_m1();
        let keep = next / sigma * (-eta * length).exp();
        x = match &last {
            None => sum([(keep, &x), (taken, &denoised)]),
            Some((before, last_length)) => {
                let share = match correction {
                    Correction::Midpoint => 0.5 * taken,
                    Correction::Heun => 1.0 - taken / whole,
                } * length
                    / last_length;
                sum([(keep, &x), (taken + share, &denoised), (-share, before)])
            }
        };
        let up = next * (-(-2.0 * eta * length).exp_m1()).sqrt();
        walk.add_tree_noise(&mut x, sigma, next, up);
        last = Some((denoised, length));
    }
    Ok(x)
}
