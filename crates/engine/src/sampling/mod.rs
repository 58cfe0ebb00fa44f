//! From noise to latent: schedules and samplers, over plain `f32` slices, knowing nothing of networks.

mod ddim;
mod dpmpp_2m;
mod euler;
mod schedule;

use crate::{EngineError, Sampler};
pub(crate) use schedule::Schedule;

/// What a sampler asks for at each step.
pub(crate) trait Denoise {
    /// The noise that the model finds in `latent`, which is scaled to unit variance; `timestep` may have fractions.
    fn noise_in(&mut self, latent: &[f32], timestep: f32) -> Result<Vec<f32>, EngineError>;

    /// Fresh unit noise of the latent's size.
    fn fresh_noise(&mut self) -> Vec<f32>;

    /// Reports step `index` (from 0) of `steps` with the picture as the model sees it now; an error ends the sampling.
    fn report(&mut self, index: usize, steps: usize, denoised: &[f32]) -> Result<(), EngineError>;
}

/// Runs `sampler` for `steps` steps from unit `noise` and returns the latent.
pub(crate) fn sample(
    sampler: Sampler,
    steps: usize,
    noise: &[f32],
    model: &mut dyn Denoise,
) -> Result<Vec<f32>, EngineError> {
    let schedule = Schedule::stable_diffusion();
    match sampler {
        Sampler::Euler => euler::euler(&schedule, &schedule.sigmas(steps), noise, model),
        Sampler::EulerA => euler::euler_ancestral(&schedule, &schedule.sigmas(steps), noise, model),
        Sampler::DpmPp2mKarras => dpmpp_2m::dpmpp_2m(&schedule, &schedule.karras_sigmas(steps), noise, model),
        Sampler::Ddim => ddim::ddim(&schedule, steps, noise, model),
    }
}

/// The picture that the model sees in `x` at noise level `sigma`: `x - sigma * noise`.
fn denoise(schedule: &Schedule, x: &[f32], sigma: f32, model: &mut dyn Denoise) -> Result<Vec<f32>, EngineError> {
    let scale = 1.0 / (sigma * sigma + 1.0).sqrt();
    let input: Vec<f32> = x.iter().map(|x| x * scale).collect();
    let noise = model.noise_in(&input, schedule.timestep(sigma))?;
    Ok(x.iter().zip(noise).map(|(x, noise)| x - sigma * noise).collect())
}
