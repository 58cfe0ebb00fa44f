//! What can be asked for in a home at the moment: models, LoRAs, upscalers, …, as the page shows them.

use crate::failure::Outcome;
use crate::file_facts::{FactsBook, FileFacts};
use crate::library::{InstalledFile, Library};
use crate::models::{self, ModelChoice};
use engine::{ModelInfo, Precision, Scheduler};
use install::Generation;
use manifest::{ComponentKind, layout};
use server::{Asset, AssetKind, ModelCard, Style};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// Folders are looked at for new files at most this often.
const LOOK: Duration = Duration::from_millis(500);

/// Everything that can be asked for, at one moment.
pub(crate) struct Stock {
    /// Checkpoints, the default one first.
    pub(crate) choices: Vec<ModelChoice>,
    /// The same, as the page shows them.
    pub(crate) cards: Vec<ModelCard>,
    /// All files by name.
    pub(crate) assets: Vec<Asset>,
    library: Arc<Library>,
}

impl Stock {
    /// All files; every model has the same.
    pub(crate) fn library(&self) -> &Library {
        &self.library
    }
}

/// A home's stock as it is, also when files come while the server runs.
pub(crate) struct Warehouse {
    home: PathBuf,
    generation: Option<Generation>,
    styles: Vec<Style>,
    precision: Precision,
    facts: FactsBook,
    state: Mutex<State>,
}

struct State {
    stock: Arc<Stock>,
    looked: Instant,
    stamp: Vec<Option<SystemTime>>,
    /// What loading the default model told about it.
    loaded: Option<(String, ModelInfo)>,
}

impl Warehouse {
    /// Lists what there is, without opening model files: that is for [`Warehouse::complete`].
    pub(crate) fn open(home: &Path, precision: Precision) -> Outcome<Self> {
        let generation = install::current(home)?;
        let facts = FactsBook::default();
        let stamp = stamp(home);
        let stock = Arc::new(stock(home, generation.as_ref(), precision, &facts, None));
        let state = Mutex::new(State { stock, looked: Instant::now(), stamp, loaded: None });
        Ok(Self { home: home.to_path_buf(), generation, styles: crate::styles::of(home), precision, facts, state })
    }

    /// The home.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// The installation that it had when it was opened.
    pub(crate) fn generation(&self) -> Option<&Generation> {
        self.generation.as_ref()
    }

    /// The precision that all models draw in.
    pub(crate) fn precision(&self) -> Precision {
        self.precision
    }

    /// The styles that it had then.
    pub(crate) fn styles(&self) -> &[Style] {
        &self.styles
    }

    /// What there is now.
    pub(crate) fn stock(&self) -> Arc<Stock> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.elapsed() >= LOOK {
            state.looked = Instant::now();
            let now = stamp(&self.home);
            if now != state.stamp {
                state.stamp = now;
                self.refresh(&mut state);
                // Few come at once.
                self.facts.read(state.stock.library().files());
                self.refresh(&mut state);
            }
        }
        Arc::clone(&state.stock)
    }

    /// Looks again, at once: a file has come, or was looked into.
    pub(crate) fn look(&self) -> Arc<Stock> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.stamp, state.looked) = (stamp(&self.home), Instant::now());
        self.refresh(&mut state);
        Arc::clone(&state.stock)
    }

    /// Opens the files whose cards lack something. This may take long where there are hundreds.
    pub(crate) fn complete(&self) {
        let stock = self.stock();
        self.facts.read(stock.library().files());
        self.look();
    }

    /// Takes over what a loaded model says about itself.
    pub(crate) fn is_loaded(&self, choice: &ModelChoice, info: &ModelInfo) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.loaded = Some((choice.id.clone(), info.clone()));
        self.refresh(&mut state);
    }

    fn refresh(&self, state: &mut State) {
        state.stock =
            Arc::new(stock(&self.home, self.generation.as_ref(), self.precision, &self.facts, state.loaded.as_ref()));
    }
}

