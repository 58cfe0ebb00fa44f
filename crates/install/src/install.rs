//! The installation: a transaction that ends with one atomic flip.

use crate::files::check_files;
use crate::generation::{self, write_durably};
use crate::home_lock::HomeLock;
use crate::install_plan::Action;
use crate::staged_file::StagedFile;
use crate::sticks::Sticks;
use crate::stream::{Piece, StreamOptions, stream};
use crate::{Bundle, InstallError, InstallPlan, Receipt, Trust, disk, import};
use manifest::{ArchivePlan, ComponentId, Event, FileEntry, Reporter, Segment, layout};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Where and how to install.
#[derive(Clone, Debug, Default)]
pub struct InstallOptions {
    /// The home.
    pub home: PathBuf,
    /// Threads for decoding; 0: all there are, at most eight.
    pub threads: usize,
    /// The running program; a copy is put into the home.
    pub program: Option<PathBuf>,
    /// Whose bundles are accepted.
    pub trust: Trust,
    /// Try even though room, rights or limits seem to forbid it.
    pub skip_preflight: bool,
    /// Install what is whole of a damaged bundle and leave the rest out.
    pub salvage: bool,
}

/// Installs a bundle as a new generation and takes it in use.
///
/// Files are decoded, compared with the manifest and written as they stream by: there is no second copy, and nothing
/// has its final name before all of its bytes are verified and on the disk. Until the last step, which is one atomic
/// rename, the generation in use stays in use. An interrupted installation, even by `kill -9` or a power cut, is
/// continued by running it again; what it finds, it compares with the manifest before it trusts it, so no journal of
/// progress is needed.
///
/// With [`InstallOptions::salvage`], files that are damaged or missing in the bundle are left out;
/// [`Receipt::missing`] names them.
///
/// # Errors
/// When the home cannot hold the bundle (nothing is written then), the bundle is damaged, or the operating system
/// refuses something. The generation in use stays in use.
pub fn install<State>(
    bundle: &Bundle<State>,
    options: &InstallOptions,
    reporter: &dyn Reporter,
) -> Result<Receipt, InstallError> {
    let start = Instant::now();
    InstallPlan::new(bundle, options)?;
    fs_err::create_dir_all(options.home.join(layout::GENERATIONS)).map_err(InstallError::writing)?;
    let _lock = HomeLock::take(&options.home)?;
    // The stick that the program lies on may not be there any more in the end.
    options.program.as_deref().map(|program| stage_program(program, &options.home)).transpose()?;
    // Somebody else may have been at work before the lock was ours.
    let plan = InstallPlan::new(bundle, options)?;
    plan.warnings.iter().for_each(|text| reporter.event(&Event::Warning { text }));
    let mut staging = Staging::open(&plan, reporter)?;
    let outcome = fill(bundle, options, reporter, &plan, &staging.folder);
    let Filled { written, reused, lost } = match outcome {
        Ok(filled) => filled,
        Err(error) => {
            staging.keep = error.worth_continuing();
            return Err(error);
        }
    };
    let files = &bundle.manifest().files;
    let missing: Vec<&FileEntry> = lost.iter().filter_map(|at| files.get(*at)).collect();
    let unusable: BTreeSet<_> = missing.iter().map(|file| file.component.clone()).collect();
    let receipt = Receipt {
        bundle: bundle.manifest().name.clone(),
        bundle_id: bundle.id(),
        sequence: bundle.manifest().sequence,
        signed_by: bundle.signature().map(|signature| signature.key().clone()),
        generation: plan.generation,
        previous: plan.previous,
        from: bundle.folder(),
        installed_at: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
        installed_by: concat!("fieldforge ", env!("CARGO_PKG_VERSION")).to_owned(),
        files: files.len() - missing.len(),
        bytes: written + reused,
        written,
        reused,
        seconds: start.elapsed().as_secs_f64(),
        warnings: plan.warnings.clone(),
        imported: take_over(bundle, &plan, &staging.folder)?,
        missing: missing.iter().map(|file| file.path.clone()).collect(),
        unusable: unusable.into_iter().collect(),
    };
    staging.commit(&plan, &receipt)?;
    Ok(receipt)
}

/// Keeps what the user imported into the generation in use. Answers which components those are.
fn take_over<State>(
    bundle: &Bundle<State>,
    plan: &InstallPlan,
    staging: &Path,
) -> Result<BTreeSet<ComponentId>, InstallError> {
    let current = plan.previous.and_then(|number| generation::load(&plan.home, number).ok());
    let mut manifest = bundle.manifest().clone();
    let taken = import::take_over(current.as_ref(), staging, &mut manifest)?;
    if !taken.is_empty() {
        // It describes more than the bundle's maker signed.
        fs_err::remove_file(staging.join(layout::MANIFEST_SIGNATURE))
            .or_else(absent_is_fine)
            .map_err(InstallError::Io)?;
        write_durably(&staging.join(layout::MANIFEST), &manifest.to_json())?;
    }
    Ok(taken)
}

