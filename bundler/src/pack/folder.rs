//! The bundle folder while it is being made.

use super::{PackError, ReadBack, Reading, survey};
use manifest::frame::{RecordError, VolumeHeader};
use manifest::{Program, Reporter, Sha256, layout};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

const UNFINISHED_TEXT: &str = "This bundle is not finished: it is still being made, or making it was interrupted.\n\
    Do not carry it anywhere. Run the same `fieldforge bundle` command again; it goes on where it was.\n";

/// A folder in which everything is called `.part` and which says that it is unfinished, until [`BundleFolder::finish`].
pub(crate) struct BundleFolder {
    folder: PathBuf,
    files: Vec<WrittenFile>,
    /// The mark, locked until this is dropped: nobody else makes a bundle in the folder meanwhile.
    _mark: fs_err::File,
}

/// A file that is complete and on the disk.
pub(crate) struct WrittenFile {
    /// Where it is now.
    pub(crate) path: PathBuf,
    /// Its final name.
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) sha256: Sha256,
    /// It was read back.
    pub(crate) checked: bool,
}

impl BundleFolder {
    /// Can a bundle be made here? Changes nothing.
    pub(crate) fn check(folder: &Path, replace: bool) -> Result<(), PackError> {
        let names = match list(folder) {
            Ok(names) => names,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(PackError::writing(error)),
        };
        let begun = names.iter().any(|name| name == layout::UNFINISHED || name == layout::PACKING);
        if !begun && !replace && !names.is_empty() {
            let bundle = names.iter().find(|name| layout::parse_volume_name(name).is_some()).cloned();
            return Err(PackError::NotEmpty { folder: folder.to_path_buf(), bundle });
        }
        // Somebody else's archive is never removed, not even by `replace`.
        if names.iter().any(|name| layout::parse_volume_name(name).is_some() && !is_volume_of_ours(folder, name)) {
            return Err(PackError::NotEmpty { folder: folder.to_path_buf(), bundle: None });
        }
        Ok(())
    }

    /// Bytes of what [`BundleFolder::begin`] would remove.
    pub(crate) fn removable(folder: &Path) -> u64 {
        let names = list(folder).unwrap_or_default();
        let sizes =
            names.iter().filter(|name| is_ours(name)).filter_map(|name| fs_err::metadata(folder.join(name)).ok());
        sizes.map(|metadata| metadata.len()).sum()
    }

    /// It is marked as unfinished.
    pub(crate) fn is_unfinished(folder: &Path) -> bool {
        folder.join(layout::UNFINISHED).exists()
    }

