use candle_core::Tensor;

use super::guided::{Guided, Kept};
use super::progress::Progress;
use crate::checkpoint::UNetInputs;
use crate::latent::{Latent, LatentSize};
use crate::sampling::{ImageNoise, Plan, needs_negative, sample};
use crate::vae::LATENT_CHANNELS;
use crate::{Control, Controls, EngineError, GenerateSettings, Model, Phase};

/// One walk from noise to latent.
pub(super) struct Pass<'a> {
    pub(super) model: &'a Model,
    pub(super) phase: Phase,
    /// Prompts, seed, CFG scale and size count here.
    pub(super) settings: &'a GenerateSettings,
    pub(super) plan: &'a Plan<'a>,
    /// The picture to start from.
    pub(super) start: Option<Latent>,
    /// What of it must stay.
    pub(super) kept: Option<Kept>,
    /// Further channels for models that look at a picture.
    pub(super) beside: Vec<f32>,
    /// ControlNets with their pictures.
    pub(super) controls: &'a [Control<'a>],
}

impl Pass<'_> {
    pub(super) fn run(self, progress: &mut Progress<'_>) -> Result<Latent, EngineError> {
        let settings = self.settings;
        let size = LatentSize::of(settings.width, settings.height);
        let mut noises =
            ImageNoise::new(&settings.sampling.noise, settings.seed, [LATENT_CHANNELS, size.height, size.width]);
        let mut noise = noises.first();
        if let Some(image) = &settings.image {
            noise.iter_mut().for_each(|value| *value *= image.noise_multiplier);
        }
        let mut start = self.start.map(|latent| latent.values);
        let edits = self.model.info().inputs == UNetInputs::Edit;
        let mut prompts = vec![settings.prompt.as_str()];
        if needs_negative(&[1.0], settings.cfg_scale) || edits {
            prompts.push(&settings.negative_prompt);
        }
        if edits {
            prompts.push(&settings.negative_prompt); // without the picture
        }
        let (context, pooled) = self.model.encode(&prompts, 1)?;
        let mut labels = Vec::new();
        for (i, negative) in [false, true, true].into_iter().take(prompts.len()).enumerate() {
            let pooled = pooled.as_ref().map(|pooled| pooled.narrow(0, i, 1)).transpose()?;
            let sizes = self.model.sizes(settings.width, settings.height, negative);
            labels.extend(self.model.label(pooled.as_ref(), &sizes)?);
        }
        let mut guided = Guided {
            model: self.model,
            context,
            label: if labels.is_empty() { None } else { Some(Tensor::cat(&labels, 0)?) },
            cfg_scale: settings.cfg_scale,
            cfg_rescale: settings.sampling.cfg_rescale,
            image_cfg_scale: settings.image.clone().unwrap_or_default().image_cfg_scale,
            size,
            beside: self.beside,
            controls: Controls::new(self.model, self.controls, settings.width, settings.height)?,
            kept: self.kept,
            phase: self.phase,
            progress,
        };
        let start = self.plan.start(&noise, start.take().as_deref());
        let mut values = sample(self.plan, start, &mut noises, &mut guided)?;
        if let Some(kept) = &guided.kept {
            kept.put_back(&mut values);
        }
        Ok(Latent { values, size })
    }
}
