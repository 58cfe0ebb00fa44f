//! Every sampler and every scheduler against k-diffusion, diffusers and the papers, around a denoiser given by a formula.

use std::sync::LazyLock;

use candle_core::{Device, Tensor};
use engine::sampling::{Denoise, ImageNoise, Plan, Schedule, sample};
use engine::{EngineError, Prediction, Sampler, SamplingSettings, Scheduler};
use serde::Deserialize;

use crate::support::{Golden, assert_close, golden_path, values};

static GOLDEN: LazyLock<Golden> = LazyLock::new(|| Golden::load("samplers"));

/// The seed of all runs.
const SEED: u64 = 42;
const SIZE: [usize; 3] = [4, 4, 4];

/// One run of `scripts/reference/sampling.py`.
#[derive(Deserialize)]
struct Case {
    what: String,
    sampler: Sampler,
    steps: usize,
    settings: SamplingSettings,
    prediction: Prediction,
    zero_snr: bool,
    /// Steps left out at the beginning, for a picture instead of noise alone.
    skip: usize,
}

fn cases() -> Vec<Case> {
    let text = fs_err::read_to_string(golden_path("samplers.json")).expect("the list of runs");
    serde_json::from_str(&text).expect("runs")
}

/// What `scripts/reference/toy.py` has: elements that are `+a` or `-a`, plus a little noise.
struct Toy<'a> {
    schedule: &'a Schedule,
    prediction: Prediction,
    stop_after: usize,
    reports: Vec<(usize, usize)>,
}

fn toy(schedule: &Schedule, prediction: Prediction) -> Toy<'_> {
    Toy { schedule, prediction, stop_after: usize::MAX, reports: Vec::new() }
}

fn pictures() -> Vec<f32> {
    (1..=64).map(|i| 1.5 * (i as f32).sin()).collect()
}

impl Denoise for Toy<'_> {
    fn predict(&mut self, latent: &[f32], timestep: f32) -> Result<Vec<f32>, EngineError> {
        let sigma = f64::from(self.schedule.sigma(timestep.into()));
        let variance = 0.01 + sigma * sigma;
        let predict = |(x, a): (&f32, &f32)| {
            let (x, a) = (f64::from(*x) * (1.0 + sigma * sigma).sqrt(), f64::from(*a));
            let seen = (0.01 * x + sigma * sigma * a * (a * x / variance).tanh()) / variance;
            let noise = (x - seen) / sigma;
            match self.prediction {
                Prediction::Epsilon => noise as f32,
                Prediction::Velocity => ((noise - sigma * seen) / (1.0 + sigma * sigma).sqrt()) as f32,
            }
        };
        Ok(latent.iter().zip(&pictures()).map(predict).collect())
    }

    fn report(&mut self, index: usize, steps: usize, _denoised: &[f32]) -> Result<(), EngineError> {
        self.reports.push((index, steps));
        if self.reports.len() > self.stop_after { Err(EngineError::Cancelled) } else { Ok(()) }
    }
}

fn run(case: &Case) -> Vec<f32> {
    let schedule = Schedule::stable_diffusion(case.prediction, case.zero_snr);
    let mut plan = Plan::new(&schedule, case.sampler, &case.settings, case.steps);
    let picture = (case.skip > 0).then(pictures);
    if case.skip > 0 {
        let steps = plan.steps();
        plan = plan.only(case.skip..steps);
    }
    let mut noise = ImageNoise::new(&case.settings.noise, SEED, SIZE);
    let start = plan.start(&noise.first(), picture.as_deref());
    sample(&plan, start, &mut noise, &mut toy(&schedule, case.prediction)).expect("a latent")
}

#[test]
fn samplers_equal_their_references() {
    let cases = cases();
    for case in &cases {
        let found = Tensor::from_vec(run(case), &SIZE[..], &Device::Cpu).expect("a latent");
        // a level one bit off changes the noise that belongs to it
        let bound = if case.what.contains("SDE") { 5e-3 } else { 1e-4 };
        assert_close(&format!("sampler {}", case.what), &found, GOLDEN.get(&case.what), bound);
    }
    for sampler in Sampler::ALL {
        assert!(cases.iter().any(|case| case.sampler == sampler), "{sampler} has a reference");
    }
}

#[test]
fn levels_equal_their_references() {
    for zero_snr in [false, true] {
        let schedule = Schedule::stable_diffusion(Prediction::Epsilon, zero_snr);
        let python = if zero_snr { "True" } else { "False" };
        for scheduler in Scheduler::ALL {
            // its own levels have its samplers' references; the other is the same as another one
            if matches!(scheduler, Scheduler::Automatic | Scheduler::Polyexponential) {
                continue;
            }
            for steps in [1, 2, 5, 8, 10, 11, 20, 31] {
                let options = SamplingSettings { scheduler, ..SamplingSettings::default() };
                let plan = Plan::new(&schedule, Sampler::Euler, &options, steps);
                check_levels(&format!("levels.{scheduler}.{steps}.{python}"), plan.sigmas());
            }
        }
    }
    let schedule = Schedule::stable_diffusion(Prediction::Epsilon, false).xl();
    let options = SamplingSettings { scheduler: Scheduler::AlignYourSteps, ..SamplingSettings::default() };
    check_levels("levels.xl.20", Plan::new(&schedule, Sampler::Euler, &options, 20).sigmas());
}

