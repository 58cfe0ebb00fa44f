//! What an installed home has besides checkpoints: LoRAs, embeddings, VAEs and the other files that pictures call by
//! name.

use crate::failure::{Failure, Outcome};
use crate::models;
use engine::{AppliedLora, EngineError, FileHashes, GenerateSettings, Lora, LoraReport, Model, Shelf, UsedFile};
use manifest::{BundleManifest, Component, ComponentKind, FileEntry, Sha256, layout};
use serde::Serialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One model file of a home.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct InstalledFile {
    /// What it is for.
    pub(crate) kind: ComponentKind,
    /// What prompts and settings call it: the file's name without its ending.
    pub(crate) name: String,
    /// The component that it came with.
    pub(crate) id: String,
    /// Its name for people.
    pub(crate) title: String,
    /// The model family ("sd1", "sdxl"), when known.
    pub(crate) family: Option<String>,
    /// Its licence.
    pub(crate) licence: String,
    /// Size in bytes.
    pub(crate) size: u64,
    /// Digest of the file; of a diffusers folder that of its index; absent for one that somebody copied here.
    pub(crate) sha256: Option<Sha256>,
    /// Where it lies.
    pub(crate) path: PathBuf,
    /// Whether it was added to the home, and not installed with a bundle.
    pub(crate) added: bool,
}

/// The files of a home, and the LoRAs that were used so far.
#[derive(Debug, Default)]
pub(crate) struct Library {
    files: Vec<InstalledFile>,
    shelves: engine::Library,
    loras: Mutex<HashMap<PathBuf, OpenLora>>,
}

/// What a picture uses, and what there is to say about that.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prepared {
    pub(crate) loras: Vec<UsedFile>,
    pub(crate) embeddings: Vec<UsedFile>,
    /// What is perhaps not what the person meant, one sentence each.
    pub(crate) remarks: Vec<String>,
}

/// A LoRA that was used: it is opened and hashed once.
#[derive(Clone, Debug)]
struct OpenLora {
    lora: Arc<Lora>,
    hash: String,
}

impl Library {
    /// What the generation in use has, and what was added; nothing if nothing is installed.
    pub(crate) fn of(home: &Path) -> Outcome<Self> {
        Ok(Self::with(home, install::current(home)?.as_ref()))
    }

    /// What a generation has, and what was added to the home.
    pub(crate) fn with(home: &Path, generation: Option<&install::Generation>) -> Self {
        let mut library = Self::default();
        for kind in ComponentKind::ALL.into_iter().filter(|kind| kind.is_weights()) {
            if let Some(generation) = generation {
                library.take_installed(generation, kind);
            }
            library.take_added(home, kind);
        }
        library
    }

    fn take_installed(&mut self, generation: &install::Generation, kind: ComponentKind) {
        let manifest = &generation.manifest;
        for (component, file) in manifest.files_of(kind) {
            let Some(path) = model_path(generation, file) else { continue };
            self.take(InstalledFile {
                kind,
                name: if path.is_dir() { path.file_name() } else { path.file_stem() }
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
                id: component.id.to_string(),
                title: component.title.clone(),
                family: component.family.clone(),
                licence: component.licence.clone(),
                size: if path.is_dir() { size_of(manifest, component) } else { file.size },
                sha256: Some(file.sha256),
                path,
                added: false,
            });
        }
    }

