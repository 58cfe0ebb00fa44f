//! Which checkpoints this run can draw with: the installed ones and the embedded one.

use crate::builtin;
use crate::failure::{Failure, Outcome};
use crate::library::{self, InstalledFile, Library};
use engine::{EngineError, GenerateSettings, Model, ModelInfo, OpenOptions, Precision, Sampler, Scheduler};
use manifest::{ComponentKind, RecommendedSettings, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The licence of a file of which nobody says one.
pub(crate) const UNKNOWN: &str = "unknown";

/// A checkpoint that can be asked for.
#[derive(Clone, Debug)]
pub(crate) struct ModelChoice {
    /// Its short name.
    pub(crate) id: String,
    /// Its name for people.
    pub(crate) title: String,
    /// Its family ("sd1").
    pub(crate) family: String,
    /// Its licence.
    pub(crate) licence: String,
    /// Its file; absent: the embedded one.
    pub(crate) path: Option<PathBuf>,
    /// Digest of the file, when known.
    pub(crate) sha256: Option<Sha256>,
    /// What to generate with.
    pub(crate) recommended: RecommendedSettings,
    /// It is used when nothing was chosen.
    pub(crate) is_default: bool,
    /// What its pictures can call by name.
    pub(crate) library: Arc<Library>,
    /// The precision that it draws in.
    pub(crate) precision: Precision,
}

impl ModelChoice {
    /// The embedded checkpoint.
    pub(crate) fn embedded() -> Self {
        Self {
            id: "spark".to_owned(),
            title: "spark".to_owned(),
            family: "sd1".to_owned(),
            licence: "MIT AND Apache-2.0".to_owned(),
            path: None,
            sha256: Some(Sha256::of(builtin::SPARK)),
            recommended: builtin::recommended(builtin::SPARK_ID),
            is_default: true,
            library: Arc::default(),
            precision: Precision::F32,
        }
    }

    /// A file that the user named.
    pub(crate) fn file(path: &Path) -> Self {
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        Self {
            id: name.clone(),
            title: name,
            family: String::new(),
            licence: UNKNOWN.to_owned(),
            path: Some(path.to_path_buf()),
            sha256: None,
            recommended: RecommendedSettings::default(),
            is_default: false,
            library: Arc::default(),
            precision: Precision::F32,
        }
    }

    /// What a sealed process must be able to read to draw with it.
    pub(crate) fn reads(&self) -> Vec<PathBuf> {
        self.path.iter().cloned().chain(self.library.reads()).collect()
    }

    /// Loads it, with the VAE that it is recommended with if that is installed.
    pub(crate) fn load(&self) -> Result<Model, EngineError> {
        self.load_with(self.vae().map(|vae| vae.path.as_path()))
    }

    /// Loads it with this VAE, or its own.
    pub(crate) fn load_with(&self, vae: Option<&Path>) -> Result<Model, EngineError> {
        let mut model = match &self.path {
            Some(path) => Model::open_with(path, &options(&self.recommended, vae))?,
            None => Model::from_static(&self.id, builtin::SPARK)?,
        };
        model.set_precision(self.precision);
        model.set_embeddings(self.library.embeddings());
        Ok(model)
    }

    /// The VAE that it is recommended with, if that is installed.
    pub(crate) fn vae(&self) -> Option<&InstalledFile> {
        let wanted = self.recommended.vae.as_deref()?;
        self.library.of_kind(ComponentKind::Vae).find(|file| file.id == wanted)
    }
}

/// How a checkpoint is opened as the catalog recommends, with this VAE or its own.
pub(crate) fn options(recommended: &RecommendedSettings, vae: Option<&Path>) -> OpenOptions {
    let mut options = OpenOptions::default();
    options.vae = vae.map(Path::to_path_buf);
    // single files of Stable Diffusion 2.x do not tell; the catalog does
    let prediction = recommended.prediction.as_deref().unwrap_or_default();
    options.prediction = serde_json::from_value(prediction.into()).ok();
    options
}

/// Everything that can be asked for in `home`, the default first. Never empty.
pub(crate) fn available(home: &Path) -> Outcome<Vec<ModelChoice>> {
    let generation = install::current(home)?;
    Ok(with(generation.as_ref(), &Arc::new(Library::with(home, generation.as_ref()))))
}

/// The same, for what is known of a home.
pub(crate) fn with(generation: Option<&install::Generation>, library: &Arc<Library>) -> Vec<ModelChoice> {
    let mut models = generation.map_or(Vec::new(), |generation| installed(generation, library));
    models.extend(added(library));
    if !models.iter().any(|model| model.id == "spark") {
        models.push(ModelChoice {
            is_default: models.is_empty(),
            library: Arc::clone(library),
            ..ModelChoice::embedded()
        });
    }
    if !models.iter().any(|model| model.is_default)
        && let Some(first) = models.first_mut()
    {
        first.is_default = true;
    }
    models.sort_by_key(|model| !model.is_default);
    models
}

/// The checkpoints that were added to the home.
fn added(library: &Arc<Library>) -> impl Iterator<Item = ModelChoice> {
    let is_model = |file: &&InstalledFile| matches!(file.kind, ComponentKind::Checkpoint | ComponentKind::Refiner);
    library.files().iter().filter(is_model).filter(|file| file.added).map(|file| ModelChoice {
        id: file.id.clone(),
        sha256: file.sha256,
        library: Arc::clone(library),
        ..ModelChoice::file(&file.path)
    })
}

fn installed(generation: &install::Generation, library: &Arc<Library>) -> Vec<ModelChoice> {
    let manifest = &generation.manifest;
    manifest
        .files_of(ComponentKind::Checkpoint)
        .chain(manifest.files_of(ComponentKind::Refiner))
        .filter(|(component, _)| component.family.as_deref().is_none_or(is_supported))
        .filter_map(|(component, file)| Some((component, file, library::model_path(generation, file)?)))
        .map(|(component, file, path)| ModelChoice {
            id: component.id.to_string(),
            title: component.title.clone(),
            family: component.family.clone().unwrap_or_default(),
            licence: component.licence.clone(),
            sha256: path.is_file().then_some(file.sha256),
            path: Some(path),
            recommended: component.settings.clone().unwrap_or_default(),
            is_default: manifest.default_model.as_ref() == Some(&component.id),
            library: Arc::clone(library),
            precision: Precision::F32,
        })
        .collect()
}

/// Families that the engine can draw with today.
pub(crate) fn is_supported(family: &str) -> bool {
    ["sd1", "sd2", "sdxl", "sdxl-refiner"].contains(&family)
}

/// The one that was asked for: by name, by file, or the default.
pub(crate) fn choose(home: &Path, wanted: Option<&str>) -> Outcome<ModelChoice> {
    let models = available(home)?;
    let Some(wanted) = wanted else {
        return models.into_iter().next().ok_or_else(|| Failure::new("there is no model"));
    };
    // Imported models keep the names that people know them by.
    let by_title = || models.iter().find(|model| model.title == wanted && model.path.is_some());
    if let Some(model) = models.iter().find(|model| model.id == wanted).or_else(by_title) {
        return Ok(model.clone());
    }
    let path = Path::new(wanted);
    if path.is_file() {
        let library = models.into_iter().next().map(|model| model.library).unwrap_or_default();
        return Ok(ModelChoice { library, ..ModelChoice::file(&crate::home::absolute(path)?) });
    }
    let names: Vec<String> = models.iter().map(|model| format!("`{}`", model.id)).collect();
    Err(Failure::new(format!("there is no model and no file called `{wanted}`"))
        .with_hint(format!("use one of {}, or the path of a .safetensors file", names.join(", "))))
}

/// The settings to start from: what the engine reads from the file, overruled by what the catalog recommends. Without
/// the file: what the family was trained for.
pub(crate) fn starting_settings(
    info: Option<&ModelInfo>,
    recommended: &RecommendedSettings,
    family: &str,
) -> GenerateSettings {
    let mut settings = match info {
        Some(info) => GenerateSettings::recommended(info),
        None => {
            let side = if family.starts_with("sdxl") { 1024 } else { 512 };
            GenerateSettings {
                width: side,
                height: side,
                steps: 25,
                sampler: Sampler::DpmPp2m,
                ..GenerateSettings::default()
            }
        }
    };
    settings.width = recommended.width.unwrap_or(settings.width);
    settings.height = recommended.height.unwrap_or(settings.height);
    settings.steps = recommended.steps.unwrap_or(settings.steps);
    settings.cfg_scale = recommended.cfg.unwrap_or(settings.cfg_scale);
    if let Some(name) = &recommended.sampler {
        choose_sampler(&mut settings, name).ok();
    }
    if let Some(name) = &recommended.scheduler {
        choose_scheduler(&mut settings, name).ok();
    }
    settings
}

/// Takes the sampler of that name, and the scheduler if the name ends in one.
pub(crate) fn choose_sampler(settings: &mut GenerateSettings, name: &str) -> Result<(), EngineError> {
    (settings.sampler, settings.sampling.scheduler) = Sampler::with_scheduler(name)?;
    Ok(())
}

/// Takes the scheduler of that name; the sampler's own one stays automatic.
pub(crate) fn choose_scheduler(settings: &mut GenerateSettings, name: &str) -> Result<(), EngineError> {
    let scheduler: Scheduler = name.parse()?;
    let own = scheduler == settings.sampler.automatic();
    settings.sampling.scheduler = if own { Scheduler::Automatic } else { scheduler };
    Ok(())
}
