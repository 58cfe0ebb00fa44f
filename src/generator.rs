//! The engine behind the server: `server::Generate` over `engine::Model`.

use crate::failure::Failure;
use crate::models::{self, ModelChoice};
use engine::{EngineError, GenerateSettings, Model, Sampler, SamplingSettings, Scheduler};
use server::{GenerateError, GenerateRequest, Generated, ModelCard, Progress};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

/// Draws with the models of one home; keeps the last one loaded.
pub(crate) struct Generator {
    cards: Vec<ModelCard>,
    choices: Vec<ModelChoice>,
    loaded: Mutex<Option<(String, Arc<Model>)>>,
}

impl Generator {
    /// Loads the default model, so that the first picture does not wait for it; the others are loaded when asked for.
    pub(crate) fn new(choices: Vec<ModelChoice>) -> Result<Self, Failure> {
        let default = choices.iter().find(|choice| choice.is_default);
        let loaded = match default {
            Some(choice) => Some((choice.id.clone(), Arc::new(choice.load()?))),
            None => None,
        };
        let model_of =
            |choice: &ModelChoice| loaded.as_ref().filter(|(id, _)| *id == choice.id).map(|(_, model)| &**model);
        let cards = choices.iter().map(|choice| card(choice, model_of(choice))).collect();
        Ok(Self { cards, choices, loaded: Mutex::new(loaded) })
    }

    fn model(&self, id: &str) -> Result<(ModelChoice, Arc<Model>), GenerateError> {
        let unknown = || GenerateError::Failed {
            message: format!("there is no model `{id}`"),
            hint: Some("choose a model from the list".to_owned()),
        };
        let choice = self.choices.iter().find(|choice| choice.id == id).ok_or_else(unknown)?;
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((name, model)) = &*loaded
            && name == id
        {
            return Ok((choice.clone(), Arc::clone(model)));
        }
        *loaded = None; // frees the memory before the next one takes it
        let model = Arc::new(choice.load().map_err(|failure| GenerateError::Failed {
            message: failure.message().to_owned(),
            hint: failure.hint().map(str::to_owned),
        })?);
        *loaded = Some((id.to_owned(), Arc::clone(&model)));
        Ok((choice.clone(), model))
    }
}

impl server::Generate for Generator {
    fn models(&self) -> Vec<ModelCard> {
        self.cards.clone()
    }

    fn samplers(&self) -> Vec<String> {
        Sampler::ALL.iter().map(ToString::to_string).collect()
    }

    fn schedulers(&self) -> Vec<String> {
        Scheduler::ALL.iter().map(ToString::to_string).collect()
    }

    fn read_sampler(&self, name: &str) -> Option<(String, Option<String>)> {
        let (sampler, scheduler) = Sampler::with_scheduler(name).ok()?;
        Some((sampler.to_string(), chosen(scheduler)))
    }

    fn read_scheduler(&self, name: &str) -> Option<String> {
        name.parse::<Scheduler>().ok().map(|scheduler| scheduler.to_string())
    }

    fn generate(
        &self,
        request: &GenerateRequest,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Generated, GenerateError> {
        let (choice, model) = self.model(&request.model)?;
        let settings = settings(request)?;
        let used = choice.library.prepare(&model, &settings).map_err(failed)?;
        let picture = model
            .generate(&settings, &mut |step| {
                let wanted = request.previews.wanted().then(|| step.preview()).flatten();
                let preview_png = wanted.and_then(|picture| picture.to_png(&[]).ok());
                progress(Progress { step: step.step, steps: step.steps, preview_png })
            })
            .map_err(failed)?;
        let remarks = used.remarks.clone();
        let infotext = choice.infotext(&settings, used);
        let png = picture.to_png(&[("parameters", &infotext), ("fieldforge", &request.to_json())]).map_err(failed)?;
        Ok(Generated { png, remarks })
    }
}

fn failed(error: EngineError) -> GenerateError {
    match error {
        EngineError::Cancelled => GenerateError::Cancelled,
        error => GenerateError::Failed { hint: error.hint(), message: error.to_string() },
    }
}

/// The scheduler's name unless it is the sampler's own.
fn chosen(scheduler: Scheduler) -> Option<String> {
    (scheduler != Scheduler::Automatic).then(|| scheduler.to_string())
}

fn settings(request: &GenerateRequest) -> Result<GenerateSettings, GenerateError> {
    let (sampler, mut scheduler) = Sampler::with_scheduler(&request.sampler).map_err(failed)?;
    if let Some(name) = &request.scheduler {
        scheduler = name.parse().map_err(failed)?;
    }
    Ok(GenerateSettings {
        prompt: request.prompt.clone(),
        negative_prompt: request.negative_prompt.clone(),
        width: request.width,
        height: request.height,
        steps: request.steps,
        cfg_scale: request.cfg_scale,
        seed: request.seed,
        sampler,
        sampling: SamplingSettings { scheduler, ..SamplingSettings::default() },
        ..GenerateSettings::default()
    })
}

/// The page's card: exact for the loaded model, from the catalog's recommendations for the others.
fn card(choice: &ModelChoice, model: Option<&Model>) -> ModelCard {
    let settings = models::starting_settings(model.map(Model::info), &choice.recommended);
    ModelCard {
        id: choice.id.clone(),
        name: choice.title.clone(),
        family: model.map_or_else(|| choice.family.clone(), |model| model.info().family.clone()),
        licence: choice.licence.clone(),
        width: settings.width,
        height: settings.height,
        steps: settings.steps,
        cfg_scale: settings.cfg_scale,
        sampler: settings.sampler.to_string(),
        scheduler: chosen(settings.sampling.scheduler),
        note: note(choice),
        is_default: choice.is_default,
        ..ModelCard::default()
    }
}

fn note(choice: &ModelChoice) -> String {
    if choice.id == "spark" {
        return "A tiny demonstration model: it draws small emoji-like pictures of single things.".to_owned();
    }
    String::new()
}