    /// Files that somebody added or copied into the home's own folders. A name that an installed one has stays its.
    fn take_added(&mut self, home: &Path, kind: ComponentKind) {
        let Some(folder) = layout::models_folder(kind) else { return };
        let entries = fs_err::read_dir(home.join(folder)).into_iter().flatten().flatten();
        let is_model =
            |path: &PathBuf| path.extension().is_some_and(|ending| ending == "safetensors") && path.is_file();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_model).collect();
        paths.sort();
        for path in paths {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if self.of_kind(kind).any(|file| file.name == name || file.id == name) {
                continue;
            }
            self.take(InstalledFile {
                kind,
                id: name.clone(),
                title: name.clone(),
                name,
                family: None,
                licence: models::UNKNOWN.to_owned(),
                size: fs_err::metadata(&path).map(|metadata| metadata.len()).unwrap_or_default(),
                sha256: recorded(&path),
                path,
                added: true,
            });
        }
    }

    fn take(&mut self, file: InstalledFile) {
        if let Some(shelf) = self.shelf_mut(file.kind) {
            shelf.add(&file.path);
        }
        self.files.push(file);
    }

    /// All model files, checkpoints first.
    pub(crate) fn files(&self) -> &[InstalledFile] {
        &self.files
    }

    /// The files of a kind.
    pub(crate) fn of_kind(&self, kind: ComponentKind) -> impl Iterator<Item = &InstalledFile> {
        self.files.iter().filter(move |file| file.kind == kind)
    }

    /// The upscaler of that name: its component's, its file's, or the path of a file.
    pub(crate) fn upscaler(&self, name: &str) -> Outcome<PathBuf> {
        self.file_of(ComponentKind::Upscaler, &self.shelves.upscalers, name)
    }

    /// The ControlNet of that name, likewise.
    pub(crate) fn controlnet(&self, name: &str) -> Outcome<PathBuf> {
        self.file_of(ComponentKind::Controlnet, &self.shelves.controlnets, name)
    }

    fn file_of(&self, kind: ComponentKind, shelf: &Shelf, name: &str) -> Outcome<PathBuf> {
        let is_component = self.of_kind(kind).any(|file| file.id == name);
        match Path::new(name) {
            path if !is_component && path.is_file() => crate::home::absolute(path),
            _ => Ok(self.installed(kind, shelf, name)?),
        }
    }

    /// Whether prompts can call a LoRA so.
    pub(crate) fn has_lora(&self, name: &str) -> bool {
        self.shelves.loras.find(name).is_ok()
    }

    /// The upscaler of that name that is installed here.
    pub(crate) fn installed_upscaler(&self, name: &str) -> Result<PathBuf, EngineError> {
        self.installed(ComponentKind::Upscaler, &self.shelves.upscalers, name)
    }

    /// The ControlNet of that name that is installed here.
    pub(crate) fn installed_controlnet(&self, name: &str) -> Result<PathBuf, EngineError> {
        self.installed(ComponentKind::Controlnet, &self.shelves.controlnets, name)
    }

    fn installed(&self, kind: ComponentKind, shelf: &Shelf, name: &str) -> Result<PathBuf, EngineError> {
        match self.of_kind(kind).find(|file| file.id == name) {
            Some(file) => Ok(file.path.clone()),
            None => Ok(shelf.find(name)?.to_path_buf()),
        }
    }

    /// What a sealed process must be able to read to use them: checkpoints are not among them.
    pub(crate) fn reads(&self) -> impl Iterator<Item = PathBuf> {
        self.files.iter().filter(|file| file.kind != ComponentKind::Checkpoint).map(|file| file.path.clone())
    }

    /// The embeddings that prompts may name.
    pub(crate) fn embeddings(&self) -> Shelf {
        self.shelves.embeddings.clone()
    }

    /// Makes the model ready for a picture: applies the LoRAs that the prompt names, and takes off those of the picture
    /// before.
    ///
    /// # Errors
    /// For a name that nothing here has, and for a file that does not fit the model; nothing is changed then.
    pub(crate) fn prepare(&self, model: &Model, settings: &GenerateSettings) -> Result<Prepared, EngineError> {
        let read = model.read_prompts(settings)?;
        let mut prepared =
            Prepared { remarks: read.notices.iter().map(ToString::to_string).collect(), ..Prepared::default() };
        let mut applied = Vec::new();
        for tag in read.networks {
            let OpenLora { lora, hash } = self.open_lora(self.shelves.loras.find(&tag.name)?)?;
            let file = UsedFile::new(&tag.name, hash);
            if !prepared.loras.contains(&file) {
                prepared.loras.push(file);
            }
            applied.push(AppliedLora { lora, unet_weight: tag.unet_weight, text_weight: tag.text_weight });
        }
        let unfit = model.set_loras(&applied)?.into_iter().filter(|report| !report.unmatched.is_empty());
        prepared.remarks.extend(unfit.map(|report| left_out(&report)));
        for (_, name) in read.prompt.iter().chain(&read.negative_prompt).flat_map(|chunk| &chunk.embeddings) {
            let file = self.of_kind(ComponentKind::Embedding).find(|file| file.name == *name);
            let sha256 = file.and_then(|file| file.sha256).map(|sha256| sha256.to_string()).unwrap_or_default();
            let hash = sha256.chars().take(12).collect::<String>();
            let file = UsedFile::new(name, hash);
            if !prepared.embeddings.contains(&file) {
                prepared.embeddings.push(file);
            }
        }
        Ok(prepared)
    }

    fn open_lora(&self, path: &Path) -> Result<OpenLora, EngineError> {
        if let Some(open) = self.open_loras().get(path) {
            return Ok(open.clone());
        }
        let hash = FileHashes::of(path)?.auto_v3.unwrap_or_default();
        let open = OpenLora { lora: Arc::new(Lora::open(path)?), hash };
        self.open_loras().insert(path.to_path_buf(), open.clone());
        Ok(open)
    }

    fn open_loras(&self) -> MutexGuard<'_, HashMap<PathBuf, OpenLora>> {
        self.loras.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shelf_mut(&mut self, kind: ComponentKind) -> Option<&mut Shelf> {
        Some(match kind {
            ComponentKind::Lora => &mut self.shelves.loras,
            ComponentKind::Embedding => &mut self.shelves.embeddings,
            ComponentKind::Vae => &mut self.shelves.vaes,
            ComponentKind::Upscaler => &mut self.shelves.upscalers,
            ComponentKind::Controlnet => &mut self.shelves.controlnets,
            _ => return None,
        })
    }
}

