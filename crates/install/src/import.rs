//! Import: the models, pictures and papers of another program's folder become part of a home.
//!
//! The models become a new [`Generation`]: everything that is installed, hard-linked, and the new models beside it,
//! copied. So all of it is there or nothing, every file has its digests, and one can go back. Pictures and papers are the
//! user's own and live beside the generations; they are never overwritten. The folder that is imported is only read.

mod copy;
mod display;
mod error;
mod found;
mod invoke_database;
mod journal;
mod names;
mod places;
mod plan;
mod program;
mod same;
mod settings;
mod walk;

use crate::generation::{self, write_durably};
use crate::home_lock::HomeLock;
use crate::install::{remove, stage_program};
use crate::{Generation, InstallError, Receipt, disk};
use journal::Journal;
use manifest::{BundleManifest, ComponentId, Event, FileEntry, Needs, Reporter, layout};
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

pub use error::ImportError;
pub use found::{Describe, FoundFile, FoundModel, Judge, Judgement, Keepsake, LeftOut, Reason, Unfit};
pub use plan::ImportPlan;
pub use program::Program;

/// What to import, and where to.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// The home.
    pub home: PathBuf,
    /// Also models that this version cannot draw with.
    pub all: bool,
    /// Also pictures.
    pub outputs: bool,
    /// The running program; a copy is put into a home that has none.
    pub program: Option<PathBuf>,
}

/// What an import has done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ImportReport {
    /// The generation that was made; nothing when no model was new.
    pub generation: Option<u32>,
    /// Models that came along.
    pub models: usize,
    /// Pictures and papers that were written.
    pub kept: usize,
    /// Pictures and papers that were there already.
    pub kept_before: usize,
    /// Bytes that were copied.
    pub bytes: u64,
    /// How long it took.
    pub seconds: f64,
}

/// The name of an installation that consists of imported models alone.
const IMPORTED_ALONE: &str = "imported";

/// Carries a plan out. An interrupted import is continued by planning and importing again: copies that are complete
/// are compared, not made again. What is known of pictures only elsewhere, `describe` puts into their copies.
///
/// # Errors
/// When the home cannot hold it (nothing is written then), a file cannot be read, or the operating system refuses
/// something. The generation in use stays in use.
pub fn import(
    plan: &ImportPlan,
    options: &ImportOptions,
    describe: &Describe<'_>,
    reporter: &dyn Reporter,
) -> Result<ImportReport, ImportError> {
    let start = Instant::now();
    let home = &plan.home;
    preflight(plan)?;
    fs_err::create_dir_all(home.join(layout::GENERATIONS)).map_err(InstallError::writing)?;
    let _lock = HomeLock::take(home)?;
    let current = generation::current(home)?;
    if current.as_ref().map(|current| current.number) != plan.previous {
        return Err(ImportError::HomeChanged { home: home.clone() });
    }
    let mut report =
        ImportReport { generation: None, models: plan.models.len(), kept: 0, kept_before: 0, bytes: 0, seconds: 0.0 };
    let task = "copying";
    reporter.event(&Event::TaskStart { task, bytes: Some(plan.size()) });
    let mut done = 0;
    let mut progress = |bytes: u64| {
        done += bytes;
        reporter.event(&Event::TaskProgress { task, bytes: done });
        Ok(reporter.go_on().map_err(InstallError::from)?)
    };
    let staged = match plan.models.is_empty() {
        true => None,
        false => Some(stage(plan, current.as_ref(), reporter, &mut progress, &mut report.bytes)?),
    };
    let mut keeping = copy::Keeping::default();
    for file in &plan.keepsakes {
        let is_told_of = plan.program == Program::InvokeAi && file.is_output;
        match keeping.copy(file, home, is_told_of.then_some(describe))? {
            true => (report.kept, report.bytes) = (report.kept + 1, report.bytes + file.size),
            false => report.kept_before += 1,
        }
        progress(file.size)?;
    }
    keeping.finish(home)?;
    reporter.event(&Event::TaskEnd { task, bytes: done });
    report.seconds = start.elapsed().as_secs_f64();
    if let Some(staged) = staged {
        let receipt = receipt(plan, &staged, current.as_ref(), &report);
        report.generation = Some(commit(plan, &staged, &receipt, options.program.as_deref())?);
    }
    Ok(report)
}

/// An installation that is complete but not in use.
struct Staged {
    number: u32,
    folder: PathBuf,
    manifest: BundleManifest,
}

