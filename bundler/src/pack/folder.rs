//! The bundle folder while it is being made.

use super::volume_writer::WrittenVolume;
use super::{PackError, survey};
use manifest::frame::{RecordError, VolumeHeader};
use manifest::{Program, Sha256, layout};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

const UNFINISHED_TEXT: &str = "This bundle is not finished: it is still being made, or making it was interrupted.\n\
    Do not carry it anywhere. Run the same `fieldforge bundle` command again; it starts over in this folder.\n";

/// A folder in which everything is called `.part` and which says that it is unfinished, until [`BundleFolder::finish`].
pub(crate) struct BundleFolder {
    folder: PathBuf,
    /// Written files: where they are, their final name, their digest.
    files: Vec<(PathBuf, String, Sha256)>,
}

impl BundleFolder {
    /// Can a bundle be made here? Changes nothing.
    pub(crate) fn check(folder: &Path, replace: bool) -> Result<(), PackError> {
        let names = match list(folder) {
            Ok(names) => names,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(PackError::writing(error)),
        };
        let unfinished = names.iter().any(|name| name == layout::UNFINISHED);
        if !unfinished && !replace && !names.is_empty() {
            let bundle = names.iter().find(|name| layout::parse_volume_name(name).is_some()).cloned();
            return Err(PackError::NotEmpty { folder: folder.to_path_buf(), bundle });
        }
        // Somebody else's archive is never removed, not even by `replace`.
        if names.iter().any(|name| layout::parse_volume_name(name).is_some() && !is_volume_of_ours(folder, name)) {
            return Err(PackError::NotEmpty { folder: folder.to_path_buf(), bundle: None });
        }
        Ok(())
    }

    /// Makes the folder, removes what an earlier bundle left in it, and marks it as unfinished.
    pub(crate) fn begin(folder: &Path) -> Result<Self, PackError> {
        fs_err::create_dir_all(folder).map_err(PackError::writing)?;
        let mark = folder.join(layout::UNFINISHED);
        let mut file = fs_err::File::create(&mark).map_err(PackError::writing)?;
        file.write_all(UNFINISHED_TEXT.as_bytes()).map_err(PackError::writing)?;
        file.sync_all().map_err(PackError::writing)?;
        sync(folder)?;
        for name in list(folder).map_err(PackError::writing)? {
            if is_ours(&name) {
                fs_err::remove_file(folder.join(name)).map_err(PackError::writing)?;
            }
        }
        Ok(Self { folder: folder.to_path_buf(), files: Vec::new() })
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
        self.files.push((partial, program.file.to_string(), found));
        Ok(())
    }

    pub(crate) fn write(&mut self, name: &str, content: &[u8]) -> Result<(), PackError> {
        let partial = layout::partial(&self.folder.join(name));
        let mut file = fs_err::File::create(&partial).map_err(PackError::writing)?;
        file.write_all(content).map_err(PackError::writing)?;
        file.sync_all().map_err(PackError::writing)?;
        self.files.push((partial, name.to_owned(), Sha256::of(content)));
        Ok(())
    }

    /// Takes the volumes over; a single one is called like an archive. Answers names and sizes.
    pub(crate) fn add_volumes(&mut self, bundle: &str, volumes: Vec<WrittenVolume>) -> Vec<(String, u64)> {
        let single = volumes.len() == 1;
        let mut names = Vec::new();
        for (number, volume) in (1..).zip(volumes) {
            let name = if single { layout::archive_name(bundle) } else { layout::volume_name(bundle, number) };
            self.files.push((volume.partial, name.clone(), volume.sha256));
            names.push((name, volume.size));
        }
        names
    }

    /// Writes `SHA256SUMS`, gives every file its final name and takes the mark away.
    pub(crate) fn finish(mut self) -> Result<(), PackError> {
        let mut sums: Vec<String> = self.files.iter().map(|(_, name, sha256)| format!("{sha256}  {name}\n")).collect();
        sums.sort_by(|a, b| a.get(66..).cmp(&b.get(66..)));
        self.write(layout::SHA256SUMS, sums.concat().as_bytes())?;
        for (partial, name, _) in &self.files {
            fs_err::rename(partial, self.folder.join(name)).map_err(PackError::writing)?;
        }
        sync(&self.folder)?;
        fs_err::remove_file(self.folder.join(layout::UNFINISHED)).map_err(PackError::writing)?;
        sync(&self.folder)?;
        if let Some(parent) = self.folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync(parent)?;
        }
        Ok(())
    }
}

/// Names that a bundle of ours uses; nothing else in the folder is ever touched.
fn is_ours(name: &str) -> bool {
    let name = name.strip_suffix(layout::PARTIAL_SUFFIX).unwrap_or(name);
    let program = name == "fieldforge" || name.starts_with("fieldforge-") || name == "fieldforge.exe";
    [layout::START_HERE, layout::SHA256SUMS].contains(&name) || program || layout::parse_volume_name(name).is_some()
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
fn sync(folder: &Path) -> Result<(), PackError> {
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
