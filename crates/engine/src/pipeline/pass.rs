use super::RefinerSettings;
use super::guided::{Guided, Kept, Refiner};
use super::progress::Progress;
use crate::latent::{Latent, LatentSize};
use crate::prompt::PromptSteps;
use crate::sampling::{ImageNoise, Plan, sample};
use crate::vae::LATENT_CHANNELS;
use crate::{Control, Controls, EngineError, GenerateSettings, Model, Phase};

/// One walk from noise to latent.
pub(super) struct Pass<'a> {
    pub(super) model: &'a Model,
    /// The model that draws the last steps, if the settings say from where on.
    pub(super) refiner: Option<&'a Model>,
    pub(super) phase: Phase,
    /// Prompts, seed, CFG scale and size count here.
    pub(super) settings: &'a GenerateSettings,
    pub(super) plan: &'a Plan<'a>,
    /// What the prompts' schedules count.
    pub(super) prompt_steps: PromptSteps,
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
        let refiner = match (&settings.refiner, self.refiner) {
            (Some(RefinerSettings { switch_at, .. }), Some(model)) => {
                let calls = self.plan.steps() * settings.sampler.calls_per_step();
                let from = (switch_at * calls as f32).ceil() as usize;
                Some(Refiner { from, model, guidance: model.guidance(settings, self.prompt_steps, from)? })
            }
            _ => None,
        };
        let guidance = self.model.guidance(settings, self.prompt_steps, 0)?;
        let mut guided = Guided {
            model: self.model,
            guidance,
            refiner,
            call: 0,
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
