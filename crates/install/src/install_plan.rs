//! What an installation will do, before it does it.

use crate::base::Base;
use crate::{Bundle, Generation, InstallError, InstallOptions, disk, generation, trust};
use manifest::{ByteSize, FileEntry, Sha256, layout};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// What an installation will do. Printing it shows what a person wants to know before saying yes.
#[derive(Debug)]
pub struct InstallPlan {
    /// The home.
    pub home: PathBuf,
    /// The generation that will be made.
    pub generation: u32,
    /// The generation in use.
    pub previous: Option<u32>,
    /// Every file of the bundle, in order.
    pub files: Vec<PlannedFile>,
    /// Bytes that the disk must have room for.
    pub needed: u64,
    /// Bytes that it has; nothing when the system does not tell.
    pub free: Option<u64>,
    /// An interrupted installation of the same bundle is continued.
    pub continues: bool,
    /// What deserves attention.
    pub warnings: Vec<String>,
    /// The folder of an interrupted installation of this bundle.
    pub(crate) leftover: Option<PathBuf>,
    /// What an update builds on.
    pub(crate) base: Base,
    /// What the file with the trusted keys will hold, when it changes.
    pub(crate) trusted_keys: Option<String>,
}

/// One file and where it will come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedFile {
    /// Its place below the generation.
    pub path: manifest::BundlePath,
    /// Its size in bytes.
    pub size: u64,
    /// Bytes of it that the bundle holds.
    pub carried: u64,
    /// What will be done.
    pub action: Action,
}

/// Where a file comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// From the bundle.
    Write,
    /// An interrupted installation has it already. It is read and compared first; if it differs, it is written.
    Keep,
    /// The generation in use has it already. It is read and compared, then hard-linked; otherwise it is written.
    Link {
        /// Where it is.
        from: PathBuf,
    },
}

impl InstallPlan {
    /// Plans, and checks that it can be done: room, rights, largest file, paths. Changes nothing.
    ///
    /// # Errors
    /// When the bundle is incomplete or the home cannot hold it.
    pub fn new<State>(bundle: &Bundle<State>, options: &InstallOptions) -> Result<Self, InstallError> {
        if let Some(frozen) = &bundle.manifest().frozen {
            return Err(InstallError::Frozen { bundle: bundle.manifest().name.clone(), what: frozen.what });
        }
        let blocking = bundle.findings().iter().find(|finding| blocks(finding) && !options.salvage);
        if let Some(finding) = blocking {
            // Of a volume that is missing because another one has its name, the other one is the news.
            let same = |other: &&manifest::Finding| other.subject == finding.subject;
            let finding = bundle.findings().iter().find(same).unwrap_or(finding);
            return Err(InstallError::Damaged { finding: finding.clone(), kept: false });
        }
        let home = &options.home;
        // A damaged generation must not prevent the installation that replaces it, unless that builds on it. Which one
        // is in use must be known: it is never touched.
        let (current, damaged) = match generation::current(home) {
            Ok(current) => (current, None),
            Err(error @ InstallError::Io(_)) => return Err(error),
            Err(error) if bundle.manifest().files.iter().any(|file| file.carried.is_some()) => return Err(error),
            Err(error) => (None, Some(error.to_string())),
        };
        let verdict = trust::judge(home, bundle, current.as_ref(), &options.trust)?;
        let leftover = leftover(home, bundle.id(), current.as_ref(), damaged.is_some())?;
        let files = planned_files(&bundle.manifest().files, current.as_ref(), leftover.as_deref());
        let base = Base::new(current.as_ref(), &bundle.manifest().files);
        let incomplete = |(planned, entry): &(&PlannedFile, &FileEntry)| {
            planned.action == Action::Write && entry.carried.is_some() && !base.completes(entry) && !options.salvage
        };
        if let Some((planned, _)) = files.iter().zip(&bundle.manifest().files).find(incomplete) {
            return Err(InstallError::NotThere { path: planned.path.to_string() });
        }
        let newest = generation::complete(home)?.into_iter().max().unwrap_or(0);
        let left_number = leftover.as_deref().and_then(complete_number);
        let generation = left_number.unwrap_or(newest.saturating_add(1));
        let program =
            options.program.as_deref().and_then(|path| fs_err::metadata(path).ok()).map_or(0, |data| data.len());
        let written = files.iter().filter(|file| file.action == Action::Write);
        let needed = written.map(|file| file.size - begun(leftover.as_deref(), file)).sum::<u64>()
            + program
            + 2 * bundle.manifest().to_json().len() as u64
            + (1 << 20);
        let plan = Self {
            home: home.clone(),
            generation,
            previous: current.map(|current| current.number),
            files,
            needed,
            free: disk::free_space(home),
            continues: leftover.is_some(),
            warnings: damaged.into_iter().chain(verdict.warning).chain(warnings(bundle)).collect(),
            leftover,
            base,
            trusted_keys: verdict.keys,
        };
        if !options.skip_preflight {
            plan.preflight(bundle)?;
        }
        Ok(plan)
    }

    /// Bytes that come from the bundle.
    #[must_use]
    pub fn bytes_to_write(&self) -> u64 {
        self.files.iter().filter(|file| file.action == Action::Write).map(|file| file.carried).sum()
    }

    /// Bytes that are there already.
    #[must_use]
    pub fn bytes_to_reuse(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum::<u64>() - self.bytes_to_write()
    }