    /// Makes the folder, marks it as unfinished, and removes what an earlier bundle left in it, but for the files whose
    /// names are in `keep`.
    pub(crate) fn begin(folder: &Path, keep: &[String]) -> Result<Self, PackError> {
        fs_err::create_dir_all(folder).map_err(PackError::writing)?;
        let mark = folder.join(layout::UNFINISHED);
        let mut file = fs_err::OpenOptions::new();
        let mut file = file.write(true).create(true).truncate(false).open(&mark).map_err(PackError::writing)?;
        // A file system without locks (some network ones): better without than not at all.
        if let Err(std::fs::TryLockError::WouldBlock) = file.file().try_lock() {
            return Err(PackError::Busy { folder: folder.to_path_buf() });
        }
        file.set_len(0).and_then(|()| file.write_all(UNFINISHED_TEXT.as_bytes())).map_err(PackError::writing)?;
        file.sync_all().map_err(PackError::writing)?;
        sync(folder)?;
        for name in list(folder).map_err(PackError::writing)? {
            if is_ours(&name) && !keep.contains(&name) {
                fs_err::remove_file(folder.join(name)).map_err(PackError::writing)?;
            }
        }
        Ok(Self { folder: folder.to_path_buf(), files: Vec::new(), _mark: file })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn copy_program(&mut self, program: &Program, source: &Path) -> Result<(), PackError> {
        let partial = layout::partial(&program.file.below(&self.folder));
        fs_err::copy(source, &partial).map_err(PackError::writing)?;
        make_executable(&partial)?;
        fs_err::File::open(&partial).and_then(|file| file.sync_all()).map_err(PackError::writing)?;
        let (_, found) = survey::whole_digest(&partial)?;
        if found != program.sha256 {
            return Err(PackError::ProgramChanged { path: source.to_path_buf() });
        }
        self.add(partial, program.file.to_string(), program.size, found);
        Ok(())
    }

    pub(crate) fn write(&mut self, name: &str, content: &[u8]) -> Result<(), PackError> {
        let partial = layout::partial(&self.folder.join(name));
        let mut file = fs_err::File::create(&partial).map_err(PackError::writing)?;
        file.write_all(content).map_err(PackError::writing)?;
        file.sync_all().map_err(PackError::writing)?;
        self.add(partial, name.to_owned(), content.len() as u64, Sha256::of(content));
        Ok(())
    }

    /// Takes over a file that is complete and on the disk.
    pub(crate) fn add(&mut self, path: PathBuf, name: String, size: u64, sha256: Sha256) {
        self.files.push(WrittenFile { path, name, size, sha256, checked: false });
    }

    /// The file that will be called `name`.
    pub(crate) fn file_mut(&mut self, name: &str) -> Option<&mut WrittenFile> {
        self.files.iter_mut().find(|file| file.name == name)
    }

    /// Writes `SHA256SUMS`, reads back what was not yet read back if that is wanted, gives every file its final name and
    /// takes the mark away.
    pub(crate) fn finish(mut self, read_back: bool, reporter: &dyn Reporter) -> Result<ReadBack, PackError> {
        let mut sums: Vec<String> = self.files.iter().map(|file| format!("{}  {}\n", file.sha256, file.name)).collect();
        sums.sort_by(|a, b| a.get(66..).cmp(&b.get(66..)));
        self.write(layout::SHA256SUMS, sums.concat().as_bytes())?;
        let mut how = ReadBack::Medium;
        for file in self.files.iter().filter(|file| read_back && !file.checked) {
            let reading = Reading::begin(&file.path, &file.name, file.size, file.sha256);
            how = how.max(reading.finish(reporter)?);
        }
        for file in &self.files {
            fs_err::rename(&file.path, self.folder.join(&file.name)).map_err(PackError::writing)?;
        }
        sync(&self.folder)?;
        fs_err::remove_file(self.folder.join(layout::UNFINISHED)).map_err(PackError::writing)?;
        sync(&self.folder)?;
        if let Some(parent) = self.folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync(parent)?;
        }
        Ok(if read_back { how } else { ReadBack::Off })
    }
}

/// Names that a bundle of ours uses; nothing else in the folder is ever touched.
fn is_ours(name: &str) -> bool {
    let name = name.strip_suffix(layout::PARTIAL_SUFFIX).unwrap_or(name);
    let program = name == "fieldforge" || name.starts_with("fieldforge-") || name == "fieldforge.exe";
    [layout::START_HERE, layout::SBOM, layout::SHA256SUMS, layout::PACKING, layout::FROZEN_INVENTORY].contains(&name)
        || program
        || layout::parse_any_volume_name(name).is_some()
        || layout::parse_recovery_name(name).is_some()
}

/// An archive that begins as ours do, or that the `SHA256SUMS` beside it lists (a damaged one of ours).
fn is_volume_of_ours(folder: &Path, name: &str) -> bool {
    let mut head = [0; VolumeHeader::LENGTH];
    let read = fs_err::File::open(folder.join(name)).and_then(|mut file| file.read_exact(&mut head));
    if read.is_ok() && VolumeHeader::parse(&head[8..]) != Err(RecordError::NotOurs) {
        return true;
    }
    let sums = fs_err::read_to_string(folder.join(layout::SHA256SUMS)).unwrap_or_default();
    sums.lines().any(|line| line.get(66..) == Some(name))
}

fn list(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Makes names durable. Not every file system can (FAT through FUSE); then there is nothing more to do.
pub(super) fn sync(folder: &Path) -> Result<(), PackError> {
    if cfg!(unix) {
        let outcome = fs_err::File::open(folder).and_then(|folder| folder.sync_all());
        return match outcome {
            Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => Ok(()),
            outcome => outcome.map_err(PackError::writing),
        };
    }
    Ok(())
}

#[cfg(unix)]
fn make_executable(path: &Path) -> Result<(), PackError> {
    use std::os::unix::fs::PermissionsExt as _;
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o755)).map_err(PackError::writing)
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> Result<(), PackError> {
    Ok(())
}
