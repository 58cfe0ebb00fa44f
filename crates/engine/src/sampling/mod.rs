//! From noise to latent: schedules and samplers, over plain `f32` slices, knowing nothing of networks.
//!
//! [`Schedule`] is the model's table of noise levels, a [`Plan`] the levels of one generation, [`sample`] walks down
//! them asking a [`Denoise`] at each. All latents in here are in the "variance exploding" form of Karras et al. 2022: a
//! picture plus `sigma` times unit noise.

mod dpm2;
mod dpmpp_2m;
mod dpmpp_2s;
mod euler;
mod heun;
mod lcm;
mod lms;
mod plan;
mod schedule;
mod spacing;
mod walk;

use crate::{EngineError, Sampler};
pub(crate) use plan::Plan;
pub use plan::StrengthRule;
pub(crate) use schedule::Schedule;
use walk::Walk;

/// What a sampler asks for at each step.
pub(crate) trait Denoise {
    /// What the model predicts, guided by the prompts, for `latent`, which is scaled to unit variance; `timestep` may
    /// have fractions.
    fn predict(&mut self, latent: &[f32], timestep: f32) -> Result<Vec<f32>, EngineError>;

    /// Called before each prediction with the latent that the model will see, which has the noise level `sigma`.
    fn before(&mut self, _latent: &mut [f32], _sigma: f32) {}

    /// Called after each prediction with the picture that the model sees in the latent.
    fn after(&mut self, _denoised: &mut [f32], _sigma: f32) {}

    /// Fresh unit noise of the latent's size.
    fn fresh_noise(&mut self) -> Vec<f32>;

    /// Reports step `index` (from 0) of `steps` with the picture as the model sees it now; an error ends the sampling.
    fn report(&mut self, index: usize, steps: usize, denoised: &[f32]) -> Result<(), EngineError>;
}

/// Walks down the levels of `plan` from the latent `start` ([`Plan::start`] makes one) and returns the latent at their
/// end.
///
/// # Errors
/// [`EngineError::NotANumber`] when the latent breaks down, and whatever the model reports.
pub(crate) fn sample(plan: &Plan, start: Vec<f32>, model: &mut dyn Denoise) -> Result<Vec<f32>, EngineError> {
    let mut walk = Walk::new(plan, model);
    let eta = plan.options().eta;
    let latent = match plan.sampler() {
        Sampler::Euler => euler::euler(&mut walk, start),
        Sampler::EulerA => euler::euler_ancestral(&mut walk, start, eta.unwrap_or(1.0)),
        // both are ancestral Euler steps when latents are not scaled to unit variance
        Sampler::Ddim => euler::euler_ancestral(&mut walk, start, eta.unwrap_or(0.0)),
        Sampler::Ddpm => euler::euler_ancestral(&mut walk, start, 1.0),
        Sampler::Heun => heun::heun(&mut walk, start),
        Sampler::Dpm2 => dpm2::dpm2(&mut walk, start),
        Sampler::Dpm2A => dpm2::dpm2_ancestral(&mut walk, start),
        Sampler::DpmPp2sA => dpmpp_2s::dpmpp_2s_ancestral(&mut walk, start),
        Sampler::DpmPp2m => dpmpp_2m::dpmpp_2m(&mut walk, start),
        Sampler::Lms => lms::lms(&mut walk, start),
        Sampler::Lcm => lcm::lcm(&mut walk, start),
    }?;
    if latent.iter().any(|value| !value.is_finite()) {
        return Err(EngineError::NotANumber { step: plan.steps() as u32 });
    }
    Ok(plan.finish(latent))
}

/// `Σ weight * values`, element by element.
fn sum<const N: usize>(parts: [(f32, &[f32]); N]) -> Vec<f32> {
    let length = parts.iter().map(|(_, values)| values.len()).min().unwrap_or(0);
    (0..length).map(|i| parts.iter().map(|(weight, values)| weight * values[i]).sum()).collect()
}
