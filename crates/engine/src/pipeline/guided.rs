use candle_core::{Device, Tensor};

use super::progress::Progress;
use crate::latent::{Latent, LatentSize};
use crate::sampling::{Denoise, guide};
use crate::vae::LATENT_CHANNELS;
use crate::{Controls, EngineError, Model, Phase};

/// A model guided by prompts: what the sampler asks, answered.
pub(super) struct Guided<'a, 'b> {
    pub(super) model: &'a Model,
    pub(super) context: Tensor,
    pub(super) label: Option<Tensor>,
    pub(super) cfg_scale: f32,
    pub(super) cfg_rescale: f32,
    pub(super) image_cfg_scale: f32,
    pub(super) size: LatentSize,
    pub(super) beside: Vec<f32>,
    pub(super) controls: Controls<'a>,
    pub(super) kept: Option<Kept>,
    pub(super) phase: Phase,
    pub(super) progress: &'a mut Progress<'b>,
}

impl Denoise for Guided<'_, '_> {
    fn predict(&mut self, latent: &[f32], timestep: f32) -> Result<Vec<f32>, EngineError> {
        let batch = self.context.dims()[0];
        let mut seen = Vec::new();
        for row in 0..batch {
            seen.extend_from_slice(latent);
            let blind = row == 2;
            seen.extend(self.beside.iter().map(|value| if blind { 0.0 } else { *value }));
        }
        let channels = seen.len() / batch / self.size.positions();
        let shape = (batch, channels, self.size.height, self.size.width);
        let latents = Tensor::from_vec(seen, shape, &Device::Cpu)?;
        let (context, label) = (&self.context, self.label.as_ref());
        let found = self.model.predict_noise_controlled(&latents, timestep, context, label, &self.controls)?;
        let found = found.flatten_all()?.to_vec1::<f32>()?;
        let (scale, of_image) = (self.cfg_scale, self.image_cfg_scale);
        Ok(match found.chunks_exact(latent.len()).collect::<Vec<_>>().as_slice() {
            [with, without] => guide(&[(1.0, with)], Some(without), scale, self.cfg_rescale),
            [with, without, blind] => {
                let together = with.iter().zip(*without).zip(*blind);
                let mix = |((with, without), blind)| blind + scale * (with - without) + of_image * (without - blind);
                together.map(mix).collect()
            }
            _ => found,
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
