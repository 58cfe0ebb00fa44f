use serde::{Deserialize, Serialize};

use super::{Schedule, spacing};
use crate::{Prediction, Sampler, SamplingSettings, Scheduler};

/// The noise levels that one generation goes through, and what belongs to them.
pub struct Plan<'a> {
    schedule: &'a Schedule,
    sampler: Sampler,
    options: &'a SamplingSettings,
    /// Falling; one more than there are steps.
    sigmas: Vec<f32>,
    /// The timesteps of `sigmas` where they are not simply the schedule's.
    timesteps: Option<Vec<f32>>,
    /// The smallest level above 0 and the largest of all steps, also of those left out.
    range: (f32, f32),
    /// Whether latents begin and end scaled to unit variance, as samplers have it that count in timesteps.
    unit_variance: bool,
}

/// What a strength below 1 means for the number of steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StrengthRule {
    /// That share of the steps is done: AUTOMATIC1111's image to image.
    #[default]
    Share,
    /// All steps are done, on a schedule for more of them: AUTOMATIC1111's "do exactly the amount of steps" and its
    /// second pass of the hires fix.
    All,
    /// The same counted as ComfyUI does.
    #[serde(rename = "comfyui")]
    ComfyUi,
}

impl<'a> Plan<'a> {
    /// Levels from noise alone. Some schedulers give another number of steps than was asked for.
    pub fn new(schedule: &'a Schedule, sampler: Sampler, options: &'a SamplingSettings, steps: usize) -> Self {
        let scheduler = match options.scheduler {
            Scheduler::Automatic => sampler.automatic(),
            other => other,
        };
        let mut plan = Self {
            schedule,
            sampler,
            options,
            sigmas: Vec::new(),
            timesteps: None,
            range: (0.0, 0.0),
            unit_variance: false,
        };
        match (scheduler, sampler) {
            (Scheduler::Automatic, Sampler::Lcm) => (plan.sigmas, plan.timesteps) = lcm(schedule, steps),
            (Scheduler::Automatic, Sampler::UniPc | Sampler::UniPcBh2) => {
                (plan.sigmas, plan.timesteps) = unipc(schedule, steps);
                plan.unit_variance = true;
            }
            (Scheduler::Automatic, _) => {
                plan.sigmas = ddim(schedule, steps);
                plan.unit_variance = true;
            }
            (scheduler, _) => {
                let discard = options.discard_penultimate || needs_discard(sampler);
                plan.sigmas = spacing::sigmas(scheduler, schedule, options, steps + usize::from(discard));
                if discard && plan.sigmas.len() > 2 {
                    plan.sigmas.remove(plan.sigmas.len() - 2);
                }
                if let (Sampler::UniPc | Sampler::UniPcBh2, Some(last)) = (sampler, plan.sigmas.last_mut()) {
                    *last = last.max(0.001); // it divides by the last level, as ComfyUI has it
                }
            }
        }
        plan.measure();
        plan
    }

    /// The last levels of a longer plan, for latents that hold a picture already. No steps for a strength of 0 unless
    /// the rule says otherwise.
    pub fn with_strength(
        schedule: &'a Schedule,
        sampler: Sampler,
        options: &'a SamplingSettings,
        steps: usize,
        strength: f32,
        rule: StrengthRule,
    ) -> Self {
        // the decimal number that was asked for: 20 / 0.4 is 50
        let strength = strength.to_string().parse::<f64>().unwrap_or(1.0);
        if rule == StrengthRule::ComfyUi && strength > 0.9999 {
            return Self::new(schedule, sampler, options, steps);
        }
        let within = strength.clamp(0.0, 0.999);
        let more = if strength > 0.0 { steps as f64 / strength.min(0.999) } else { 0.0 };
        let most = 100_000.0; // far more than any strength that changes a picture asks for
        match rule {
            StrengthRule::Share => {
                let mut plan = Self::new(schedule, sampler, options, steps);
                plan.skip(steps.saturating_sub((within * steps as f64) as usize + 1));
                plan
            }
            _ if more < 1.0 || steps == 0 => {
                let mut plan = Self::new(schedule, sampler, options, steps.max(1));
                plan.skip(plan.steps());
                plan
            }
            StrengthRule::All => {
                let longer = more.min(most) as usize;
                let mut plan = Self::new(schedule, sampler, options, longer);
                plan.skip(longer - steps);
                plan
            }
            StrengthRule::ComfyUi => {
                let longer = (steps as f64 / strength).min(most) as usize;
                let mut plan = Self::new(schedule, sampler, options, longer);
                plan.skip(plan.steps().saturating_sub(steps));
                plan.measure();
                plan
            }
        }
    }