    fn preflight<State>(&self, bundle: &Bundle<State>) -> Result<(), InstallError> {
        let home = self.home.clone();
        if let (Ok(place), Ok(folder)) = (disk::existing(&home).canonicalize(), bundle.folder().canonicalize())
            && place.starts_with(&folder)
        {
            return Err(InstallError::HomeInBundle { home, bundle: bundle.folder() });
        }
        if let Some(reason) = disk::cannot_write(&home) {
            return Err(InstallError::NotWritable { home, reason });
        }
        if let Some((limit, what)) = disk::largest_file(&home)
            && let Some(file) = self.files.iter().find(|file| file.size > limit)
        {
            return Err(InstallError::FileTooLarge { home, path: file.path.to_string(), size: file.size, limit, what });
        }
        let absolute = std::path::absolute(&home).unwrap_or_else(|_| home.clone());
        let staging = layout::partial(&generation::folder(&absolute, self.generation));
        let longest = self.files.iter().max_by_key(|file| file.path.as_str().len());
        if let Some(file) = longest
            && layout::partial(&file.path.below(&staging)).as_os_str().len() > disk::LONGEST_PATH
        {
            return Err(InstallError::PathTooLong { home, path: file.path.to_string(), limit: disk::LONGEST_PATH });
        }
        match self.free {
            Some(free) if free < self.needed => Err(InstallError::NoSpace { home, needed: self.needed, free }),
            _ => Ok(()),
        }
    }
}

/// A wrong name or a stranger beside the volumes is no reason not to install; a missing or unreadable volume is.
fn blocks(finding: &manifest::Finding) -> bool {
    !matches!(finding.problem, manifest::Problem::Foreign { .. } | manifest::Problem::Damaged { offset: 0, .. })
}

/// The folder that an interrupted installation of this bundle left: unfinished, or finished but never taken in use.
/// When the generation in use is `damaged`, every finished one may be the one in use.
fn leftover(
    home: &Path,
    bundle: Sha256,
    current: Option<&Generation>,
    damaged: bool,
) -> Result<Option<PathBuf>, InstallError> {
    let same =
        |folder: &PathBuf| fs_err::read(folder.join(layout::MANIFEST)).is_ok_and(|text| Sha256::of(&text) == bundle);
    let now = current.map_or(0, |current| current.number);
    let complete = generation::complete(home)?.into_iter().filter(|number| *number > now && !damaged);
    let complete = complete.map(|number| generation::folder(home, number));
    Ok(generation::unfinished(home)?.into_iter().chain(complete).find(same))
}

/// The number of a complete generation's folder.
fn complete_number(folder: &Path) -> Option<u32> {
    folder.file_name()?.to_str()?.parse().ok()
}

fn planned_files(files: &[FileEntry], current: Option<&Generation>, leftover: Option<&Path>) -> Vec<PlannedFile> {
    let mut known: BTreeMap<Sha256, PathBuf> = BTreeMap::new();
    for entry in current.iter().flat_map(|current| &current.manifest.files) {
        if let Some(current) = current {
            known.insert(entry.sha256, entry.path.below(&current.folder));
        }
    }
    let has = |path: &Path, size: u64| {
        std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == size)
    };
    let plan = |entry: &FileEntry| {
        let action = match known.get(&entry.sha256) {
            _ if leftover.is_some_and(|folder| has(&entry.path.below(folder), entry.size)) => Action::Keep,
            Some(from) if entry.size > 0 && has(from, entry.size) => Action::Link { from: from.clone() },
            _ => Action::Write,
        };
        PlannedFile { path: entry.path.clone(), size: entry.size, carried: entry.carried_bytes(), action }
    };
    files.iter().map(plan).collect()
}

/// Bytes of a file that an interrupted installation has written already.
fn begun(leftover: Option<&Path>, file: &PlannedFile) -> u64 {
    let partial = leftover.map(|folder| layout::partial(&file.path.below(folder)));
    let length = partial.and_then(|path| fs_err::metadata(path).ok()).map_or(0, |metadata| disk::taken(&metadata));
    length.min(file.size)
}

fn warnings<State>(bundle: &Bundle<State>) -> Vec<String> {
    let needs = bundle.manifest().needs;
    let mut warnings: Vec<String> = bundle.findings().iter().map(ToString::to_string).collect();
    if let Some((total, available)) = disk::memory() {
        if total < needs.memory {
            warnings.push(format!(
                "generating needs about {} of memory; this machine has {}",
                ByteSize(needs.memory),
                ByteSize(total)
            ));
        } else if available < needs.memory {
            warnings.push(format!(
                "generating needs about {} of memory; {} are free now: close other programs first",
                ByteSize(needs.memory),
                ByteSize(available)
            ));
        }
    }
    if let Some(features) = disk::missing_processor_features() {
        warnings.push(format!("this processor lacks {features}: pictures will take many times longer"));
    }
    warnings
}

impl fmt::Display for InstallPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |action: fn(&Action) -> bool| self.files.iter().filter(|file| action(&file.action)).count();
        writeln!(f, "install into `{}` as generation {}", self.home.display(), self.generation)?;
        if let Some(previous) = self.previous {
            writeln!(f, "  generation {previous} stays in use until everything is verified")?;
        }
        if self.continues {
            writeln!(f, "  an interrupted installation is continued")?;
        }
        let write = count(|action| *action == Action::Write);
        writeln!(f, "  {write} files from the bundle, {}", ByteSize(self.bytes_to_write()))?;
        if self.bytes_to_reuse() > 0 {
            let reuse = self.files.len() - write;
            writeln!(f, "  {reuse} files are there already, {}", ByteSize(self.bytes_to_reuse()))?;
        }
        write!(f, "  needs {} of disk space", ByteSize(self.needed))?;
        if let Some(free) = self.free {
            write!(f, ", {} are free", ByteSize(free))?;
        }
        Ok(())
    }
}
