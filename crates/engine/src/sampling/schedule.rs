/// How much noise belongs to which timestep in Stable Diffusion 1.x: 1000 steps, betas from 0.00085 to 0.012, linear
/// in their square roots.
pub(crate) struct Schedule {
    /// The part of the signal left at each timestep, `alphas_cumprod`.
    signal: Vec<f32>,
    /// `ln(sigma)` at each timestep, with `sigma = sqrt((1 - signal) / signal)`.
    log_sigmas: Vec<f32>,
}

impl Schedule {
    const STEPS: usize = 1000;

    pub(crate) fn stable_diffusion() -> Self {
        let (first, last) = (0.00085_f64.sqrt(), 0.012_f64.sqrt());
        let mut product = 1.0;
        let signal: Vec<f32> = (0..Self::STEPS)
            .map(|i| {
                let root = first + (last - first) * i as f64 / (Self::STEPS - 1) as f64;
                product *= 1.0 - root * root;
                product as f32
            })
            .collect();
        let log_sigmas = signal.iter().map(|&signal| ((1.0 - signal) / signal).sqrt().ln()).collect();
        Self { signal, log_sigmas }
    }

    /// The part of the signal left at `timestep`.
    pub(super) fn signal(&self, timestep: usize) -> f32 {
        self.signal[timestep]
    }

    /// Noise levels for `steps` steps at timesteps evenly spread from 999 to 0, then 0 (k-diffusion's `get_sigmas`).
    pub(crate) fn sigmas(&self, steps: usize) -> Vec<f32> {
        let last = (Self::STEPS - 1) as f64;
        let timesteps = (0..steps).map(|i| if steps == 1 { last } else { last - last * i as f64 / (steps - 1) as f64 });
        timesteps.map(|timestep| self.sigma(timestep)).chain([0.0]).collect()
    }

    /// Noise levels for `steps` steps on the schedule of Karras et al. 2022 (rho = 7) between the model's smallest and
    /// largest, then 0.
    pub(crate) fn karras_sigmas(&self, steps: usize) -> Vec<f32> {
        const RHO: f64 = 7.0;
        let root = |timestep: usize| f64::from(self.log_sigmas[timestep]).exp().powf(1.0 / RHO);
        let (largest, smallest) = (root(Self::STEPS - 1), root(0));
        let ramp = (0..steps).map(|i| if steps == 1 { 0.0 } else { i as f64 / (steps - 1) as f64 });
        ramp.map(|at| (largest + at * (smallest - largest)).powf(RHO) as f32).chain([0.0]).collect()
    }

    /// The noise level at a fractional timestep, interpolated in its logarithm.
    fn sigma(&self, timestep: f64) -> f32 {
        let low = timestep.floor();
        let part = timestep - low;
        let (low, high) = (low as usize, timestep.ceil() as usize);
        let log = (1.0 - part) * f64::from(self.log_sigmas[low]) + part * f64::from(self.log_sigmas[high]);
        log.exp() as f32
    }

    /// The fractional timestep of a noise level: the inverse of the above, clamped to 0 to 999.
    pub(super) fn timestep(&self, sigma: f32) -> f32 {
        let log = f64::from(sigma).ln();
        let above = self.log_sigmas.partition_point(|&at| f64::from(at) <= log).clamp(1, Self::STEPS - 1);
        let (low, high) = (f64::from(self.log_sigmas[above - 1]), f64::from(self.log_sigmas[above]));
        let part = ((log - low) / (high - low)).clamp(0.0, 1.0);
        ((above - 1) as f64 + part) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of k-diffusion's `get_sigmas(5)` and `get_sigmas_karras(5, ..)` for Stable Diffusion 1.x.
    #[test]
    fn levels_equal_k_diffusion() {
        let schedule = Schedule::stable_diffusion();
        close(&schedule.sigmas(5), &[14.614_643, 4.086_081, 1.615_580_3, 0.695_149_6, 0.029_167_537, 0.0]);
        close(&schedule.karras_sigmas(5), &[14.614_643, 4.796_544, 1.274_105, 0.247_951_75, 0.029_167_539, 0.0]);
        assert_eq!(schedule.sigmas(1).len(), 2);
        assert_eq!(schedule.karras_sigmas(1), schedule.sigmas(1));
    }

    #[test]
    fn timesteps_are_the_inverse_of_levels() {
        let schedule = Schedule::stable_diffusion();
        for timestep in [0.0, 0.25, 1.0, 500.5, 998.9, 999.0] {
            let found = schedule.timestep(schedule.sigma(timestep));
            assert!((f64::from(found) - timestep).abs() < 0.01, "{timestep} came back as {found}");
        }
        assert_eq!(schedule.timestep(100.0), 999.0);
        assert_eq!(schedule.timestep(0.001), 0.0);
    }

    fn close(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        for (f, e) in found.iter().zip(expected) {
            assert!((f - e).abs() <= 1e-6 * e.abs(), "{found:?} is not {expected:?}");
        }
    }
}
