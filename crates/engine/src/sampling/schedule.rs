use crate::Prediction;

/// How much noise belongs to which of a model's 1000 timesteps, and what the model predicts there.
///
/// Stable Diffusion 1.x, 2.x and XL share one table: betas from 0.00085 to 0.012, linear in their square roots.
pub struct Schedule {
    /// The noise level at each timestep, `sqrt((1 - signal) / signal)` with the part of the signal left, `alphas_cumprod`.
    sigmas: Vec<f32>,
    log_sigmas: Vec<f32>,
    prediction: Prediction,
    tuned: &'static [f64],
}

impl Schedule {
    pub(super) const STEPS: usize = 1000;
    /// Levels for ten steps that Sabour et al. 2024 ("Align Your Steps") found for Stable Diffusion 1.5 and XL.
    const TUNED: [f64; 11] = [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029];
    const TUNED_XL: [f64; 11] = [14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029];

    /// Stable Diffusion's table; `zero_snr` rescales it so that nothing of the signal is left at the last timestep
    /// (Lin et al. 2024), for models trained that way. That level would be infinite; it is 4519, as in AUTOMATIC1111 and
    /// ComfyUI.
    pub fn stable_diffusion(prediction: Prediction, zero_snr: bool) -> Self {
        let (first, last) = (0.00085_f64.sqrt(), 0.012_f64.sqrt());
        let mut product = 1.0;
        let mut signals: Vec<f64> = (0..Self::STEPS)
            .map(|i| {
                let root = first + (last - first) * i as f64 / (Self::STEPS - 1) as f64;
                product *= 1.0 - root * root;
                product
            })
            .collect();
        if zero_snr {
            const LAST: f64 = 4.897_345_189_085_343_5e-8;
            let (first, last) = (signals[0].sqrt(), signals[Self::STEPS - 1].sqrt());
            for signal in &mut signals {
                *signal = ((signal.sqrt() - last) * (first / (first - last))).powi(2);
            }
            signals[Self::STEPS - 1] = LAST;
        }
        let sigma = |&signal: &f64| ((1.0 - signal as f32) / signal as f32).sqrt();
        let sigmas: Vec<f32> = signals.iter().map(sigma).collect();
        let log_sigmas = sigmas.iter().map(|sigma| sigma.ln()).collect();
        Self { sigmas, log_sigmas, prediction, tuned: &Self::TUNED }
    }

    /// The same for Stable Diffusion XL, which differs only in its tuned levels.
    #[must_use]
    pub fn xl(self) -> Self {
        Self { tuned: &Self::TUNED_XL, ..self }
    }

    /// Levels for ten steps, found by experiment.
    pub(super) fn tuned(&self) -> &[f64] {
        self.tuned
    }

    pub(super) fn prediction(&self) -> Prediction {
        self.prediction
    }

    /// The noise level at each timestep.
    pub fn sigmas(&self) -> &[f32] {
        &self.sigmas
    }

    /// The noise level at a fractional timestep, interpolated in its logarithm.
    pub fn sigma(&self, timestep: f64) -> f32 {
        let timestep = timestep.clamp(0.0, (Self::STEPS - 1) as f64);
        let low = timestep.floor();
        let part = timestep - low;
        let (low, high) = (low as usize, timestep.ceil() as usize);
        let log = (1.0 - part) * f64::from(self.log_sigmas[low]) + part * f64::from(self.log_sigmas[high]);
        log.exp() as f32
    }

    /// The fractional timestep of a noise level: the inverse of the above, clamped to 0 to 999.
    pub fn timestep(&self, sigma: f32) -> f32 {
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

    #[test]
    fn timesteps_are_the_inverse_of_levels() {
        for zero_snr in [false, true] {
            let schedule = Schedule::stable_diffusion(Prediction::Velocity, zero_snr);
            for timestep in [0.0, 0.25, 1.0, 500.5, 998.9, 999.0] {
                let found = schedule.timestep(schedule.sigma(timestep));
                assert!((f64::from(found) - timestep).abs() < 0.01, "{timestep} came back as {found}");
            }
            assert_eq!(schedule.timestep(10_000.0), 999.0);
            assert_eq!(schedule.timestep(0.001), 0.0);
            assert!(schedule.sigmas().windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