/// When the folders of added files last changed.
fn stamp(home: &Path) -> Vec<Option<SystemTime>> {
    let folders = ComponentKind::ALL.into_iter().filter_map(layout::models_folder);
    let modified = |folder: &str| fs_err::metadata(home.join(folder)).and_then(|metadata| metadata.modified()).ok();
    folders.map(modified).collect()
}

fn stock(
    home: &Path,
    generation: Option<&Generation>,
    precision: Precision,
    facts: &FactsBook,
    loaded: Option<&(String, ModelInfo)>,
) -> Stock {
    let library = Arc::new(Library::with(home, generation));
    let mut choices = models::with(generation, &library);
    choices.iter_mut().for_each(|choice| choice.precision = precision);
    let info = |choice: &ModelChoice| loaded.filter(|(id, _)| *id == choice.id).map(|(_, info)| info);
    let cards = choices.iter().map(|choice| card(choice, info(choice), facts)).collect();
    let assets = library.files().iter().map(|file| asset(file, &facts.of(file))).collect();
    Stock { choices, cards, assets, library }
}

/// What the server calls a kind of file.
pub(crate) fn asset_kind(kind: ComponentKind) -> AssetKind {
    match kind {
        ComponentKind::Checkpoint | ComponentKind::Refiner => AssetKind::Checkpoint,
        ComponentKind::Lora => AssetKind::Lora,
        ComponentKind::Vae => AssetKind::Vae,
        ComponentKind::Embedding => AssetKind::Embedding,
        ComponentKind::Upscaler => AssetKind::Upscaler,
        ComponentKind::Controlnet => AssetKind::Controlnet,
        ComponentKind::Taesd | ComponentKind::Frontend | ComponentKind::Part => AssetKind::Other,
    }
}

/// A file as the page shows it.
pub(crate) fn asset(file: &InstalledFile, facts: &FileFacts) -> Asset {
    let checkpoint = matches!(file.kind, ComponentKind::Checkpoint | ComponentKind::Refiner);
    Asset {
        kind: asset_kind(file.kind),
        name: if checkpoint { file.id.clone() } else { file.name.clone() },
        title: file.title.clone(),
        file: file.file_name(),
        family: file.family.clone().or_else(|| facts.family.clone()),
        licence: match (&file.licence, &facts.licence) {
            (licence, Some(own)) if licence == models::UNKNOWN => own.clone(),
            (licence, _) => licence.clone(),
        },
        size: file.size,
        sha256: file.sha256.map(|sha256| sha256.to_string()),
        trigger_words: facts.trigger_words.clone(),
        scale: facts.scale,
        note: facts.note.clone(),
    }
}

/// A model as the page shows it: exact for the loaded model, from the catalog's recommendations for the others.
fn card(choice: &ModelChoice, info: Option<&ModelInfo>, facts: &FactsBook) -> ModelCard {
    let file = choice.library.files().iter().find(|file| Some(&file.path) == choice.path.as_ref());
    let read = file.map(|file| facts.of(file)).unwrap_or_default();
    let family = match (info, choice.family.as_str()) {
        (Some(info), _) => info.family.clone(),
        (None, "") => read.family.clone().unwrap_or_default(),
        (None, family) => family.to_owned(),
    };
    let settings = models::starting_settings(info, &choice.recommended, &family);
    let scheduler = settings.sampling.scheduler;
    let size = if choice.path.is_none() { crate::builtin::SPARK.len() as u64 } else { 0 };
    ModelCard {
        id: choice.id.clone(),
        name: choice.title.clone(),
        family,
        licence: choice.licence.clone(),
        width: settings.width,
        height: settings.height,
        steps: settings.steps,
        cfg_scale: settings.cfg_scale,
        sampler: settings.sampler.to_string(),
        scheduler: (scheduler != Scheduler::Automatic).then(|| scheduler.to_string()),
        note: if choice.id == "spark" {
            "A tiny demonstration model: it draws small emoji-like pictures of single things.".to_owned()
        } else {
            read.note
        },
        is_default: choice.is_default,
        file: file.map(InstalledFile::file_name).unwrap_or_default(),
        size: file.map_or(size, |file| file.size),
        sha256: choice.sha256.map(|sha256| sha256.to_string()),
        trigger_words: read.trigger_words,
    }
}
