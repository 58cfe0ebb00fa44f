//! What an import will do, before it does it.

use super::error::ImportError;
use super::found::{FoundFile, FoundModel, Judge, Judgement, Keepsake, LeftOut, Reason};
use super::invoke_database::InvokeDatabase;
use super::names::{Names, portable};
use super::places::Places;
use super::same::Known;
use super::walk::{Contents, Seen, Walk};
use super::{ImportOptions, Program};
use crate::{InstallError, generation};
use manifest::{Component, ComponentId, ComponentKind, Event, Reporter, Source, layout};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What an import will do. Printing it shows what a person wants to know before saying yes.
#[derive(Clone, Debug, Serialize)]
pub struct ImportPlan {
    /// The folder that is imported; for a portable package the program's own folder in it.
    pub folder: PathBuf,
    /// The program that it belongs to.
    pub program: Program,
    /// Its version, where the folder tells.
    pub version: Option<String>,
    /// The home.
    pub home: PathBuf,
    /// The models that come along, by kind, then by name.
    pub models: Vec<FoundModel>,
    /// The pictures and papers that come along.
    pub keepsakes: Vec<Keepsake>,
    /// What stays behind.
    pub left: Vec<LeftOut>,
    /// What gets another name: the old and the new one.
    pub renamed: Vec<(String, String)>,
    /// The checkpoint that generation will start with, when that changes.
    pub default_model: Option<ComponentId>,
    /// The generation in use.
    pub previous: Option<u32>,
}

/// Endings of files that can hold a model.
const WEIGHTS: [&str; 8] = ["safetensors", "sft", "ckpt", "pt", "pth", "bin", "pkl", "gguf"];
/// Endings of what people keep beside a model.
const BESIDE: [&str; 12] = ["json", "info", "txt", "md", "yaml", "yml", "html", "png", "jpg", "jpeg", "webp", "gif"];
/// File names that say nothing: the folder's name says it.
const SAYS_NOTHING: [&str; 5] =
    ["diffusion_pytorch_model", "pytorch_model", "model", "learned_embeds", "pytorch_lora_weights"];
/// The ending that all weights get, whatever they were called.
const ENDING: &str = ".safetensors";

/// A model that can be used, before it has a name here.
struct Candidate {
    judgement: Judgement,
    kind: ComponentKind,
    /// Its name there.
    name: String,
    /// The folder that its files' places count from; for a single file nothing.
    whole: Option<PathBuf>,
    files: Vec<Seen>,
    /// The length of the file name's stem, which what lies beside it begins with.
    stem: String,
}