    /// Notes the range of all levels.
    fn measure(&mut self) {
        let smallest = self.sigmas.iter().copied().filter(|sigma| *sigma > 0.0).fold(f32::INFINITY, f32::min);
        self.range = (smallest, self.sigmas.first().copied().unwrap_or(smallest));
    }

    /// Leaves out the first `count` steps.
    fn skip(&mut self, count: usize) {
        let count = count.min(self.steps());
        self.sigmas.drain(..count);
        if let Some(timesteps) = &mut self.timesteps {
            timesteps.drain(..count);
        }
    }

    /// Only the steps of `range`: what another model goes on from, the latent stays as noisy as it is then.
    #[must_use]
    pub fn only(mut self, range: std::ops::Range<usize>) -> Self {
        let end = range.end.min(self.steps());
        self.sigmas.truncate(end + 1);
        self.skip(range.start);
        self
    }

    /// What walks down the levels.
    pub fn sampler(&self) -> Sampler {
        self.sampler
    }

    pub(super) fn options(&self) -> &SamplingSettings {
        self.options
    }

    pub(super) fn prediction(&self) -> Prediction {
        self.schedule.prediction()
    }

    /// The smallest level above 0 and the largest that this plan's noise goes over.
    pub(super) fn range(&self) -> (f32, f32) {
        self.range
    }

    /// UniPC's highest order: AUTOMATIC1111's, or ComfyUI's where the schedule is one that only it has.
    pub(super) fn order(&self) -> usize {
        let less = usize::from(!self.unit_variance);
        self.steps().saturating_sub(less).clamp(1, 3)
    }

    /// How many steps there are.
    pub fn steps(&self) -> usize {
        self.sigmas.len().saturating_sub(1)
    }

    /// The noise level before each step, and that after the last.
    pub fn sigmas(&self) -> &[f32] {
        &self.sigmas
    }

    /// The latent to begin with: unit `noise` at the plan's first level, around `picture` if there is one.
    pub fn start(&self, noise: &[f32], picture: Option<&[f32]>) -> Vec<f32> {
        let sigma = self.sigmas.first().copied().unwrap_or(0.0);
        let largest = self.schedule.sigmas().last().copied().unwrap_or(sigma);
        let alone = self.unit_variance && picture.is_none();
        let sgm = self.options.sgm_noise && sigma >= largest * (1.0 - 1e-5);
        let scale = if alone || sgm { (1.0 + sigma * sigma).sqrt() } else { sigma };
        match picture {
            None => noise.iter().map(|noise| noise * scale).collect(),
            Some(picture) => picture.iter().zip(noise).map(|(seen, noise)| seen + noise * scale).collect(),
        }
    }

    /// The latent as it is decoded.
    pub(super) fn finish(&self, mut latent: Vec<f32>) -> Vec<f32> {
        let sigma = self.sigmas.last().copied().unwrap_or(0.0);
        if self.unit_variance {
            let scale = 1.0 / (1.0 + sigma * sigma).sqrt();
            latent.iter_mut().for_each(|value| *value *= scale);
        }
        latent
    }