/// Makes the new installation beside the one in use.
fn stage(
    plan: &ImportPlan,
    current: Option<&Generation>,
    reporter: &dyn Reporter,
    progress: &mut copy::Progress<'_>,
    written: &mut u64,
) -> Result<Staged, ImportError> {
    let number = generation::complete(&plan.home)?.into_iter().max().unwrap_or(0).saturating_add(1);
    let folder = layout::partial(&generation::folder(&plan.home, number));
    for other in generation::unfinished(&plan.home)? {
        if other != folder || !other.join(layout::IMPORT_JOURNAL).is_file() {
            remove(&other, "another bundle", reporter)?;
        }
    }
    fs_err::create_dir_all(&folder).map_err(InstallError::writing)?;
    let mut manifest = current.map_or_else(empty, |current| current.manifest.clone());
    for entry in &mut manifest.files {
        entry.carried = None;
    }
    if let Some(current) = current {
        link_all(&manifest.files, &current.folder, &folder)?;
    }
    let mut journal = Journal::open(&folder)?;
    let files: Vec<_> =
        plan.models.iter().flat_map(|model| model.files.iter().map(|file| (&model.component.id, file))).collect();
    let mut copied = journal.copied(&files, &folder, reporter)?;
    for (component, file) in files {
        let entry = match copied.remove(&file.to) {
            Some(entry) => {
                progress(file.size)?;
                entry
            }
            None => {
                let entry = copy::copy_model(file, component, &folder, progress)?;
                journal.note(file, &entry)?;
                *written += file.size;
                entry
            }
        };
        manifest.files.push(entry);
    }
    manifest.files.sort_by(|a, b| a.path.cmp(&b.path));
    manifest.components.extend(plan.models.iter().map(|model| model.component.clone()));
    if plan.default_model.is_some() {
        manifest.default_model.clone_from(&plan.default_model);
    }
    manifest.needs = needs(&manifest);
    describe(&manifest)?;
    Ok(Staged { number, folder, manifest })
}

/// The generation gets its papers, everything becomes durable, then it is taken in use. Answers its number: an import that
/// was interrupted just before the end has left the same one, complete, which is taken instead.
fn commit(plan: &ImportPlan, staged: &Staged, receipt: &Receipt, program: Option<&Path>) -> Result<u32, ImportError> {
    let Staged { number, folder, manifest } = staged;
    let newest = generation::load(&plan.home, number.saturating_sub(1)).ok();
    let same = |other: &Generation| other.manifest.id() == manifest.id() && Some(other.number) != plan.previous;
    if let Some(left) = newest.filter(same) {
        fs_err::remove_dir_all(folder).map_err(InstallError::writing)?;
        generation::make_current(&plan.home, left.number)?;
        return Ok(left.number);
    }
    write_durably(&folder.join(layout::MANIFEST), &manifest.to_json())?;
    let text = serde_json::to_vec_pretty(receipt).map_err(|error| InstallError::Io(error.into()))?;
    write_durably(&folder.join(layout::RECEIPT), &text)?;
    fs_err::remove_file(folder.join(layout::IMPORT_JOURNAL)).map_err(InstallError::writing)?;
    sync_folders(folder, &manifest.files)?;
    let own = plan.home.join(layout::PROGRAM);
    if let Some(program) = program.filter(|_| !own.exists()) {
        stage_program(program, &plan.home)?;
        fs_err::rename(layout::partial(&own), &own).map_err(InstallError::writing)?;
    }
    fs_err::rename(folder, generation::folder(&plan.home, *number)).map_err(InstallError::writing)?;
    disk::sync_folder(&plan.home.join(layout::GENERATIONS)).map_err(InstallError::Io)?;
    generation::make_current(&plan.home, *number)?;
    Ok(*number)
}

fn receipt(plan: &ImportPlan, staged: &Staged, current: Option<&Generation>, report: &ImportReport) -> Receipt {
    let manifest = &staged.manifest;
    let before = current.iter().flat_map(|current| current.receipt.imported.iter().cloned());
    let now = plan.models.iter().map(|model| model.component.id.clone());
    Receipt {
        bundle: manifest.name.clone(),
        bundle_id: manifest.id(),
        sequence: manifest.sequence,
        signed_by: None,
        generation: staged.number,
        previous: plan.previous,
        from: plan.folder.clone(),
        installed_at: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
        installed_by: concat!("fieldforge ", env!("CARGO_PKG_VERSION")).to_owned(),
        files: manifest.files.len(),
        bytes: manifest.size(),
        written: report.bytes,
        reused: current.map_or(0, |current| current.manifest.size()),
        seconds: report.seconds,
        warnings: Vec::new(),
        imported: before.chain(now).collect(),
        missing: current.map_or_else(Vec::new, |current| current.receipt.missing.clone()),
        unusable: current.map_or_else(Vec::new, |current| current.receipt.unusable.clone()),
    }
}

