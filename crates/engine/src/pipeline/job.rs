use std::ops::ControlFlow;

use super::canvas::Canvas;
use super::guided::Kept;
use super::pass::Pass;
use super::progress::Progress;
use super::{HiresSettings, InpaintFill, Inputs, UpscalerName};
use crate::checkpoint::UNetInputs;
use crate::image_ops::{Filter, LatentUpscale, Mask, interpolate};
use crate::latent::{Latent, LatentSize};
use crate::prompt::PromptSteps;
use crate::sampling::{Plan, Schedule};
use crate::{Control, EngineError, GenerateSettings, Model, Phase, Picture, Step, StrengthRule, Upscaler};

/// One generation.
pub(super) struct Job<'a> {
    model: &'a Model,
    settings: &'a GenerateSettings,
    upscaler: Option<&'a Upscaler>,
    controls: &'a [Control<'a>],
    refiner: Option<&'a Model>,
    canvas: Option<Canvas>,
    second: Option<(&'a HiresSettings, GenerateSettings)>,
}

impl<'a> Job<'a> {
    pub(super) fn new(
        model: &'a Model,
        settings: &'a GenerateSettings,
        inputs: &Inputs<'a>,
    ) -> Result<Self, EngineError> {
        settings.check()?;
        inputs.check(settings)?;
        let image = settings.image.clone().unwrap_or_default();
        let size = (settings.width, settings.height);
        let prepared = |picture| Canvas::new(picture, inputs.mask, size, &image, settings.inpaint.as_ref());
        let from_picture = settings.image.is_some() || settings.inpaint.is_some();
        let canvas = inputs.init.filter(|_| from_picture).map(prepared).transpose()?;
        let second = settings.hires.as_ref().map(|hires| (hires, hires.second_pass(settings)));
        let Inputs { upscaler, controls, refiner, .. } = *inputs;
        Ok(Self { model, settings, upscaler, controls, refiner, canvas, second })
    }