    /// The timestep that the model is told at noise level `sigma`.
    pub(super) fn timestep(&self, sigma: f32) -> f32 {
        if let Some(timesteps) = &self.timesteps
            && let Some(timestep) = self.sigmas.iter().position(|level| *level == sigma).and_then(|i| timesteps.get(i))
        {
            return *timestep;
        }
        let timestep = self.schedule.timestep(sigma);
        if self.options.quantize { timestep.round() } else { timestep }
    }
}

/// Samplers that look so close to the last level that it must not be just above 0.
fn needs_discard(sampler: Sampler) -> bool {
    use Sampler::{Dpm2, Dpm2A, DpmPp3mSde, UniPc, UniPcBh2};
    matches!(sampler, Dpm2 | Dpm2A | DpmPp3mSde | UniPc | UniPcBh2)
}

/// DDIM's levels: timesteps `1, 1 + 1000 / steps, …` from the last, down to the level of timestep 0, as diffusers has
/// it ("leading" with offset 1, `set_alpha_to_one=False`). Where 1000 is not a multiple of `steps` there are more of
/// them, and like AUTOMATIC1111 we end at the first.
fn ddim(schedule: &Schedule, steps: usize) -> Vec<f32> {
    let distance = (Schedule::STEPS / steps.max(1)).max(1);
    let mut timesteps: Vec<usize> = (1..=Schedule::STEPS).step_by(distance).map(|at| at.min(999)).collect();
    timesteps.dedup();
    if timesteps.len() <= steps {
        timesteps.insert(0, 0);
    }
    timesteps.iter().rev().map(|&timestep| schedule.sigmas()[timestep]).collect()
}

/// UniPC's levels as AUTOMATIC1111 has them: as many steps as DDIM has levels above that of timestep 0, evenly spread in
/// time from 1 to 1/1000, between timesteps linear in the logarithm of the signal.
fn unipc(schedule: &Schedule, steps: usize) -> (Vec<f32>, Option<Vec<f32>>) {
    let distance = (Schedule::STEPS / steps.max(1)).max(1);
    let count = Schedule::STEPS.div_ceil(distance);
    let last = (Schedule::STEPS - 1) as f64;
    let timesteps = (0..=count).map(|i| last - last * i as f64 / count as f64);
    let logs: Vec<f64> = schedule.sigmas().iter().map(|&sigma| -0.5 * f64::from(sigma).powi(2).ln_1p()).collect();
    let level = |timestep: f64| {
        let (low, high) = (logs[timestep.floor() as usize], logs[timestep.ceil() as usize]);
        let log = low + timestep.fract() * (high - low);
        ((-2.0 * log).exp_m1().sqrt() as f32, timestep as f32)
    };
    let (sigmas, timesteps): (Vec<f32>, Vec<f32>) = timesteps.map(level).unzip();
    (sigmas, Some(timesteps))
}