/// The path to open for a file of an installation: its own if it holds weights, its folder's if it is the index of a
/// diffusers folder, and none for what lies beside them.
pub(crate) fn model_path(generation: &install::Generation, file: &FileEntry) -> Option<PathBuf> {
    let path = file.path.below(&generation.folder);
    if file.path.file_name() == layout::DIFFUSERS_INDEX {
        return path.parent().map(Path::to_path_buf);
    }
    let is_weights = path.extension().is_some_and(|ending| ending == "safetensors");
    let in_folder = file.path.as_str().rsplit_once('/').is_some_and(|(folder, _)| {
        let index = |folder: &str| format!("{folder}/{}", layout::DIFFUSERS_INDEX).parse().ok();
        let above = folder.rsplit_once('/').map_or("", |(above, _)| above);
        [folder, above]
            .iter()
            .filter_map(|folder| index(folder))
            .any(|index| generation.manifest.file(&index).is_some())
    });
    (is_weights && !in_folder).then_some(path)
}

/// Bytes of all files of a component.
fn size_of(manifest: &BundleManifest, component: &Component) -> u64 {
    manifest.files.iter().filter(|file| file.component == component.id).map(|file| file.size).sum()
}

/// What a LoRA that fits only in part leaves out, in one sentence.
fn left_out(report: &LoraReport) -> String {
    let first = report.unmatched.first().map(String::as_str).unwrap_or_default();
    format!(
        "{} of {} keys of the LoRA `{}` fit nothing in this model and were left out, for example `{first}`",
        report.unmatched.len(),
        report.unmatched.len() + report.matched,
        report.file
    )
}

impl InstalledFile {
    /// The file's own name.
    pub(crate) fn file_name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// The digest that a file had when it was added: of the line that lies beside it.
fn recorded(path: &Path) -> Option<Sha256> {
    let line = fs_err::read_to_string(layout::digest_beside(path)).ok()?;
    line.split_whitespace().next()?.parse().ok()
}

/// An unknown kind of file, by name.
pub(crate) fn kind(name: &str) -> Outcome<ComponentKind> {
    let kinds = || ComponentKind::ALL.into_iter();
    kinds().find(|kind| kind.to_string() == name).ok_or_else(|| {
        let known: Vec<String> = kinds().map(|kind| kind.to_string()).collect();
        Failure::usage(format!("there is no kind `{name}`")).with_hint(format!("use one of: {}", known.join(", ")))
    })
}
