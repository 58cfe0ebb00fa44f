use super::{Denoise, Schedule, denoise};
use crate::EngineError;

/// DPM-Solver++ (2M) along `sigmas` (k-diffusion's `sample_dpmpp_2m`), from `noise * sigmas[0]`.
pub(super) fn dpmpp_2m(
    schedule: &Schedule,
    sigmas: &[f32],
    noise: &[f32],
    model: &mut dyn Denoise,
) -> Result<Vec<f32>, EngineError> {
    let mut x: Vec<f32> = noise.iter().map(|noise| noise * sigmas[0]).collect();
    let mut last: Option<(Vec<f32>, f32)> = None; // the picture seen before, and the length of the step behind it
    for (i, pair) in sigmas.windows(2).enumerate() {
        let [sigma, next] = [pair[0], pair[1]];
        let denoised = denoise(schedule, &x, sigma, model)?;
        if next == 0.0 {
            x.copy_from_slice(&denoised);
        } else {
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
            last = Some((denoised.clone(), length));
        }
        model.report(i, sigmas.len() - 1, &denoised)?;
    }
    Ok(x)
}
