use super::Walk;
use crate::EngineError;

/// DPM-Solver++ (2M) (k-diffusion's `sample_dpmpp_2m`).
pub(super) fn dpmpp_2m(walk: &mut Walk<'_>, mut x: Vec<f32>) -> Result<Vec<f32>, EngineError> {
    let mut last: Option<(Vec<f32>, f32)> = None; // the picture seen before, and the length of the step behind it
    for (i, sigma, next) in walk.levels() {
        let denoised = walk.denoised(&x, sigma)?;
        walk.report(i, &denoised)?;
        if next == 0.0 {
            return Ok(denoised);
        }
        let length = sigma.ln() - next.ln();
        let (ratio, weight) = (next / sigma, -(-length).exp_m1());
        match &last {
            None => x.iter_mut().zip(&denoised).for_each(|(x, seen)| *x = ratio * *x + weight * seen),
            Some((before, last_length)) => {
                let share = length / (2.0 * last_length);
                for ((x, seen), before) in x.iter_mut().zip(&denoised).zip(before) {
                    *x = ratio * *x + weight * ((1.0 + share) * seen - share * before);
                }
            }
        }
        last = Some((denoised, length));
    }
    Ok(x)
}
