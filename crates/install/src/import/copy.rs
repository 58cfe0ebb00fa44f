//! Copying: a model with its digests, a picture as it is.

use super::error::ImportError;
use super::found::{Describe, FoundFile, Keepsake};
use crate::{InstallError, disk};
use manifest::{ChunkDigest, ComponentId, FileEntry, Sha256, layout};
use sha2::Digest as _;
use std::collections::BTreeSet;
use std::io::{Read, Seek as _, Write as _};
use std::path::{Path, PathBuf};

/// Is told how many bytes more were dealt with, and says when to stop.
pub(crate) type Progress<'a> = dyn FnMut(u64) -> Result<(), ImportError> + 'a;

/// Copies a file of a model into the unfinished installation. Where the file system can, the copy shares the
/// original's blocks until one of the two changes. What is described is what lies in the copy.
pub(crate) fn copy_model(
    file: &FoundFile,
    component: &ComponentId,
    staging: &Path,
    progress: &mut Progress<'_>,
) -> Result<FileEntry, ImportError> {
    let unreadable =
        |error: std::io::Error| ImportError::Unreadable { path: file.from.clone(), reason: error.to_string() };
    let changed = |found| ImportError::Changed { path: file.from.clone(), expected: file.size, found };
    let mut source = fs_err::File::open(&file.from).map_err(unreadable)?;
    let found = source.metadata().map_err(unreadable)?.len();
    if found != file.size {
        return Err(changed(found));
    }
    let target = file.to.below(staging);
    if let Some(folder) = target.parent() {
        fs_err::create_dir_all(folder).map_err(InstallError::writing)?;
    }
    let partial = layout::partial(&target);
    let mut options = fs_err::OpenOptions::new();
    let mut copy =
        options.read(true).write(true).create(true).truncate(true).open(&partial).map_err(InstallError::writing)?;
    let is_clone = disk::clone_file(&source, &copy);
    let mut entry = FileEntry {
        path: file.to.clone(),
        size: file.size,
        sha256: Sha256::of(&[]),
        component: component.clone(),
        head: 0,
        chunks: Vec::new(),
        carried: None,
        codec: None,
    };
    if file.to.as_str().ends_with(".safetensors") {
        entry.head = head(&mut source, file.size).map_err(unreadable)?;
    }
    let mut whole = sha2::Sha256::new();
    let mut chunk = Vec::new();
    let mut done = 0;
    while let Some((_, length)) = entry.place(entry.chunks.len()) {
        chunk.clear();
        let reader: &mut dyn Read = if is_clone { &mut copy } else { &mut source };
        reader.take(length).read_to_end(&mut chunk).map_err(unreadable)?;
        done += chunk.len() as u64;
        if chunk.len() as u64 != length {
            return Err(changed(done));
        }
        whole.update(&chunk);
        entry.chunks.push(ChunkDigest::of(&chunk));
        if !is_clone {
            copy.write_all(&chunk).map_err(InstallError::writing)?;
        }
        progress(length)?;
    }
    entry.sha256 = Sha256::from_bytes(whole.finalize().into());
    copy.sync_all().map_err(InstallError::writing)?;
    fs_err::rename(&partial, &target).map_err(InstallError::writing)?;
    Ok(entry)
}

/// Bytes before the weights of a safetensors file (its format: the header's length in 8 bytes, then the header).
fn head(source: &mut fs_err::File, size: u64) -> std::io::Result<u64> {
    let mut length = Vec::new();
    Read::by_ref(source).take(8).read_to_end(&mut length)?;
    source.rewind()?;
    let length = length.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    Ok(length.checked_add(8).filter(|head| *head > 8 && *head < size).unwrap_or(0))
}

/// Pictures and papers on their way into the home: written, but not yet under their names. Many small files become
/// durable together, because waiting for the disk after each one would take most of the time.
#[derive(Default)]
pub(crate) struct Keeping {
    /// The names that they will get.
    targets: BTreeSet<PathBuf>,
    bytes: u64,
    /// Folders with new names in them.
    folders: BTreeSet<PathBuf>,
}

impl Keeping {
    /// So many files, or bytes, become durable together.
    const TOGETHER: (usize, u64) = (256, 256 << 20);