    /// What is decoded at the end.
    pub(super) fn latent(&self, on_step: &mut dyn FnMut(&Step<'_>) -> ControlFlow<()>) -> Result<Latent, EngineError> {
        let schedule = self.model.schedule();
        let first = plan(&schedule, self.settings, self.strength());
        let second = self
            .second
            .as_ref()
            .map(|(hires, settings)| plan(&schedule, settings, Some((hires.strength, StrengthRule::All))));
        let steps = first.steps() + self.tiles() + second.as_ref().map_or(0, Plan::steps);
        let mut progress = Progress::new(steps, on_step);
        let latent = self.first_pass(&first, &mut progress)?;
        match (&self.second, &second) {
            (Some((hires, settings)), Some(plan)) => self.second_pass(hires, settings, plan, latent, &mut progress),
            _ => Ok(latent),
        }
    }

    fn strength(&self) -> Option<(f32, StrengthRule)> {
        let image = self.settings.image.clone().unwrap_or_default();
        self.canvas.as_ref().map(|_| (image.strength, image.strength_rule))
    }

    fn first_pass(&self, plan: &Plan<'_>, progress: &mut Progress<'_>) -> Result<Latent, EngineError> {
        let size = LatentSize::of(self.settings.width, self.settings.height);
        let (mut start, mut kept) = (None, None);
        if let Some(canvas) = &self.canvas {
            let mut latent = self.model.latent_of(&canvas.picture)?;
            if latent.size != size {
                latent = latent.resized(size, LatentUpscale::Bilinear);
            }
            if let Some(mask) = &canvas.mask {
                let open = openings(mask, size);
                self.fill(&mut latent, &open);
                kept = Some(Kept::new(&latent, &open));
            }
            start = Some(latent);
        }
        let beside = self.beside(size)?;
        let Self { model, refiner, settings, controls, .. } = *self;
        let (phase, prompt_steps) = (Phase::Draw, PromptSteps::first_pass(calls(settings)));
        Pass { model, refiner, phase, settings, plan, prompt_steps, start, kept, beside, controls }.run(progress)
    }

    /// The further channels of models that look at a picture while they draw, for a latent of `size`.
    fn beside(&self, size: LatentSize) -> Result<Vec<f32>, EngineError> {
        let pixels = (8 * size.height, 8 * size.width);
        let canvas = self.canvas.as_ref().filter(|canvas| canvas.size() == pixels);
        match self.model.info().inputs {
            UNetInputs::Latent => Ok(Vec::new()),
            UNetInputs::Inpaint => {
                let mut values = canvas.map_or_else(|| vec![0.0; 3 * pixels.0 * pixels.1], |c| c.picture.values());
                let mask = canvas.and_then(|canvas| canvas.mask.as_ref());
                let mask: Vec<f32> = match mask {
                    Some(mask) => mask.values.iter().map(|value| if *value >= 128 { 1.0 } else { 0.0 }).collect(),
                    None => vec![1.0; pixels.0 * pixels.1],
                };
                for (pixel, mask) in values.as_chunks_mut::<3>().0.iter_mut().zip(&mask) {
                    pixel.iter_mut().for_each(|value| *value *= 1.0 - mask);
                }
                let mut beside = interpolate(&mask, pixels, (size.height, size.width), LatentUpscale::Nearest);
                beside.extend(self.model.latent_of_values(values, pixels)?.values);
                Ok(beside)
            }
            UNetInputs::Edit => {
                let missing =
                    EngineError::MissingInput { setting: "an editing model", input: "a picture to start from" };
                let canvas = canvas.ok_or(missing)?;
                let scale = self.model.family().latent_scale() as f32;
                Ok(self.model.latent_of(&canvas.picture)?.values.iter().map(|value| value / scale).collect())
            }
        }
    }

    /// What the masked part holds before it is drawn.
    fn fill(&self, latent: &mut Latent, open: &[f32]) {
        let noise = match self.settings.inpaint.as_ref().map(|inpaint| inpaint.fill) {
            Some(InpaintFill::Noise) => {
                self.settings.sampling.noise.source.generator(self.settings.seed).normal(latent.size.elements())
            }
            Some(InpaintFill::Nothing) => vec![0.0; latent.size.elements()],
            _ => return,
        };
        let open = open.iter().cycle();
        for ((value, noise), open) in latent.values.iter_mut().zip(noise).zip(open) {
            *value = *value * (1.0 - open) + noise * open;
        }
    }

    fn second_pass(
        &self,
        hires: &HiresSettings,
        settings: &GenerateSettings,
        plan: &Plan<'_>,
        latent: Latent,
        progress: &mut Progress<'_>,
    ) -> Result<Latent, EngineError> {
        let target = hires.target((self.settings.width, self.settings.height));
        let enlarged = match &hires.upscaler {
            UpscalerName::Latent(how) => latent.resized(LatentSize::of(target.width, target.height), *how),
            other => {
                let picture = self.model.decode(&latent.values, latent.size)?;
                let picture = self.enlarged(&picture, (target.width, target.height), other, progress)?;
                self.model.latent_of(&picture)?
            }
        };
        let start = Some(enlarged.cut(target.cut.0 as usize, target.cut.1 as usize));
        let beside = self.beside(LatentSize::of(settings.width, settings.height))?;
        let prompt_steps = PromptSteps::second_pass(calls(self.settings), calls(settings));
        let Self { model, refiner, controls, .. } = *self;
        let (phase, kept) = (Phase::Refine, None);
        Pass { model, refiner, phase, settings, plan, prompt_steps, start, kept, beside, controls }.run(progress)
    }

    fn enlarged(
        &self,
        picture: &Picture,
        size: (u32, u32),
        how: &UpscalerName,
        progress: &mut Progress<'_>,
    ) -> Result<Picture, EngineError> {
        let upscaler = match (how, self.upscaler) {
            (UpscalerName::Model(_), Some(upscaler)) => upscaler,
            (UpscalerName::Plain(filter), _) => return Ok(picture.resized(size.0, size.1, *filter)),
            _ => return Ok(picture.resized(size.0, size.1, Filter::Lanczos)),
        };
        let on_tile = &mut |_, _| match progress.enlarged(picture) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        };
        upscaler.enlarge(picture, size, on_tile)
    }

    /// How many tiles are enlarged between the passes.
    fn tiles(&self) -> usize {
        let first = (self.settings.width, self.settings.height);
        let tiles = |hires: &HiresSettings| match (&hires.upscaler, self.upscaler) {
            (UpscalerName::Model(_), Some(upscaler)) => {
                let target = hires.target(first);
                upscaler.tiles_to(first, (target.width, target.height))
            }
            _ => 0,
        };
        self.second.as_ref().map_or(0, |(hires, _)| tiles(hires))
    }

    /// The result: what was drawn, put where it belongs.
    pub(super) fn finish(&self, drawn: Picture) -> Picture {
        match &self.canvas {
            Some(canvas) => canvas.finish(drawn),
            None => drawn,
        }
    }
}

/// How often the model is asked in a whole pass. Schedules count so with a strength too: AUTOMATIC1111 starts at the
/// first call there, and never comes to the last.
fn calls(settings: &GenerateSettings) -> usize {
    settings.steps as usize * settings.sampler.calls_per_step()
}

/// The steps of a pass; with a strength only the last of them.
fn plan<'a>(schedule: &'a Schedule, settings: &'a GenerateSettings, strength: Option<(f32, StrengthRule)>) -> Plan<'a> {
    let (sampler, sampling, steps) = (settings.sampler, &settings.sampling, settings.steps as usize);
    match strength {
        Some((strength, rule)) => Plan::with_strength(schedule, sampler, sampling, steps, strength, rule),
        None => Plan::new(schedule, sampler, sampling, steps),
    }
}

/// 1 where the model may draw and 0 elsewhere, for each position of a latent.
fn openings(mask: &Mask, size: LatentSize) -> Vec<f32> {
    let small = mask.resized(size.width as u32, size.height as u32, Filter::Bicubic);
    small.values.iter().map(|value| if *value >= 128 { 1.0 } else { 0.0 }).collect()
}
