//! From noise to latent: schedules and samplers, over plain `f32` slices, knowing nothing of networks.
//!
//! [`Schedule`] is the model's table of noise levels, a [`Plan`] the levels of one generation, [`sample`] walks down
//! them asking a [`Denoise`] at each. All latents in here are in the "variance exploding" form of Karras et al. 2022: a
//! picture plus `sigma` times unit noise.

mod brownian;
mod dpm2;
mod dpmpp_2m;
mod dpmpp_2m_sde;
mod dpmpp_2s;
mod dpmpp_3m_sde;
mod dpmpp_sde;
mod euler;
mod guidance;
mod heun;
mod image_noise;
mod lcm;
mod lms;
mod plan;
mod restart;
mod schedule;
mod seed_sequence;
mod spacing;
mod unipc;
mod walk;

use crate::{EngineError, Sampler};
pub use brownian::BrownianTree;
pub use guidance::{guide, needs_negative};
pub use image_noise::ImageNoise;
pub use plan::{Plan, StrengthRule};
pub use schedule::Schedule;

use dpmpp_2m_sde::Correction;
use unipc::Basis;
use walk::Walk;

/// What a sampler asks for at each step.
pub trait Denoise {
    /// What the model predicts, guided by the prompts, for `latent`, which is scaled to unit variance; `timestep` may
    /// have fractions.
    fn predict(&mut self, latent: &[f32], timestep: f32) -> Result<Vec<f32>, EngineError>;

    /// Called before each prediction with the latent that the model will see, which has the noise level `sigma`.
    fn before(&mut self, _latent: &mut [f32], _sigma: f32) {}

    /// Called after each prediction with the picture that the model sees in the latent.
    fn after(&mut self, _denoised: &mut [f32], _sigma: f32) {}

    /// Reports step `index` (from 0) of `steps` with the picture as the model sees it now; an error ends the sampling.
    fn report(&mut self, index: usize, steps: usize, denoised: &[f32]) -> Result<(), EngineError>;
}

/// Walks down the levels of `plan` from the latent `start` ([`Plan::start`] makes one of [`ImageNoise::first`]) and
/// returns the latent at their end.
///
/// # Errors
/// [`EngineError::NotANumber`] when the latent breaks down, and whatever the model reports.
pub fn sample(
    plan: &Plan<'_>,
    start: Vec<f32>,
    noise: &mut ImageNoise,
    model: &mut dyn Denoise,
) -> Result<Vec<f32>, EngineError> {
    let mut walk = Walk::new(plan, noise, model);
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
        Sampler::DpmPpSde => dpmpp_sde::dpmpp_sde(&mut walk, start),
        Sampler::DpmPp2mSde => dpmpp_2m_sde::dpmpp_2m_sde(&mut walk, start, Correction::Midpoint),
        Sampler::DpmPp2mSdeHeun => dpmpp_2m_sde::dpmpp_2m_sde(&mut walk, start, Correction::Heun),
        Sampler::DpmPp3mSde => dpmpp_3m_sde::dpmpp_3m_sde(&mut walk, start),
        Sampler::UniPc => unipc::unipc(&mut walk, start, Basis::Bh1),
        Sampler::UniPcBh2 => unipc::unipc(&mut walk, start, Basis::Bh2),
        Sampler::Restart => restart::restart(&mut walk, start),
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