fn absent_is_fine(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// What came into the staging folder.
struct Filled {
    /// Bytes from the bundle.
    written: u64,
    /// Bytes that were there already.
    reused: u64,
    /// Files that could not be had.
    lost: BTreeSet<usize>,
}

/// Puts every file of the bundle into the staging folder, or, when salvaging, every file that can be had.
fn fill<State>(
    bundle: &Bundle<State>,
    options: &InstallOptions,
    reporter: &dyn Reporter,
    plan: &InstallPlan,
    staging: &Path,
) -> Result<Filled, InstallError> {
    let threads = if options.threads == 0 { ordered::default_threads() } else { options.threads };
    let files = &bundle.manifest().files;
    write_durably(&staging.join(layout::MANIFEST), &bundle.manifest().to_json())?;
    if let Some(signature) = bundle.signature() {
        write_durably(&staging.join(layout::MANIFEST_SIGNATURE), signature.text().as_bytes())?;
    }
    make_folders(staging, files)?;
    let mut there = reuse(plan, files, staging, threads, reporter)?;
    let reused: u64 = there.iter().filter_map(|at| files.get(*at)).map(|file| file.size).sum();
    for (at, file) in files.iter().enumerate().filter(|(_, file)| file.size == 0) {
        write_durably(&file.path.below(staging), &[])?;
        there.insert(at);
    }
    let resumed = resumable(files, &there, staging)?;
    let continued: u64 = resumed.iter().map(|(_, staged)| staged.length()).sum();
    let archive = bundle.plan();
    let task = layout::archive_name(&bundle.manifest().name);
    let total = bundle.manifest().size();
    let mut done = reused + continued;
    reporter.event(&Event::TaskStart { task: &task, bytes: Some(total) });
    let mut open: Vec<(usize, StagedFile)> = resumed;
    let mut lost = Lost { salvage: options.salvage, files: BTreeSet::new(), first: None };
    let (mut written, mut in_work) = (0, None);
    let mut sticks = Sticks::new(&bundle.set);
    while there.len() + lost.files.len() < files.len() {
        let wanted = wanted(&archive, &there, &open);
        let wanted = |number: u64| usize::try_from(number).ok().and_then(|at| wanted.get(at)).copied().unwrap_or(true);
        let stream_options = StreamOptions { threads, thorough: options.salvage, wanted: &wanted };
        stream(sticks.set(), &archive, &stream_options, |piece| -> Result<(), InstallError> {
            reporter.go_on()?;
            let (segment, content) = match piece {
                Piece::Good { segment, content } => (segment, content),
                Piece::Wrong(finding) => {
                    let file = files.iter().position(|file| file.path.as_str() == finding.subject);
                    lost.note(InstallError::Damaged { finding, kept: true }, file.filter(|at| !there.contains(at)))?;
                    return Ok(());
                }
                Piece::Volume { .. } => return Ok(()),
            };
            let Segment::Chunk { file, index } = segment else { return Ok(()) };
            let Some(entry) = files.get(file).filter(|_| !lost.files.contains(&file)) else { return Ok(()) };
            if in_work.replace(file) != Some(file) {
                reporter.event(&Event::TaskFile { task: &task, file: entry.path.as_str() });
            }
            let at = match open.iter().position(|(at, _)| *at == file) {
                Some(at) => at,
                None => {
                    open.push((file, StagedFile::create(staging, entry)?));
                    open.len() - 1
                }
            };
            let (Some((_, staged)), Some((offset, _))) = (open.get_mut(at), entry.place(index)) else { return Ok(()) };
            staged.write(index, offset, content)?;
            written += content.len() as u64;
            done += content.len() as u64;
            reporter.event(&Event::TaskProgress { task: &task, bytes: done });
            if staged.is_whole() {
                open.remove(at).1.finish()?;
                there.insert(file);
            }
            Ok(())
        })?;
        // What is still missing lies on another stick.
        let settled = there.union(&lost.files).copied().collect();
        let Some((missing, _)) = wanted_chunks(&archive, &settled, &open).next() else { break };
        if let Err(error) = sticks.change(missing, reporter) {
            lost.note(error, None)?;
            lost.files.extend(wanted_chunks(&archive, &settled, &open).map(|(_, file)| file));
            break;
        }
    }
    // What the bundle did not hold the end of, or nothing at all, and what was complete but for its name.
    for (at, entry) in files.iter().enumerate().filter(|(at, _)| !there.contains(at)) {
        reporter.go_on()?;
        let begun = open.iter().position(|(open, _)| *open == at).map(|place| open.remove(place).1);
        let mut staged = begun.map_or_else(|| StagedFile::create(staging, entry), Ok)?;
        if !lost.files.contains(&at) {
            match plan.base.fill(&mut staged, entry) {
                Ok(filled) => done += filled,
                Err(error) => lost.note(error, Some(at))?,
            }
        }
        if lost.files.contains(&at) {
            staged.discard()?;
            continue;
        }
        reporter.event(&Event::TaskProgress { task: &task, bytes: done });
        staged.finish()?;
    }
    reporter.event(&Event::TaskEnd { task: &task, bytes: done });
    let had: u64 = files.iter().enumerate().filter(|(at, _)| !lost.files.contains(at)).map(|(_, file)| file.size).sum();
    match lost.first {
        // Nothing but empty files could be had.
        Some(error) if had == 0 => Err(error),
        _ => Ok(Filled { written: written.min(had), reused: had - written.min(had), lost: lost.files }),
    }
}

/// Files that cannot be had. Only who salvages goes on without them.
struct Lost {
    salvage: bool,
    files: BTreeSet<usize>,
    /// Why, for the first of them.
    first: Option<InstallError>,
}

impl Lost {
    /// Goes on without `file`, if it is one that matters, or not at all.
    fn note(&mut self, error: InstallError, file: Option<usize>) -> Result<(), InstallError> {
        let missing = matches!(
            error,
            InstallError::Damaged { .. }
                | InstallError::NotThere { .. }
                | InstallError::BaseDamaged { .. }
                | InstallError::Elsewhere { .. }
        );
        if !self.salvage || !missing {
            return Err(error);
        }
        self.first.get_or_insert(error);
        self.files.extend(file);
        Ok(())
    }
}

/// Which frames are needed, by number: chunks that are not there, and what lies between files.
fn wanted(archive: &ArchivePlan<'_>, there: &BTreeSet<usize>, open: &[(usize, StagedFile)]) -> Vec<bool> {
    let has = |file: usize, index: usize| {
        there.contains(&file) || open.iter().any(|(at, staged)| *at == file && staged.has(index))
    };
    let needed = |segment: &Segment| match *segment {
        Segment::Chunk { file, index } => !has(file, index),
        _ => true,
    };
    archive.segments().iter().map(needed).collect()
}

/// The frames with chunks that are not there, and their files.
fn wanted_chunks(
    archive: &ArchivePlan<'_>,
    there: &BTreeSet<usize>,
    open: &[(usize, StagedFile)],
) -> impl Iterator<Item = (u64, usize)> {
    let wanted = wanted(archive, there, open);
    let chunks = (0..).zip(archive.segments()).zip(wanted).filter(|(_, wanted)| *wanted);
    chunks.filter_map(|((number, segment), _)| match segment {
        Segment::Chunk { file, .. } => Some((number, *file)),
        _ => None,
    })
}

fn make_folders(staging: &Path, files: &[FileEntry]) -> Result<(), InstallError> {
    let parents: BTreeSet<PathBuf> =
        files.iter().filter_map(|file| file.path.below(staging).parent().map(Path::to_path_buf)).collect();
    parents.iter().try_for_each(|parent| fs_err::create_dir_all(parent).map_err(InstallError::writing))
}

/// Keeps and links what is there already and proves to be right. Answers which files those are.
fn reuse(
    plan: &InstallPlan,
    files: &[FileEntry],
    staging: &Path,
    threads: usize,
    reporter: &dyn Reporter,
) -> Result<BTreeSet<usize>, InstallError> {
    let mut candidates = Vec::new();
    for (at, (planned, entry)) in plan.files.iter().zip(files).enumerate() {
        match &planned.action {
            Action::Write => {}
            Action::Keep => candidates.push((at, entry.path.below(staging), entry)),
            Action::Link { from } => candidates.push((at, from.clone(), entry)),
        }
    }
    if candidates.is_empty() {
        return Ok(BTreeSet::new());
    }
    let on_disk: Vec<_> = candidates.iter().map(|(_, path, entry)| (path.clone(), *entry)).collect();
    let wrong = check_files(&on_disk, threads, reporter, "files that are there already")?;
    let wrong: BTreeSet<&str> = wrong.iter().map(|finding| finding.subject.as_str()).collect();
    let mut there = BTreeSet::new();
    for (at, path, entry) in candidates {
        let target = entry.path.below(staging);
        let kept = path == target;
        if wrong.contains(entry.path.as_str()) {
            if kept {
                fs_err::remove_file(&target).map_err(InstallError::writing)?;
            }
            continue;
        }
        // Where links are not possible (FAT, another disk), the bundle has it, too.
        if kept || (!target.exists() && fs_err::hard_link(&path, &target).is_ok()) {
            there.insert(at);
        }
    }
    Ok(there)
}

/// Opens what an interrupted installation began to write, up to the last chunk that is right.
fn resumable(
    files: &[FileEntry],
    there: &BTreeSet<usize>,
    staging: &Path,
) -> Result<Vec<(usize, StagedFile)>, InstallError> {
    let mut resumed = Vec::new();
    for (at, entry) in files.iter().enumerate().filter(|(at, _)| !there.contains(at)) {
        if let Some(staged) = StagedFile::resume(staging, entry)? {
            resumed.push((at, staged));
        }
    }
    Ok(resumed)
}

/// The folder of a generation that is not complete. Dropping it without a commit removes it, unless it is worth
/// keeping.
struct Staging {
    home: PathBuf,
    folder: PathBuf,
    keep: bool,
    done: bool,
}

impl Staging {
    /// Makes the folder, or takes over the one of an interrupted installation; removes those of other bundles.
    fn open(plan: &InstallPlan, reporter: &dyn Reporter) -> Result<Self, InstallError> {
        let folder = layout::partial(&generation::folder(&plan.home, plan.generation));
        if let Some(leftover) = &plan.leftover
            && *leftover != folder
        {
            fs_err::rename(leftover, &folder).map_err(InstallError::writing)?;
        }
        for other in generation::unfinished(&plan.home)?.into_iter().filter(|other| *other != folder) {
            remove(&other, "another bundle", reporter)?;
        }
        if plan.leftover.is_none() && folder.exists() {
            remove(&folder, "another bundle", reporter)?;
        }
        fs_err::create_dir_all(&folder).map_err(InstallError::writing)?;
        // From here on an error keeps the folder, so that an interruption costs nothing.
        Ok(Self { home: plan.home.clone(), folder, keep: true, done: false })
    }

    /// The end: receipt, everything durable, final name, program, flip.
    fn commit(&mut self, plan: &InstallPlan, receipt: &Receipt) -> Result<(), InstallError> {
        let text = serde_json::to_vec_pretty(receipt).map_err(|error| InstallError::Io(error.into()))?;
        write_durably(&self.folder.join(layout::RECEIPT), &text)?;
        self.sync(plan)?;
        let program = self.home.join(layout::PROGRAM);
        if layout::partial(&program).exists() {
            fs_err::rename(layout::partial(&program), &program).map_err(InstallError::writing)?;
        }
        if let Some(keys) = &plan.trusted_keys {
            write_durably(&self.home.join(layout::TRUSTED_KEYS), keys.as_bytes())?;
        }
        let name = generation::folder(&self.home, plan.generation);
        fs_err::rename(&self.folder, &name).map_err(InstallError::writing)?;
        self.done = true;
        disk::sync_folder(&self.home.join(layout::GENERATIONS)).map_err(InstallError::Io)?;
        generation::make_current(&self.home, plan.generation)
    }

    /// Makes the names in all folders durable.
    fn sync(&self, plan: &InstallPlan) -> Result<(), InstallError> {
        let mut folders = BTreeSet::from([self.folder.clone()]);
        for file in &plan.files {
            let path = file.path.below(&self.folder);
            folders.extend(path.ancestors().skip(1).take_while(|folder| *folder != self.folder).map(Path::to_path_buf));
        }
        folders.iter().try_for_each(|folder| disk::sync_folder(folder).map_err(InstallError::Io))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.done && !self.keep {
            // The error that led here matters more than one of cleaning up.
            let _ = fs_err::remove_dir_all(&self.folder);
        }
    }
}

pub(crate) fn remove(folder: &Path, whose: &str, reporter: &dyn Reporter) -> Result<(), InstallError> {
    let text = format!("removing an unfinished installation of {whose}: `{}`", folder.display());
    reporter.event(&Event::Note { text: &text });
    fs_err::remove_dir_all(folder).map_err(InstallError::writing)
}

/// Copies the program into the home, where it gets its name when all is done.
pub(crate) fn stage_program(from: &Path, home: &Path) -> Result<(), InstallError> {
    let to = &home.join(layout::PROGRAM);
    if let (Ok(from), Ok(to)) = (from.canonicalize(), to.canonicalize())
        && from == to
    {
        return Ok(());
    }
    let partial = layout::partial(to);
    fs_err::copy(from, &partial).map_err(InstallError::writing)?;
    disk::make_executable(&partial).map_err(InstallError::writing)?;
    fs_err::File::open(&partial).and_then(|file| file.sync_all()).map_err(InstallError::writing)
}