impl ImportPlan {
    /// Looks through `folder`. Changes nothing. Models are recognized by `judge`, never by their names.
    ///
    /// # Errors
    /// When the folder is none, holds nothing of use, or is a home of this program, and when the home cannot be read.
    /// What cannot be read inside the folder is part of the plan.
    pub fn new(
        folder: &Path,
        options: &ImportOptions,
        judge: &Judge<'_>,
        reporter: &dyn Reporter,
    ) -> Result<Self, ImportError> {
        let home = &options.home;
        if !folder.is_dir() {
            return Err(ImportError::NotAFolder { folder: folder.to_path_buf() });
        }
        if folder.join(layout::CURRENT).is_file() && folder.join(layout::GENERATIONS).is_dir() {
            return Err(ImportError::IsAHome { folder: folder.to_path_buf() });
        }
        if let (Ok(place), Ok(whole)) = (crate::disk::existing(home).canonicalize(), folder.canonicalize())
            && place.starts_with(whole)
        {
            return Err(ImportError::HomeInside { home: home.clone(), folder: folder.to_path_buf() });
        }
        let (program, root) = Program::recognize(folder);
        let mut places = Places::of(program, &root);
        let invoke = std::mem::take(&mut places.invoke);
        let current = generation::current(home)?;
        let mut plan = Self {
            version: program.version(&root),
            folder: root,
            program,
            home: home.clone(),
            models: Vec::new(),
            keepsakes: Vec::new(),
            left: places.left,
            renamed: Vec::new(),
            default_model: None,
            previous: current.as_ref().map(|current| current.number),
        };
        let mut walk = Walk::default();
        let mut candidates = Vec::new();
        let task = "looking through the folder";
        reporter.event(&Event::TaskStart { task, bytes: None });
        for (place, kind) in &places.models {
            for contents in walk.contents(place) {
                plan.judge(contents, *kind, options.all, judge, &invoke, &mut candidates);
            }
        }
        if options.outputs {
            plan.keep(&places.outputs, true, &invoke, &mut walk);
        }
        plan.keep(&places.papers, false, &invoke, &mut walk);
        reporter.event(&Event::TaskEnd { task, bytes: 0 });
        plan.left.append(&mut walk.left);
        // Of twins the one comes along that is in use, else the one with more beside it.
        let wanted = places.default_model.as_deref();
        let by_worth = |candidate: &Candidate| {
            let is_wanted = candidate.files.first().is_some_and(|file| wanted == Some(&name_of(&file.path)));
            (!is_wanted, std::cmp::Reverse(candidate.files.len()))
        };
        candidates.sort_by_key(|candidate| (by_worth(candidate), candidate.name.to_lowercase()));
        let known = Known::of(current.as_ref());
        plan.drop_same(&mut candidates, known, reporter);
        reporter.go_on().map_err(InstallError::from)?;
        candidates.sort_by_key(|candidate| (candidate.kind, candidate.name.to_lowercase()));
        let mut names = Names::of(current.as_ref().map(|current| &current.manifest));
        for candidate in candidates {
            plan.name(candidate, &mut names);
        }
        plan.choose_default(wanted, current.as_ref());
        plan.left.sort_by(|a, b| (&a.reason, &a.path).cmp(&(&b.reason, &b.path)));
        if plan.models.is_empty() && plan.keepsakes.is_empty() && plan.left.is_empty() {
            return Err(ImportError::Nothing { folder: folder.to_path_buf() });
        }
        Ok(plan)
    }

    /// Bytes that will be copied.
    #[must_use]
    pub fn size(&self) -> u64 {
        let models: u64 = self.models.iter().map(FoundModel::size).sum();
        models + self.keepsakes.iter().map(|file| file.size).sum::<u64>()
    }