/// The levels of latent consistency models: 50 timesteps `19, 39, …` are all they know (as AUTOMATIC1111 has it).
fn lcm(schedule: &Schedule, steps: usize) -> (Vec<f32>, Option<Vec<f32>>) {
    const KNOWN: usize = 50;
    const APART: usize = Schedule::STEPS / KNOWN;
    let known: Vec<f64> = schedule.sigmas().iter().skip(APART - 1).step_by(APART).map(|&s| f64::from(s).ln()).collect();
    let last = (KNOWN - 1) as f64;
    let logs = (0..steps).map(|i| {
        let at = if steps == 1 { last } else { last - last * i as f64 / (steps - 1) as f64 };
        let (low, part) = (at.floor(), at.fract());
        (1.0 - part) * known[low as usize] + part * known[at.ceil() as usize]
    });
    let nearest = |log: f64| {
        let distance = |i: &usize| (known[*i] - log).abs();
        let at = (0..KNOWN).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(0);
        (at * APART + APART - 1) as f32
    };
    let (mut sigmas, timesteps): (Vec<f32>, Vec<f32>) = logs.map(|log| (log.exp() as f32, nearest(log))).unzip();
    sigmas.push(0.0);
    (sigmas, Some(timesteps))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule() -> Schedule {
        Schedule::stable_diffusion(Prediction::Epsilon, false)
    }

    #[test]
    fn levels_fall_for_every_sampler_scheduler_and_number_of_steps() {
        for zero_snr in [false, true] {
            let schedule = Schedule::stable_diffusion(Prediction::Epsilon, zero_snr);
            let automatic = Sampler::ALL.map(|sampler| (sampler, Scheduler::Automatic));
            let chosen = Scheduler::ALL.map(|scheduler| (Sampler::Dpm2, scheduler));
            for (sampler, scheduler) in automatic.into_iter().chain(chosen) {
                let options = SamplingSettings { scheduler, ..SamplingSettings::default() };
                for steps in 1..=150 {
                    let plan = Plan::new(&schedule, sampler, &options, steps);
                    let sigmas = plan.sigmas();
                    let named = || format!("{sampler}, {scheduler}, {steps} steps: {sigmas:?}");
                    assert!(plan.steps() >= 1, "{}", named());
                    assert!(sigmas.iter().all(|sigma| sigma.is_finite() && *sigma >= 0.0), "{}", named());
                    assert!(sigmas.windows(2).all(|pair| pair[0] > pair[1]), "{}", named());
                }
            }
        }
    }

    #[test]
    fn ddim_counts_like_diffusers_and_automatic1111() {
        let schedule = schedule();
        let options = SamplingSettings::default();
        let levels = |steps| Plan::new(&schedule, Sampler::Ddim, &options, steps).sigmas().to_vec();
        let at = |timesteps: &[usize]| timesteps.iter().map(|&at| schedule.sigmas()[at]).collect::<Vec<_>>();
        assert_eq!(levels(4), at(&[751, 501, 251, 1, 0]));
        assert_eq!(levels(3), at(&[999, 667, 334, 1]));
        assert_eq!(levels(1), at(&[1, 0]));
    }

    #[test]
    fn strength_takes_the_last_steps() {
        let schedule = schedule();
        let options = SamplingSettings::default();
        let full = Plan::new(&schedule, Sampler::Euler, &options, 20);
        let part = |steps, strength, rule| {
            Plan::with_strength(&schedule, Sampler::Euler, &options, steps, strength, rule).sigmas().to_vec()
        };
        // AUTOMATIC1111: int(0.75 * 20) + 1 steps
        assert_eq!(part(20, 0.75, StrengthRule::Share), full.sigmas()[4..]);
        assert_eq!(part(20, 1.0, StrengthRule::Share), full.sigmas()[0..]);
        assert_eq!(part(20, 0.0, StrengthRule::Share), full.sigmas()[19..]);
        let fifty = Plan::new(&schedule, Sampler::Euler, &options, 50);
        assert_eq!(part(20, 0.4, StrengthRule::All), fifty.sigmas()[30..]);
        assert_eq!(part(20, 0.4, StrengthRule::ComfyUi), fifty.sigmas()[30..]);
        assert_eq!(part(20, 1.0, StrengthRule::ComfyUi), full.sigmas());
        assert_eq!(part(20, 0.0, StrengthRule::All), [0.0]);
        assert_eq!(part(20, 1e-9, StrengthRule::ComfyUi).len(), 21);
    }

    #[test]
    fn plans_can_be_split() {
        let (schedule, options) = (schedule(), SamplingSettings::default());
        let plan = || Plan::new(&schedule, Sampler::Lcm, &options, 8);
        let (whole, first, rest) = (plan(), plan().only(0..5), plan().only(5..8));
        assert_eq!((first.steps(), rest.steps()), (5, 3));
        assert_eq!(first.sigmas().last(), rest.sigmas().first());
        for sigma in &whole.sigmas()[5..8] {
            assert_eq!(rest.timestep(*sigma), whole.timestep(*sigma));
        }
    }
}
