use super::Schedule;
use crate::{SamplingSettings, Scheduler};

/// `steps` falling noise levels and the one to end at: 0 but for [`Scheduler::KlOptimal`].
///
/// Formulas and their rounding are those of k-diffusion and AUTOMATIC1111, where ComfyUI has the same unless said
/// otherwise. [`Scheduler::DdimUniform`] and [`Scheduler::BetaTimesteps`] may give more or fewer levels.
pub(super) fn sigmas(scheduler: Scheduler, schedule: &Schedule, options: &SamplingSettings, steps: usize) -> Vec<f32> {
    let steps = steps.max(1);
    let table = schedule.sigmas();
    let (first, last) = (table.first().copied().unwrap_or(0.03), table.last().copied().unwrap_or(14.6));
    let largest = f64::from(options.sigma_max.unwrap_or(last));
    // a range the wrong way round has no levels in between
    let smallest = f64::from(options.sigma_min.unwrap_or(first)).min(0.999 * largest);
    let timestep = |sigma: f64| f64::from(schedule.timestep(sigma as f32));
    let mut levels: Vec<f32> = match scheduler {
        Scheduler::Automatic | Scheduler::Normal => {
            let (from, to) = (timestep(largest), timestep(smallest));
            ramp(steps).map(|at| schedule.sigma(between(from, to, at))).collect()
        }
        Scheduler::Karras => karras(largest, smallest, options.rho.unwrap_or(7.0).into(), steps),
        Scheduler::Exponential | Scheduler::Polyexponential => {
            let polynomial = scheduler == Scheduler::Polyexponential;
            let rho = if polynomial { f64::from(options.rho.unwrap_or(1.0)) } else { 1.0 };
            if rho == 1.0 {
                let logs = linspace(largest.ln() as f32, smallest.ln() as f32, steps);
                logs.map(|log| f64::from(log).exp() as f32).collect()
            } else {
                ramp(steps).map(|at| between(smallest.ln(), largest.ln(), (1.0 - at).powf(rho)).exp() as f32).collect()
            }
        }
        Scheduler::SgmUniform => {
            let (from, to) = (timestep(largest), timestep(smallest));
            (0..steps).map(|i| schedule.sigma(between(from, to, i as f64 / steps as f64))).collect()
        }
        Scheduler::Simple => {
            let apart = Schedule::STEPS as f64 / steps as f64;
            (0..steps).map(|i| table[Schedule::STEPS - 1 - (i as f64 * apart) as usize]).collect()
        }
        Scheduler::DdimUniform => {
            let levels = table.iter().skip(1).step_by((Schedule::STEPS / steps).max(1));
            levels.rev().copied().collect()
        }
        Scheduler::Beta => {
            let levels = ramp(steps).map(|at| between(smallest, largest, beta::quantile(1.0 - at)) as f32);
            levels.collect()
        }
        Scheduler::BetaTimesteps => {
            let timesteps = (0..steps).map(|i| {
                let at = beta::quantile(1.0 - i as f64 / steps as f64);
                (at * (Schedule::STEPS - 1) as f64).round_ties_even() as usize
            });
            let mut timesteps: Vec<usize> = timesteps.collect();
            timesteps.dedup();
            timesteps.iter().map(|&timestep| table[timestep]).collect()
        }
        Scheduler::AlignYourSteps => {
            let logs: Vec<f64> = schedule.tuned().iter().map(|level| level.ln()).collect();
            let last = (logs.len() - 1) as f64;
            let level = |at: f64| {
                let (low, high) = ((at * last).floor(), (at * last).ceil());
                between(logs[low as usize], logs[high as usize], at * last - low).exp() as f32
            };
            ramp(steps).map(level).collect()
        }
        Scheduler::KlOptimal => {
            let (from, to) = (largest.atan() as f32, smallest.atan() as f32);
            let shares = (0..steps).map(|i| i as f32 / steps as f32);
            shares.map(|share| f64::from(share * to + (1.0 - share) * from).tan() as f32).collect()
        }
    };
    levels.push(if scheduler == Scheduler::KlOptimal { smallest as f32 } else { 0.0 });
    levels.dedup();
    levels
}

/// `steps` levels of Karras et al. 2022, equation 5, without the 0 at their end.
pub(super) fn karras(largest: f64, smallest: f64, rho: f64, steps: usize) -> Vec<f32> {
    let (from, to) = (largest.powf(1.0 / rho), smallest.powf(1.0 / rho));
    let roots = linspace(0.0, 1.0, steps).map(|at| at * (to - from) as f32 + from as f32);
    roots.map(|root| f64::from(root).powf(rho) as f32).collect()
}

/// `torch.linspace` in float32: the noise of SDE samplers belongs to levels with exactly its rounding.
fn linspace(from: f32, to: f32, count: usize) -> impl Iterator<Item = f32> {
    let step = if count > 1 { (to - from) / (count - 1) as f32 } else { 0.0 };
    (0..count).map(move |i| {
        if i < count / 2 || count == 1 { from + step * i as f32 } else { to - step * (count - 1 - i) as f32 }
    })
}

/// From 0 at the first level to 1 at the last; a single one is the first.
fn ramp(count: usize) -> impl Iterator<Item = f64> {
    (0..count).map(move |i| if count == 1 { 0.0 } else { i as f64 / (count - 1) as f64 })
}

fn between(from: f64, to: f64, at: f64) -> f64 {
    from + at * (to - from)
}

/// The beta distribution with both parameters 0.6.
mod beta {
    /// Both parameters.
    const SHAPE: f64 = 0.6;

    /// The value below which a share `p` of the distribution lies.
    pub(super) fn quantile(p: f64) -> f64 {
        if p > 0.5 {
            return 1.0 - quantile(1.0 - p);
        }
        let (mut low, mut high) = (0.0_f64, 0.5_f64);
        for _ in 0..200 {
            let middle = 0.5 * (low + high);
            if middle <= low || middle >= high {
                break;
            }
            if share_below(middle) < p { low = middle } else { high = middle }
        }
        if p <= 0.0 { 0.0 } else { 0.5 * (low + high) }
    }

    /// The regularized incomplete beta function at `x` of 0 to 0.5, by its power series
    /// `x^a / a * Σ (1 - a)(2 - a)…(n - a) / n! * a / (a + n) * x^n`.
    fn share_below(x: f64) -> f64 {
        // B(0.6, 0.6) = gamma(0.6)² / gamma(1.2)
        const WHOLE: f64 = 2.415_344_208_002_472_3;
        let (mut term, mut total) = (1.0, 1.0 / SHAPE);
        for n in 1..100 {
            let n = f64::from(n);
            term *= (n - SHAPE) / n * x;
            total += term / (SHAPE + n);
        }
        x.powf(SHAPE) * total / WHOLE
    }
}