    /// Nothing is to be done.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.models.is_empty() && self.keepsakes.is_empty()
    }

    /// Finds out what the models of one folder are.
    fn judge(
        &mut self,
        contents: Contents,
        kind: Option<ComponentKind>,
        all: bool,
        judge: &Judge<'_>,
        invoke: &InvokeDatabase,
        found: &mut Vec<Candidate>,
    ) {
        if contents.is_diffusers {
            let size = contents.files.iter().map(|file| file.size).sum();
            let known = invoke.model(&contents.folder);
            match judge(&contents.folder, known.and_then(|known| known.kind).or(kind)) {
                Err(unfit) => {
                    let pickles = contents.files.iter().any(|file| ending(&file.path) == "bin");
                    let reason = if pickles { Reason::Pickle } else { unfit.into() };
                    self.left.push(LeftOut { path: contents.folder, size, reason });
                }
                Ok(judgement) => {
                    let travels =
                        |file: &Seen| matches!(&*ending(&file.path), "safetensors" | "json" | "txt" | "model");
                    let (files, left): (Vec<_>, Vec<_>) = contents.files.into_iter().partition(travels);
                    let pickles = left.into_iter().filter(|file| WEIGHTS.contains(&&*ending(&file.path)));
                    self.left.extend(pickles.map(|file| LeftOut {
                        path: file.path,
                        size: file.size,
                        reason: Reason::Pickle,
                    }));
                    let name = known.map_or_else(|| name_of(&contents.folder), |known| known.name.clone());
                    let whole = Some(contents.folder);
                    self.accept(judgement, Candidate { whole, files, ..Candidate::new(name) }, all, found);
                }
            }
            return;
        }
        let (weights, beside): (Vec<_>, Vec<_>) =
            contents.files.into_iter().partition(|file| WEIGHTS.contains(&&*ending(&file.path)));
        let stems: Vec<String> = weights.iter().map(|file| stem_of(&file.path)).collect();
        for (file, stem) in weights.into_iter().zip(&stems) {
            // A folder with one file in it can be the model, too.
            let known = invoke.model(&file.path).or_else(|| invoke.model(&contents.folder));
            let judgement = match judge(&file.path, known.and_then(|known| known.kind).or(kind)) {
                Ok(judgement) => judgement,
                Err(unfit) => {
                    self.left.push(LeftOut { path: file.path, size: file.size, reason: unfit.into() });
                    continue;
                }
            };
            let generic = SAYS_NOTHING.iter().any(|word| stem.split('.').next() == Some(word));
            let name = match known {
                Some(known) => known.name.clone(),
                None if generic => name_of(&contents.folder),
                None => stem.clone(),
            };
            // `a.b.json` lies beside `a.b.safetensors` rather than beside `a.safetensors`.
            let belongs = |other: &&Seen| {
                let other_name = name_of(&other.path);
                let fits =
                    |stem: &String| other_name.strip_prefix(stem.as_str()).is_some_and(|rest| rest.starts_with('.'));
                BESIDE.contains(&&*ending(&other.path))
                    && stems.iter().filter(|stem| fits(stem)).max_by_key(|stem| stem.len()) == Some(stem)
            };
            let files = std::iter::once(file).chain(beside.iter().filter(belongs).cloned()).collect();
            self.accept(judgement, Candidate { files, stem: stem.clone(), ..Candidate::new(name) }, all, found);
        }
    }

    fn accept(&mut self, judgement: Judgement, mut candidate: Candidate, all: bool, found: &mut Vec<Candidate>) {
        if judgement.usable || all {
            candidate.kind = judgement.kind.unwrap_or(ComponentKind::Part);
            candidate.judgement = judgement;
            found.push(candidate);
            return;
        }
        let path = candidate.whole.or_else(|| candidate.files.first().map(|file| file.path.clone()));
        let size = candidate.files.iter().map(|file| file.size).sum();
        let reason = Reason::NotDrawable(judgement.description);
        self.left.push(LeftOut { path: path.unwrap_or_default(), size, reason });
    }

    /// Takes out what is there already and what came before.
    fn drop_same(&mut self, candidates: &mut Vec<Candidate>, mut known: Known, reporter: &dyn Reporter) {
        let task = "comparing files of equal size";
        let mut compared = 0;
        reporter.event(&Event::TaskStart { task, bytes: None });
        candidates.retain(|candidate| {
            let weights = match candidate.whole {
                Some(_) => candidate.files.as_slice(),
                None => candidate.files.get(..1).unwrap_or_default(),
            };
            // Whoever asked to stop need not wait until everything is compared.
            let same: Vec<Option<String>> =
                weights.iter().map(|file| if reporter.stopping() { None } else { known.find(file) }).collect();
            compared += weights.iter().map(|file| file.size).sum::<u64>();
            reporter.event(&Event::TaskProgress { task, bytes: compared });
            let whole_size = candidate.files.iter().map(|file| file.size).sum();
            if let (Some(file), Some(Some(_))) = (weights.first(), same.first())
                && same.iter().all(Option::is_some)
            {
                let label = same.into_iter().flatten().next().unwrap_or_default();
                let path = candidate.whole.clone().unwrap_or_else(|| file.path.clone());
                self.left.push(LeftOut { path, size: whole_size, reason: Reason::Same(label) });
                return false;
            }
            if candidate.whole.is_none() {
                weights.iter().for_each(|file| known.add(file));
            }
            true
        });
        reporter.event(&Event::TaskEnd { task, bytes: compared });
    }

    /// Gives a model its names here.
    fn name(&mut self, candidate: Candidate, names: &mut Names) {
        let Some(id) = names.id(&candidate.name) else { return };
        let Ok(folder) = layout::folder_of(candidate.kind, &id) else { return };
        let (folder, is_single) = (folder.as_str(), candidate.whole.is_none());
        let stem = names.stem(folder, &candidate.name, if is_single { ENDING } else { "" });
        if stem != candidate.name {
            self.renamed.push((candidate.name.clone(), stem.clone()));
        }
        let place = |at: usize, file: &Seen| match &candidate.whole {
            Some(whole) => {
                let relative = file.path.strip_prefix(whole).unwrap_or(&file.path).to_string_lossy().replace('\\', "/");
                format!("{folder}/{stem}/{relative}")
            }
            None if at == 0 => format!("{folder}/{stem}{ENDING}"),
            None => {
                let name = name_of(&file.path);
                let rest = name.strip_prefix(&candidate.stem).unwrap_or(&name);
                format!("{folder}/{stem}{}", portable(rest))
            }
        };
        let mut files = Vec::new();
        for (at, file) in candidate.files.iter().enumerate() {
            match names.take(&place(at, file)) {
                Ok(to) => files.push(FoundFile { from: file.path.clone(), to, size: file.size }),
                Err(error) if candidate.whole.is_some() => {
                    let path = candidate.whole.clone().unwrap_or_default();
                    let size = candidate.files.iter().map(|file| file.size).sum();
                    return self.left.push(LeftOut { path, size, reason: Reason::BadPath(error.to_string()) });
                }
                Err(_) => {}
            }
        }
        let from = candidate.whole.as_ref().or(candidate.files.first().map(|file| &file.path));
        let path = from.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
        self.models.push(FoundModel {
            component: Component {
                id,
                kind: candidate.kind,
                family: candidate.judgement.family,
                title: stem,
                licence: "unknown".to_owned(),
                sources: vec![Source::File { path }],
                settings: None,
            },
            usable: candidate.judgement.usable,
            files,
        });
    }

    /// Finds pictures or papers.
    fn keep(&mut self, places: &[(PathBuf, PathBuf)], is_output: bool, invoke: &InvokeDatabase, walk: &mut Walk) {
        let below = if is_output { Path::new(layout::OUTPUTS).join(layout::IMPORTED) } else { layout::IMPORTED.into() };
        let below = below.join(self.program.folder_name());
        for (place, name) in places {
            for contents in walk.contents(place) {
                // InvokeAI makes its thumbnails again.
                if self.program == Program::InvokeAi && contents.folder.ends_with("thumbnails") {
                    continue;
                }
                for file in contents.files {
                    let relative = file.path.strip_prefix(place).unwrap_or(Path::new(""));
                    let to = below.join(name).join(relative);
                    let to = if relative.as_os_str().is_empty() { below.join(name) } else { to };
                    let picture = invoke.pictures.get(&name_of(&file.path)).filter(|_| is_output);
                    if picture.is_some_and(|picture| picture.is_intermediate) {
                        self.left.push(LeftOut { path: file.path, size: file.size, reason: Reason::Intermediate });
                        continue;
                    }
                    let board = picture.and_then(|picture| picture.board.as_deref()).map(portable);
                    let to = match (board, to.parent()) {
                        (Some(board), Some(folder)) => folder.join(board).join(name_of(&file.path)),
                        _ => to,
                    };
                    let metadata = picture.and_then(|picture| picture.metadata.clone());
                    self.keepsakes.push(Keepsake { from: file.path, to, size: file.size, is_output, metadata });
                }
            }
        }
    }

    /// The program's own default, else the first checkpoint, unless the home has a better one than the built-in model.
    fn choose_default(&mut self, wanted: Option<&str>, current: Option<&crate::Generation>) {
        let now = current.and_then(|current| current.manifest.default_model.as_ref());
        if now.is_some_and(|now| now.as_str() != "spark") {
            return;
        }
        let checkpoints =
            || self.models.iter().filter(|model| model.component.kind == ComponentKind::Checkpoint && model.usable);
        let is_wanted = |model: &&FoundModel| {
            let from = model.files.first().and_then(|file| file.from.file_name());
            wanted.is_some_and(|wanted| from.is_some_and(|from| from.to_string_lossy() == wanted))
        };
        let chosen = checkpoints().find(is_wanted).or_else(|| checkpoints().next());
        self.default_model = chosen.map(|model| model.component.id.clone());
    }
}

impl Candidate {
    fn new(name: String) -> Self {
        let judgement = Judgement { kind: None, family: None, usable: false, description: String::new() };
        Self { judgement, kind: ComponentKind::Part, name, whole: None, files: Vec::new(), stem: String::new() }
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn stem_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn ending(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}
