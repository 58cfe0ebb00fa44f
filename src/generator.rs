//! The engine behind the server: `server::Generate` over `engine::Model`.

use crate::drawing::{self, Drawn};
use crate::failure::Failure;
use crate::loaded::Loaded;
use crate::models::{self, ModelChoice};
use crate::picture_facts;
use crate::served_request::{self, failed};
use engine::{Model, Picture, Sampler, Scheduler};
use server::{GenerateError, GenerateRequest, Generated, ModelCard, PictureFacts, Progress};
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

/// Draws with the models of one home.
pub(crate) struct Generator {
    cards: Vec<ModelCard>,
    choices: Vec<ModelChoice>,
    /// Held while a picture is drawn: nobody changes a model meanwhile.
    loaded: Mutex<Loaded>,
}

impl Generator {
    /// Loads the default model, so that the first picture does not wait for it; the others are loaded when asked for.
    pub(crate) fn new(choices: Vec<ModelChoice>) -> Result<Self, Failure> {
        let mut loaded = Loaded::default();
        if let Some(default) = choices.iter().find(|choice| choice.is_default) {
            loaded.model(default)?;
        }
        let cards = choices.iter().map(|choice| card(choice, loaded.peek(choice))).collect();
        Ok(Self { cards, choices, loaded: Mutex::new(loaded) })
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

    fn read_picture(&self, bytes: &[u8]) -> Result<PictureFacts, GenerateError> {
        picture_facts::read(bytes, &self.choices).map_err(failed)
    }

    fn generate(
        &self,
        request: &GenerateRequest,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Generated, GenerateError> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let on_step = &mut |step: u32, steps: u32, preview: &dyn Fn() -> Option<Picture>| {
            let wanted = request.previews.wanted().then(preview).flatten();
            let preview_png = wanted.and_then(|picture| picture.to_png(&[]).ok());
            progress(Progress { step, steps, preview_png })
        };
        let own = request.to_json();
        if let (Some(picture), Some(name)) = (&request.enlarge, &request.upscale) {
            let file = served_request::picture_file(request, picture)?;
            let library = &served_request::choice(&self.choices, &request.model)?.library;
            let upscaler = library.installed_upscaler(name).map_err(failed)?;
            let (picture, texts) = drawing::enlarge_file(&file, &upscaler, &mut loaded, on_step).map_err(failed)?;
            let texts = texts.iter().map(|(key, text)| (key.as_str(), text.as_str()));
            let texts: Vec<_> = texts.chain([("fieldforge", own.as_str())]).collect();
            return Ok(Generated { png: picture.to_png(&texts).map_err(failed)?, remarks: Vec::new() });
        }
        let Drawn { picture, infotext, remarks } =
            served_request::drawing(request, &self.choices)?.draw(&mut loaded, on_step).map_err(failed)?;
        let png = picture.to_png(&[("parameters", &infotext), ("fieldforge", &own)]).map_err(failed)?;
        Ok(Generated { png, remarks })
    }
}

/// The scheduler's name unless it is the sampler's own.
fn chosen(scheduler: Scheduler) -> Option<String> {
    (scheduler != Scheduler::Automatic).then(|| scheduler.to_string())
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
