//! The engine behind the server: `server::Generate` over `engine::Model`.

use crate::drawing::{self, Drawn};
use crate::file_facts::FileFacts;
use crate::library::InstalledFile;
use crate::loaded::Loaded;
use crate::self_test::SealedTest;
use crate::served_request::{self, failed};
use crate::stock::{Stock, Warehouse};
use crate::{new_model, picture_facts, stock, system_report};
use engine::{Picture, Sampler, Scheduler};
use manifest::{ComponentKind, Sha256};
use serde_json::Value;
use server::{
    AddError, AddReason, Asset, AssetKind, GenerateError, GenerateRequest, Generated, ModelCard, ModelSource, NewModel,
    PictureFacts, Progress, Style, Verdict,
};
use std::io::Read as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Draws with the models of one home.
pub(crate) struct Generator {
    warehouse: Warehouse,
    /// Held while a picture is drawn: nobody changes a model meanwhile.
    loaded: Mutex<Loaded>,
    /// Whether the default model is being loaded.
    warming: AtomicBool,
    self_test: SealedTest,
}

impl Generator {
    /// Nothing is loaded yet: see [`Generator::warm_up`].
    pub(crate) fn new(warehouse: Warehouse, self_test: SealedTest) -> Self {
        Self { warehouse, loaded: Mutex::default(), warming: AtomicBool::new(true), self_test }
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

    fn preview(&self, kind: AssetKind, name: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        preview_file(&find(&self.warehouse.stock(), kind, name)?.path)?.read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    fn has_preview(&self, kind: AssetKind, name: &str) -> bool {
        find(&self.warehouse.stock(), kind, name).is_some_and(|file| preview_file(&file.path).is_some())
    }

    fn check_file(
        &self,
        kind: AssetKind,
        name: &str,
        progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<Verdict, GenerateError> {
        let stock = self.warehouse.stock();
        let wrong = |message: String, hint: &str| GenerateError::Failed { message, hint: Some(hint.to_owned()) };
        let Some(file) = find(&stock, kind, name) else {
            let own = stock.choices.iter().find(|choice| kind == AssetKind::Checkpoint && choice.id == name);
            return match own.and_then(|choice| choice.sha256) {
                // part of this very program
                Some(expected) => {
                    let sha256 = Sha256::of(crate::builtin::SPARK);
                    let matches = Some(sha256 == expected);
                    Ok(Verdict { matches, sha256: sha256.to_string(), expected: Some(expected.to_string()) })
                }
                None => Err(wrong(format!("there is no {} `{name}`", kind.noun()), "choose one from the list")),
            };
        };
        if file.path.is_dir() {
            let message = format!("`{name}` is a folder of several files");
            return Err(wrong(message, "`fieldforge verify HOME` compares each of them"));
        }
        let sha256 = new_model::digest_of(&file.path, &mut |done| progress(done, file.size).is_continue());
        let sha256 = sha256.map_err(|error| match error.kind() {
            std::io::ErrorKind::Interrupted => GenerateError::Cancelled,
            _ => wrong(format!("the {} cannot be read: {error}", kind.noun()), "`fieldforge verify HOME` finds damage"),
        })?;
        Ok(Verdict {
            matches: file.sha256.map(|expected| expected == sha256),
            sha256: sha256.to_string(),
            expected: file.sha256.map(|expected| expected.to_string()),
        })
    }

    fn add_model(&self, model: NewModel<'_>) -> Result<Asset, AddError> {
        let wanted = model.kind.and_then(component_kind);
        let stock = self.warehouse.stock();
        let (home, installed) = (self.warehouse.home(), stock.library().files());
        let added = match model.from {
            ModelSource::Sent { name, body } => new_model::add(home, installed, name, wanted, body)?,
            ModelSource::File(path) => {
                let mut file = fs_err::File::open(path).map_err(|error| AddError {
                    reason: AddReason::Unreadable,
                    message: format!("the sealed server cannot read it: {error}"),
                    hint: "drop the file onto the page instead, or import it: fieldforge import FILE".to_owned(),
                })?;
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                new_model::add(home, installed, &name, wanted, &mut file)?
            }
        };
        let stock = self.warehouse.look();
        let file = stock.library().files().iter().find(|file| file.path == added.path);
        file.map(|file| stock::asset(file, &FileFacts::of(file))).ok_or_else(|| AddError {
            reason: AddReason::NotKept,
            message: format!("`{}` was added, but it is gone again", added.path.display()),
            hint: "add it again".to_owned(),
        })
    }

    fn system(&self) -> Value {
        let stock = self.warehouse.stock();
        let loading = self.warming.load(Ordering::Relaxed).then(|| stock.choices.first()).flatten();
        system_report::report(
            self.warehouse.home(),
            self.warehouse.precision(),
            loading.map(|choice| choice.id.as_str()),
        )
    }

    fn self_test(&self) -> Result<GenerateRequest, GenerateError> {
        self.self_test.request(&self.warehouse)
    }

    fn judge_self_test(&self, png: &[u8]) -> Result<Value, GenerateError> {
        self.self_test.judge(png, &self.warehouse)
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

/// The picture that lies beside a model file; a very large one is no preview.
fn preview_file(model: &Path) -> Option<fs_err::File> {
    const LARGEST: u64 = 16 << 20;
    let beside = ["preview.png", "png", "preview.jpg", "jpg", "jpeg", "preview.jpeg", "webp", "preview.webp"];
    let path = beside.iter().map(|ending| model.with_extension(ending)).find(|path| path.is_file())?;
    let file = fs_err::File::open(path).ok()?;
    file.metadata().is_ok_and(|metadata| metadata.len() <= LARGEST).then_some(file)
}

/// What is installed under that name.
fn find<'a>(stock: &'a Stock, kind: AssetKind, name: &str) -> Option<&'a InstalledFile> {
    let named = |file: &&InstalledFile| file.name == name || file.id == name;
    let mut files = stock.library().files().iter().filter(|file| stock::asset_kind(file.kind) == kind);
    files.find(named)
}

/// What a kind of file is in a bundle, where that is one thing.
fn component_kind(kind: AssetKind) -> Option<ComponentKind> {
    ComponentKind::ALL.into_iter().find(|component| kind != AssetKind::Other && stock::asset_kind(*component) == kind)
}
