//! The engine behind the server: `server::Generate` over `engine::Model`.

use crate::drawing::{self, Drawn};
use crate::loaded::Loaded;
use crate::picture_facts;
use crate::served_request::{self, failed};
use crate::stock::Warehouse;
use engine::{Picture, Sampler, Scheduler};
use server::{Asset, GenerateError, GenerateRequest, Generated, ModelCard, PictureFacts, Progress, Style};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Draws with the models of one home.
pub(crate) struct Generator {
    warehouse: Warehouse,
    /// Held while a picture is drawn: nobody changes a model meanwhile.
    loaded: Mutex<Loaded>,
    /// Whether the default model is being loaded.
    warming: AtomicBool,
}

impl Generator {
    /// Nothing is loaded yet: see [`Generator::warm_up`].
    pub(crate) fn new(warehouse: Warehouse) -> Self {
        Self { warehouse, loaded: Mutex::default(), warming: AtomicBool::new(true) }
    }

    /// Loads the default model, so that the first picture does not wait for it, and looks into the files whose cards lack
    /// something. What fails here fails again, and is told, when a picture is drawn.
    pub(crate) fn warm_up(&self) {
        let stock = self.warehouse.stock();
        if let Some(choice) = stock.choices.first() {
            let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
            if let Ok(model) = loaded.model(choice) {
                self.warehouse.is_loaded(choice, model.info());
            }
        }
        self.warming.store(false, Ordering::Relaxed);
        self.warehouse.complete();
    }
}

impl server::Generate for Generator {
    fn models(&self) -> Vec<ModelCard> {
        self.warehouse.stock().cards.clone()
    }

    fn assets(&self) -> Vec<Asset> {
        self.warehouse.stock().assets.clone()
    }

    fn styles(&self) -> Vec<Style> {
        self.warehouse.styles().to_vec()
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
        picture_facts::read(bytes, &self.warehouse.stock().choices).map_err(failed)
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
        let stock = self.warehouse.stock();
        let own = request.to_json();
        if let (Some(picture), Some(name)) = (&request.enlarge, &request.upscale) {
            let file = served_request::picture_file(request, picture)?;
            let library = &served_request::choice(&stock.choices, &request.model)?.library;
            let upscaler = library.installed_upscaler(name).map_err(failed)?;
            let (picture, texts) = drawing::enlarge_file(&file, &upscaler, &mut loaded, on_step).map_err(failed)?;
            let texts = texts.iter().map(|(key, text)| (key.as_str(), text.as_str()));
            let texts: Vec<_> = texts.chain([("fieldforge", own.as_str())]).collect();
            return Ok(Generated { png: picture.to_png(&texts).map_err(failed)?, remarks: Vec::new() });
        }
        let Drawn { picture, infotext, remarks } =
            served_request::drawing(request, &stock.choices)?.draw(&mut loaded, on_step).map_err(failed)?;
        let png = picture.to_png(&[("parameters", &infotext), ("fieldforge", &own)]).map_err(failed)?;
        Ok(Generated { png, remarks })
    }
}

/// The scheduler's name unless it is the sampler's own.
fn chosen(scheduler: Scheduler) -> Option<String> {
    (scheduler != Scheduler::Automatic).then(|| scheduler.to_string())
}
