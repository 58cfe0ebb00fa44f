use super::{Denoise, Schedule};
use crate::EngineError;

/// DDIM with eta 0 on timesteps `1, 1 + 1000 / steps, …` taken from the last to the first, as diffusers ("leading"
/// with offset 1, `set_alpha_to_one=False`) and AUTOMATIC1111 have it, from unit noise.
pub(super) fn ddim(
    schedule: &Schedule,
    steps: usize,
    noise: &[f32],
    model: &mut dyn Denoise,
) -> Result<Vec<f32>, EngineError> {
    let distance = 1000 / steps;
    let mut x = noise.to_vec();
    for i in 0..steps {
        let timestep = (steps - 1 - i) * distance + 1;
        let signal = schedule.signal(timestep);
        let next = schedule.signal(timestep.saturating_sub(distance));
        let found = model.noise_in(&x, timestep as f32)?;
        let denoised: Vec<f32> =
            x.iter().zip(&found).map(|(x, noise)| (x - (1.0 - signal).sqrt() * noise) / signal.sqrt()).collect();
        for ((x, seen), noise) in x.iter_mut().zip(&denoised).zip(&found) {
            *x = next.sqrt() * seen + (1.0 - next).sqrt() * noise;
        }
        model.report(i, steps, &denoised)?;
    }
    Ok(x)
}