/// Takes what was imported into the generation in use over into the one that an installation is making: a bundle
/// replaces what came with bundles, not what the user brought. Answers which components those are; `manifest` then
/// describes both.
pub(crate) fn take_over(
    current: Option<&Generation>,
    folder: &Path,
    manifest: &mut BundleManifest,
) -> Result<BTreeSet<ComponentId>, InstallError> {
    let mut taken = BTreeSet::new();
    let Some(current) = current.filter(|current| !current.receipt.imported.is_empty()) else { return Ok(taken) };
    let mut keys: BTreeSet<String> = manifest.files.iter().map(|file| file.path.case_key()).collect();
    for component in &current.manifest.components {
        let files: Vec<FileEntry> =
            current.manifest.files.iter().filter(|file| file.component == component.id).cloned().collect();
        let is_new = !manifest.components.iter().any(|other| other.id == component.id)
            && !files.iter().any(|file| keys.contains(&file.path.case_key()));
        if current.receipt.imported.contains(&component.id) && is_new {
            link_all(&files, &current.folder, folder)?;
            keys.extend(files.iter().map(|file| file.path.case_key()));
            manifest.files.extend(files);
            manifest.components.push(component.clone());
            taken.insert(component.id.clone());
        }
    }
    if !taken.is_empty() {
        manifest.files.sort_by(|a, b| a.path.cmp(&b.path));
        manifest.needs = needs(manifest);
        sync_folders(folder, &manifest.files)?;
    }
    Ok(taken)
}

/// The same files in another folder, without another copy where the file system can do that.
fn link_all(files: &[FileEntry], from: &Path, to: &Path) -> Result<(), InstallError> {
    for file in files {
        let (from, to) = (file.path.below(from), file.path.below(to));
        if let Some(folder) = to.parent() {
            fs_err::create_dir_all(folder).map_err(InstallError::writing)?;
        }
        if to.symlink_metadata().is_ok() {
            fs_err::remove_file(&to).map_err(InstallError::writing)?;
        }
        if fs_err::hard_link(&from, &to).is_err() {
            fs_err::copy(&from, &to).map_err(InstallError::writing)?;
            fs_err::File::open(&to).and_then(|file| file.sync_all()).map_err(InstallError::writing)?;
        }
    }
    Ok(())
}

/// Makes the names in all folders durable.
fn sync_folders(folder: &Path, files: &[FileEntry]) -> Result<(), InstallError> {
    let mut folders = BTreeSet::from([folder.to_path_buf()]);
    for file in files {
        let path = file.path.below(folder);
        folders.extend(path.ancestors().skip(1).take_while(|above| *above != folder).map(Path::to_path_buf));
    }
    folders.iter().try_for_each(|folder| disk::sync_folder(folder).map_err(InstallError::Io))
}

fn empty() -> BundleManifest {
    BundleManifest {
        format: BundleManifest::FORMAT,
        name: IMPORTED_ALONE.to_owned(),
        sequence: 0,
        made_by: concat!("fieldforge ", env!("CARGO_PKG_VERSION")).to_owned(),
        chunk_size: BundleManifest::CHUNK_SIZE,
        needs: Needs::default(),
        default_model: None,
        self_test: None,
        frozen: None,
        programs: Vec::new(),
        components: Vec::new(),
        files: Vec::new(),
    }
}

/// Room for the files, and at least the memory that was needed before.
fn needs(manifest: &BundleManifest) -> Needs {
    let largest_file = manifest.files.iter().map(|file| file.size).max().unwrap_or(0);
    let of_default = |file: &&FileEntry| Some(&file.component) == manifest.default_model.as_ref();
    let model: u64 = manifest.files.iter().filter(of_default).map(|file| file.size).sum();
    // Half-precision weights are widened for computing; the picture itself takes about 2 GiB beside a real model.
    let memory = model.saturating_mul(2).saturating_add(if model > (1 << 30) { 2 << 30 } else { 256 << 20 });
    Needs { disk: manifest.size(), largest_file, memory: memory.max(manifest.needs.memory) }
}

/// What is written must read back.
fn describe(manifest: &BundleManifest) -> Result<(), ImportError> {
    match BundleManifest::parse(layout::MANIFEST, &manifest.to_json()) {
        Ok(_) => Ok(()),
        Err(error) => Err(ImportError::Impossible { reason: error.to_string() }),
    }
}

/// Checks that the home can hold it, before anything is written.
fn preflight(plan: &ImportPlan) -> Result<(), InstallError> {
    let home = plan.home.clone();
    if let Some(reason) = disk::cannot_write(&home) {
        return Err(InstallError::NotWritable { home, reason });
    }
    let files = || plan.models.iter().flat_map(|model| &model.files);
    if let Some((limit, what)) = disk::largest_file(&home)
        && let Some(file) = files().find(|file| file.size > limit)
    {
        return Err(InstallError::FileTooLarge { home, path: file.to.to_string(), size: file.size, limit, what });
    }
    let needed = plan.size() + (1 << 20);
    match disk::free_space(&home) {
        Some(free) if free < needed => Err(InstallError::NoSpace { home, needed, free }),
        _ => Ok(()),
    }
}