/// Every level within float32's rounding of the reference's.
fn check_levels(name: &str, found: &[f32]) {
    let expected = GOLDEN.get(name);
    let found = Tensor::from_slice(found, found.len(), &Device::Cpu).expect("levels");
    assert_close(&format!("scheduler {name}"), &found, expected, 1e-5);
    for (found, expected) in values(&found).iter().zip(values(expected)) {
        assert!((found - expected).abs() <= 2e-5 * expected.abs(), "{name}: {found} is not {expected}");
    }
}

#[test]
fn samplers_report_every_step_and_stop_between_any_two() {
    let schedule = Schedule::stable_diffusion(Prediction::Epsilon, false);
    let options = SamplingSettings::default();
    for sampler in Sampler::ALL {
        for steps in [1, 2, 3, 7, 24] {
            let plan = Plan::new(&schedule, sampler, &options, steps);
            let go = |stop_after: usize| {
                let mut noise = ImageNoise::new(&options.noise, SEED, SIZE);
                let start = plan.start(&noise.first(), None);
                let mut model = Toy { stop_after, ..toy(&schedule, Prediction::Epsilon) };
                (sample(&plan, start, &mut noise, &mut model), model.reports)
            };
            let (latent, reports) = go(usize::MAX);
            let latent = latent.expect("a latent");
            assert!(latent.iter().all(|value| value.is_finite()), "{sampler}, {steps} steps");
            let count = reports.last().map_or(0, |(_, steps)| *steps);
            assert_eq!(reports, (0..count).map(|i| (i, count)).collect::<Vec<_>>(), "{sampler}, {steps} steps");
            assert!(count >= steps, "{sampler}, {steps} steps: {count} reports");
            assert_eq!(go(usize::MAX).0.ok().as_ref(), Some(&latent), "{sampler} is deterministic");
            for stop_after in 0..count {
                let (result, reports) = go(stop_after);
                assert!(matches!(result, Err(EngineError::Cancelled)), "{sampler} stops after {stop_after}");
                assert_eq!(reports.len(), stop_after + 1);
            }
        }
    }
}

#[test]
fn a_breakdown_is_noticed_at_its_step() {
    struct Broken(usize);
    impl Denoise for Broken {
        fn predict(&mut self, latent: &[f32], _: f32) -> Result<Vec<f32>, EngineError> {
            self.0 = self.0.saturating_sub(1);
            Ok(vec![if self.0 == 0 { f32::NAN } else { 0.1 }; latent.len()])
        }

        fn report(&mut self, _: usize, _: usize, _: &[f32]) -> Result<(), EngineError> {
            Ok(())
        }
    }
    let schedule = Schedule::stable_diffusion(Prediction::Epsilon, false);
    let options = SamplingSettings::default();
    for sampler in Sampler::ALL {
        for calls in 1..=5 {
            let plan = Plan::new(&schedule, sampler, &options, 5);
            let mut noise = ImageNoise::new(&options.noise, SEED, SIZE);
            let start = plan.start(&noise.first(), None);
            let result = sample(&plan, start, &mut noise, &mut Broken(calls));
            match result {
                Err(EngineError::NotANumber { step }) => assert!((1..=5).contains(&step), "{sampler}: {step}"),
                other => panic!("{sampler}, call {calls}: {other:?}"),
            }
        }
    }
}

#[test]
fn latents_can_be_blended_before_and_after_each_look() {
    struct Masked<'a>(Toy<'a>, Vec<f32>);
    impl Denoise for Masked<'_> {
        fn predict(&mut self, latent: &[f32], timestep: f32) -> Result<Vec<f32>, EngineError> {
            self.0.predict(latent, timestep)
        }

        fn before(&mut self, latent: &mut [f32], sigma: f32) {
            self.1.push(sigma);
            latent[0] = 3.0;
        }

        fn after(&mut self, denoised: &mut [f32], sigma: f32) {
            assert_eq!(self.1.last(), Some(&sigma));
            denoised[1] = 5.0;
        }

        fn report(&mut self, _: usize, _: usize, denoised: &[f32]) -> Result<(), EngineError> {
            assert_eq!(denoised[1], 5.0);
            Ok(())
        }
    }
    let schedule = Schedule::stable_diffusion(Prediction::Epsilon, false);
    let options = SamplingSettings::default();
    for sampler in [Sampler::Euler, Sampler::Heun, Sampler::DpmPp2m, Sampler::DpmPp3mSde] {
        let plan = Plan::new(&schedule, sampler, &options, 6);
        let mut noise = ImageNoise::new(&options.noise, SEED, SIZE);
        let start = plan.start(&noise.first(), None);
        let mut model = Masked(toy(&schedule, Prediction::Epsilon), Vec::new());
        let latent = sample(&plan, start, &mut noise, &mut model).expect("a latent");
        assert!((latent[1] - 5.0).abs() < 1e-4, "{sampler}: {}", latent[1]);
        assert_eq!(model.1.first(), plan.sigmas().first());
    }
}
