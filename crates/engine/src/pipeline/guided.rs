use candle_core::{Device, Tensor};

use super::progress::Progress;
use crate::guidance::Guidance;
use crate::latent::{Latent, LatentSize};
use crate::sampling::Denoise;
use crate::vae::LATENT_CHANNELS;
use crate::{Controls, EngineError, Model, Phase};

/// A model guided by prompts: what the sampler asks, answered.
pub(super) struct Guided<'a, 'b> {
    pub(super) model: &'a Model,
    pub(super) guidance: Guidance,
    pub(super) refiner: Option<Refiner<'a>>,
    /// How often a model was asked.
    pub(super) call: usize,
    pub(super) size: LatentSize,
    pub(super) beside: Vec<f32>,
    pub(super) controls: Controls<'a>,
    pub(super) kept: Option<Kept>,
    pub(super) phase: Phase,
    pub(super) progress: &'a mut Progress<'b>,
}

impl Denoise for Guided<'_, '_> {
    fn predict(&mut self, latent: &[f32], timestep: f32) -> Result<Vec<f32>, EngineError> {
        if let Some(refiner) = self.refiner.take_if(|refiner| self.call >= refiner.from) {
            // ControlNets belong to the first model
            (self.model, self.guidance, self.controls) = (refiner.model, refiner.guidance, Controls::default());
        }
        self.call += 1;
        let (model, size, beside, controls) = (self.model, self.size, &self.beside, &self.controls);
        self.guidance.predict(&mut |asked| {
            let mut seen = Vec::new();
            for blind in asked.blind() {
                seen.extend_from_slice(latent);
                seen.extend(beside.iter().map(|value| if blind { 0.0 } else { *value }));
            }
            let channels = seen.len() / asked.count().max(1) / size.positions();
            let latents = Tensor::from_vec(seen, (asked.count(), channels, size.height, size.width), &Device::Cpu)?;
            let label = asked.label(model, size.width as u32 * 8, size.height as u32 * 8)?;
            let (context, label) = (asked.context()?, label.as_ref());
            let found = model.predict_noise_controlled(&latents, timestep, &context, label, controls)?;
            Ok(found.flatten_all()?.to_vec1()?)
        })
    }

    fn after(&mut self, denoised: &mut [f32], _sigma: f32) {
        if let Some(kept) = &self.kept {
            kept.put_back(denoised);
        }
    }

    fn report(&mut self, _index: usize, _steps: usize, denoised: &[f32]) -> Result<(), EngineError> {
        self.progress.sampled(self.phase, self.model, denoised, self.size)
    }
}

/// Another model that is asked from a call on.
pub(super) struct Refiner<'a> {
    pub(super) from: usize,
    pub(super) model: &'a Model,
    pub(super) guidance: Guidance,
}

/// The part of a latent that must stay: whatever the model sees there, it is given this.
pub(super) struct Kept {
    latent: Vec<f32>,
    /// 1 where the model may draw, 0 where the latent stays.
    open: Vec<f32>,
}

impl Kept {
    /// `open` has one number for each position.
    pub(super) fn new(latent: &Latent, open: &[f32]) -> Self {
        Self { latent: latent.values.clone(), open: open.repeat(LATENT_CHANNELS) }
    }

    pub(super) fn put_back(&self, latent: &mut [f32]) {
        for ((value, kept), open) in latent.iter_mut().zip(&self.latent).zip(&self.open) {
            *value = *value * open + kept * (1.0 - open);
        }
    }
}