    /// Copies one file, with the time of its last change. Nothing is ever overwritten: a file of the same bytes is left
    /// as it is, another one of that name stays, and the new one gets a number. Answers whether something was written.
    pub(crate) fn copy(
        &mut self,
        file: &Keepsake,
        home: &Path,
        describe: Option<&Describe<'_>>,
    ) -> Result<bool, ImportError> {
        let unreadable =
            |error: std::io::Error| ImportError::Unreadable { path: file.from.clone(), reason: error.to_string() };
        let described = match describe.filter(|_| is_picture(file)) {
            Some(describe) => describe(&fs_err::read(&file.from).map_err(unreadable)?, file.metadata.as_deref()),
            None => None,
        };
        let wanted = home.join(&file.to);
        if self.targets.contains(&wanted) {
            self.finish(home)?;
        }
        let mut target = wanted.clone();
        let mut number = 2_u32;
        while target.symlink_metadata().is_ok() {
            let is_described = |bytes: &Vec<u8>| fs_err::read(&target).is_ok_and(|there| there == *bytes);
            if described.as_ref().is_some_and(is_described)
                || has_same_bytes(&file.from, &target).map_err(unreadable)?
            {
                return Ok(false);
            }
            target = numbered(&wanted, number);
            number += 1;
        }
        let folder = target.parent().unwrap_or(home);
        fs_err::create_dir_all(folder).map_err(InstallError::writing)?;
        self.folders.extend(folder.ancestors().take_while(|above| above.starts_with(home)).map(Path::to_path_buf));
        let mut source = fs_err::File::open(&file.from).map_err(unreadable)?;
        let mut copy = fs_err::File::create(layout::partial(&target)).map_err(InstallError::writing)?;
        self.targets.insert(target);
        match described {
            Some(bytes) => copy.write_all(&bytes).map_err(InstallError::writing)?,
            None if disk::clone_file(&source, &copy) => {}
            None => _ = std::io::copy(&mut source, &mut copy).map_err(InstallError::writing)?,
        }
        if let Ok(modified) = source.metadata().and_then(|metadata| metadata.modified()) {
            // A file system without times is no reason to lose a picture.
            let _ = copy.file().set_modified(modified);
        }
        self.bytes += file.size;
        if self.targets.len() >= Self::TOGETHER.0 || self.bytes >= Self::TOGETHER.1 {
            self.finish(home)?;
        }
        Ok(true)
    }

    /// Waits for the disk and gives the files their names.
    pub(crate) fn finish(&mut self, home: &Path) -> Result<(), ImportError> {
        let partial: Vec<PathBuf> = self.targets.iter().map(|target| layout::partial(target)).collect();
        disk::sync_files(home, &partial).map_err(InstallError::writing)?;
        while let Some(target) = self.targets.pop_first() {
            fs_err::rename(layout::partial(&target), &target).map_err(InstallError::writing)?;
        }
        std::mem::take(&mut self.folders)
            .iter()
            .try_for_each(|folder| disk::sync_folder(folder))
            .map_err(InstallError::Io)?;
        self.bytes = 0;
        Ok(())
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        for target in &self.targets {
            // What led here matters more than an error of cleaning up.
            let _ = fs_err::remove_file(layout::partial(target));
        }
    }
}

/// A PNG file of a size that pictures have.
fn is_picture(file: &Keepsake) -> bool {
    file.size <= 256 << 20 && file.from.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png"))
}

/// `folder/name-2.png`
fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{number}"));
    if let Some(ending) = path.extension() {
        name.push(".");
        name.push(ending);
    }
    path.with_file_name(name)
}

fn has_same_bytes(one: &Path, other: &Path) -> std::io::Result<bool> {
    let (mut one, mut other) = (fs_err::File::open(one)?, fs_err::File::open(other)?);
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    loop {
        mine.clear();
        theirs.clear();
        Read::by_ref(&mut one).take(1 << 20).read_to_end(&mut mine)?;
        Read::by_ref(&mut other).take(1 << 20).read_to_end(&mut theirs)?;
        if mine != theirs || mine.is_empty() {
            return Ok(mine == theirs);
        }
    }
}
