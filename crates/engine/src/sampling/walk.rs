use super::brownian::BrownianTree;
use super::{Denoise, ImageNoise, Plan};
use crate::{EngineError, Prediction};

/// One walk down the noise levels of a plan: what all samplers do in the same way.
pub(super) struct Walk<'a> {
    pub(super) plan: &'a Plan<'a>,
    noise: &'a mut ImageNoise,
    tree: Option<BrownianTree>,
    model: &'a mut dyn Denoise,
}

impl<'a> Walk<'a> {
    pub(super) fn new(plan: &'a Plan<'a>, noise: &'a mut ImageNoise, model: &'a mut dyn Denoise) -> Self {
        Self { plan, noise, tree: None, model }
    }

    /// The noise levels before and after each step.
    pub(super) fn levels(&self) -> impl Iterator<Item = (usize, f32, f32)> + use<'a> {
        self.plan.sigmas().windows(2).enumerate().map(|(i, pair)| (i, pair[0], pair[1]))
    }

    /// The picture that the model sees in `x` at noise level `sigma`.
    pub(super) fn denoised(&mut self, x: &[f32], sigma: f32) -> Result<Vec<f32>, EngineError> {
        let mut seen = x.to_vec();
        self.model.before(&mut seen, sigma);
        let variance = sigma * sigma + 1.0;
        let scale = 1.0 / variance.sqrt();
        let input: Vec<f32> = seen.iter().map(|x| x * scale).collect();
        let found = self.model.predict(&input, self.plan.timestep(sigma))?;
        let (keep, take) = match self.plan.prediction() {
            Prediction::Epsilon => (1.0, sigma),
            Prediction::Velocity => (1.0 / variance, sigma * scale),
        };
        let mut denoised: Vec<f32> = seen.iter().zip(found).map(|(x, found)| keep * x - take * found).collect();
        self.model.after(&mut denoised, sigma);
        Ok(denoised)
    }

    /// Adds fresh noise of the strength `amount`.
    pub(super) fn add_noise(&mut self, x: &mut [f32], amount: f32) {
        let amount = amount * self.plan.options().s_noise;
        for (x, noise) in x.iter_mut().zip(self.noise.fresh()) {
            *x += noise * amount;
        }
    }

    /// Adds noise of the strength `amount` that belongs to the step from one level to another.
    pub(super) fn add_tree_noise(&mut self, x: &mut [f32], from: f32, to: f32, amount: f32) {
        let amount = amount * self.plan.options().s_noise;
        if amount == 0.0 {
            return;
        }
        let (smallest, largest) = self.plan.range();
        let tree = self.tree.get_or_insert_with(|| self.noise.tree(smallest, largest));
        for (x, noise) in x.iter_mut().zip(tree.noise(from, to)) {
            *x += noise * amount;
        }
    }

    /// Stirs noise into `x` before a step from `sigma`, if the options say so, and returns the level it then has
    /// (Karras et al. 2022, algorithm 2).
    pub(super) fn churn(&mut self, x: &mut [f32], sigma: f32) -> f32 {
        let options = self.plan.options();
        if options.s_churn <= 0.0 {
            return sigma;
        }
        let noise = self.noise.fresh(); // drawn at every step, used or not
        if sigma < options.s_tmin || options.s_tmax.is_some_and(|most| sigma > most) {
            return sigma;
        }
        let gamma = (options.s_churn / self.plan.steps() as f32).min(std::f32::consts::SQRT_2 - 1.0);
        let raised = sigma * (gamma + 1.0);
        let amount = (raised * raised - sigma * sigma).sqrt() * options.s_noise;
        x.iter_mut().zip(noise).for_each(|(x, noise)| *x += noise * amount);
        raised
    }

    /// Reports step `index` with the picture that the model saw first in it.
    pub(super) fn report(&mut self, index: usize, denoised: &[f32]) -> Result<(), EngineError> {
        self.report_of(index, self.plan.steps(), denoised)
    }

    /// The same for samplers whose steps are not the plan's.
    pub(super) fn report_of(&mut self, index: usize, steps: usize, denoised: &[f32]) -> Result<(), EngineError> {
        if denoised.iter().any(|value| !value.is_finite()) {
            return Err(EngineError::NotANumber { step: index as u32 + 1 });
        }
        self.model.report(index, steps, denoised)
    }
}

/// The noise level to step down to, and how much fresh noise leads from there to `next`.
pub(super) fn ancestral(sigma: f32, next: f32, eta: f32) -> (f32, f32) {
    let up = next.min(eta * (next * next * (sigma * sigma - next * next) / (sigma * sigma)).sqrt());
    ((next * next - up * up).sqrt(), up)
}
