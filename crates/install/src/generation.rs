//! Generations: complete installations that lie beside each other in a home.

use crate::files::check_files;
use crate::{InstallError, Receipt, disk};
use manifest::{
    BundleManifest, BundlePath, FileEntry, Finding, Inventory, Problem, Reporter, Sha256, Signature, Stopped, layout,
};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A complete installation.
#[derive(Clone, Debug)]
pub struct Generation {
    /// Its number, from 1.
    pub number: u32,
    /// Its folder; files of the manifest lie below.
    pub folder: PathBuf,
    /// What it holds: the bundle's manifest without [`Receipt::missing`] files.
    pub manifest: BundleManifest,
    /// How it came there.
    pub receipt: Receipt,
}

impl Generation {
    /// Compares one of its files with the manifest. Answers what is wrong with it; nothing when it is whole.
    ///
    /// # Errors
    /// When somebody asked to stop.
    pub fn verify_file(&self, path: &BundlePath, reporter: &dyn Reporter) -> Result<Vec<Finding>, Stopped> {
        let Some(entry) = self.manifest.file(path) else {
            return Ok(vec![Finding { subject: path.to_string(), problem: Problem::Unexpected }]);
        };
        check_files(&[(path.below(&self.folder), entry)], ordered::default_threads(), reporter, path.file_name())
    }
}

/// The generation in use; nothing when the home is empty or not there.
///
/// # Errors
/// When the home names a generation that is not there or not readable.
pub fn current(home: &Path) -> Result<Option<Generation>, InstallError> {
    let file = home.join(layout::CURRENT);
    let text = match fs_err::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(InstallError::Io(error)),
    };
    let number =
        text.trim().parse().map_err(|_| InstallError::BadCurrent { file, reason: "it holds no number".to_owned() })?;
    load(home, number).map(Some)
}

/// Goes back to the generation before the one in use.
///
/// # Errors
/// When there is none, or the home is being changed by another program.
pub fn roll_back(home: &Path) -> Result<Generation, InstallError> {
    let _lock = crate::home_lock::HomeLock::take(home)?;
    let Some(now) = current(home)? else { return Err(InstallError::NothingInstalled { home: home.to_path_buf() }) };
    let before = complete(home)?.into_iter().filter(|number| *number < now.number).max();
    let Some(before) = before else {
        return Err(InstallError::NothingBefore { home: home.to_path_buf(), number: now.number });
    };
    let generation = load(home, before)?;
    make_current(home, before)?;
    Ok(generation)
}

/// All complete generations, the oldest first. Those that cannot be read are left out.
///
/// # Errors
/// When the home cannot be read.
pub fn history(home: &Path) -> Result<Vec<Generation>, InstallError> {
    let mut numbers = complete(home)?;
    numbers.sort_unstable();
    Ok(numbers.into_iter().filter_map(|number| load(home, number).ok()).collect())
}

/// Removes what no longer is of use: all but the generation in use and the `keep` before it, and unfinished ones.
/// Answers the names of the removed folders and the bytes that they took (files that others share still count).
///
/// # Errors
/// When the home is being changed by another program, or a folder cannot be removed.
pub fn collect_garbage(home: &Path, keep: usize) -> Result<(Vec<String>, u64), InstallError> {
    let _lock = crate::home_lock::HomeLock::take(home)?;
    let Some(now) = current(home)? else { return Err(InstallError::NothingInstalled { home: home.to_path_buf() }) };
    let mut before: Vec<u32> = complete(home)?.into_iter().filter(|number| *number < now.number).collect();
    before.sort_unstable();
    before.truncate(before.len().saturating_sub(keep));
    let old = before.into_iter().map(|number| folder(home, number));
    let mut removed = (Vec::new(), 0);
    for folder in old.chain(unfinished(home)?) {
        removed.1 += size_of(&folder);
        // First a name that nobody takes for a complete generation.
        let doomed = layout::partial(&folder.with_extension(""));
        if doomed != folder {
            fs_err::rename(&folder, &doomed).map_err(InstallError::writing)?;
        }
        fs_err::remove_dir_all(&doomed).map_err(InstallError::writing)?;
        removed.0.extend(folder.file_name().and_then(|name| name.to_str()).map(str::to_owned));
    }
    disk::sync_folder(&home.join(layout::GENERATIONS)).map_err(InstallError::Io)?;
    Ok(removed)
}

/// Bytes of all files below a folder, as far as they can be seen.
fn size_of(folder: &Path) -> u64 {
    let Ok(entries) = fs_err::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size_of(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

/// What the generation in use holds, as a list for the machine that makes bundles.
///
/// # Errors
/// When nothing is installed, or it cannot be read.
pub fn inventory(home: &Path) -> Result<Inventory, InstallError> {
    let Some(now) = current(home)? else { return Err(InstallError::NothingInstalled { home: home.to_path_buf() }) };
    let whole = |mut file: FileEntry| {
        file.carried = None;
        file.codec = None;
        file
    };
    Ok(Inventory {
        format: Inventory::FORMAT,
        made_by: concat!("fieldforge ", env!("CARGO_PKG_VERSION")).to_owned(),
        bundle: now.manifest.name,
        sequence: now.manifest.sequence,
        files: now.manifest.files.into_iter().map(whole).collect(),
    })
}

/// Reads generation `number`.
pub(crate) fn load(home: &Path, number: u32) -> Result<Generation, InstallError> {
    let folder = folder(home, number);
    let bad = |file: PathBuf, reason: String| InstallError::BadGeneration { file, reason };
    let file = folder.join(layout::MANIFEST);
    let text = fs_err::read(&file).map_err(|error| bad(file.clone(), error.to_string()))?;
    let name = file.display().to_string();
    let manifest = BundleManifest::parse(&name, &text).map_err(|error| bad(file, error.to_string()))?;
    let file = folder.join(layout::RECEIPT);
    let text = fs_err::read(&file).map_err(|error| bad(file.clone(), error.to_string()))?;
    let receipt: Receipt = serde_json::from_slice(&text).map_err(|error| bad(file, error.to_string()))?;
    let manifest = without(manifest, &receipt);
    Ok(Generation { number, folder, manifest, receipt })
}

/// The manifest of an unfinished installation of that bundle, with its signature.
pub(crate) fn begun(home: &Path, bundle: Sha256) -> Option<(BundleManifest, Option<Signature>)> {
    unfinished(home).ok()?.into_iter().find_map(|folder| {
        let text = fs_err::read(folder.join(layout::MANIFEST)).ok().filter(|text| Sha256::of(text) == bundle)?;
        let manifest =
            BundleManifest::parse(layout::MANIFEST, &text).ok().filter(|manifest| manifest.id() == bundle)?;
        match fs_err::read_to_string(folder.join(layout::MANIFEST_SIGNATURE)) {
            Ok(signature) => Some((manifest, Some(Signature::check(&text, &signature).ok()?))),
            Err(_) => Some((manifest, None)),
        }
    })
}

/// What is left of a manifest when a bundle was damaged and the rest of it was installed.
fn without(mut manifest: BundleManifest, receipt: &Receipt) -> BundleManifest {
    let gone = |path: &BundlePath| receipt.missing.contains(path);
    manifest.files.retain(|file| !gone(&file.path));
    manifest.default_model.take_if(|model| receipt.unusable.contains(model));
    manifest.self_test.take_if(|test| gone(&test.model) || gone(&test.picture));
    manifest
}

/// The folder of generation `number`.
pub(crate) fn folder(home: &Path, number: u32) -> PathBuf {
    home.join(layout::GENERATIONS).join(layout::generation_name(number))
}

/// The numbers of all complete generations.
pub(crate) fn complete(home: &Path) -> Result<Vec<u32>, InstallError> {
    Ok(entries(home)?.iter().filter_map(|name| name.parse().ok()).collect())
}

/// The folders of unfinished installations.
pub(crate) fn unfinished(home: &Path) -> Result<Vec<PathBuf>, InstallError> {
    let partial =
        |name: &String| name.strip_suffix(layout::PARTIAL_SUFFIX).is_some_and(|name| name.parse::<u32>().is_ok());
    let folder = home.join(layout::GENERATIONS);
    Ok(entries(home)?.into_iter().filter(partial).map(|name| folder.join(name)).collect())
}

fn entries(home: &Path) -> Result<Vec<String>, InstallError> {
    let mut names = Vec::new();
    let listing = match fs_err::read_dir(home.join(layout::GENERATIONS)) {
        Ok(listing) => listing,
        Err(error) if is_absent(&error) => return Ok(names),
        Err(error) => return Err(InstallError::Io(error)),
    };
    for entry in listing {
        names.extend(entry.map_err(InstallError::Io)?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

/// There is nothing there, nor could there be.
fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

/// The flip: from here on `number` is in use. Atomic, and durable when it returns.
pub(crate) fn make_current(home: &Path, number: u32) -> Result<(), InstallError> {
    let text = format!("{}\n", layout::generation_name(number));
    write_durably(&home.join(layout::CURRENT), text.as_bytes())?;
    disk::sync_folder(home).map_err(InstallError::Io)
}

/// Writes a file beside its name, waits for the disk, then renames it.
pub(crate) fn write_durably(path: &Path, content: &[u8]) -> Result<(), InstallError> {
    let partial = layout::partial(path);
    let mut file = fs_err::File::create(&partial).map_err(InstallError::writing)?;
    file.write_all(content).map_err(InstallError::writing)?;
    file.sync_all().map_err(InstallError::writing)?;
    fs_err::rename(&partial, path).map_err(InstallError::writing)
}
