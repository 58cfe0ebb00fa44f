//! A model file that comes without a bundle: into the home's own folders, whole or not at all.

use crate::atomic;
use crate::judge::judge;
use crate::library::InstalledFile;
use engine::checkpoint::FileKind;
use install::Unfit;
use manifest::{ComponentKind, Sha256, layout};
use server::{AddError, AddReason};
use sha2::Digest as _;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

/// Longest name of a file, in bytes, without its ending: file systems take 255, and endings follow.
const LONGEST_NAME: usize = 180;
/// What is read at once.
const PIECE: usize = 1 << 20;

/// Where a new model file went.
#[derive(Debug)]
pub(crate) struct Added {
    /// What it is for.
    pub(crate) kind: ComponentKind,
    /// Its file.
    pub(crate) path: PathBuf,
}

/// Writes `body` beside, looks into it, syncs, and gives it its name. `wanted`: what it is said to be for; where its
/// tensors tell, they count.
///
/// # Errors
/// [`AddError`]; nothing is left then.
pub(crate) fn add(
    home: &Path,
    installed: &[InstalledFile],
    name: &str,
    wanted: Option<ComponentKind>,
    body: &mut dyn Read,
) -> Result<Added, AddError> {
    let stem = stem(name)?;
    let mut start = Vec::new();
    (&mut *body).take(FileKind::BYTES_NEEDED as u64).read_to_end(&mut start).map_err(|error| not_kept(name, &error))?;
    // A pickle of gigabytes is refused before it has come.
    if let Some((found, hint)) = refusal(FileKind::of(&start)) {
        return Err(unfit(format!("`{name}` is not added: it is {found}"), hint));
    }
    let folder = home.join(layout::MODELS);
    fs_err::create_dir_all(&folder).map_err(|error| not_kept(name, &error))?;
    let part = Part(layout::partial(&folder.join(format!("{stem}.safetensors"))));
    let sha256 = write(&part.0, &start, body).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => exists(format!("`{name}` is being added already"), "wait until it is there"),
        _ => not_kept(name, &error),
    })?;
    if let Some(same) = installed.iter().find(|file| file.sha256 == Some(sha256)) {
        let message = format!("`{name}` is here already: the {} `{}` has the same content", same.kind, same.name);
        return Err(exists(message, "use that one"));
    }
    let found = judge(&part.0, wanted).map_err(|reason| broken(name, &reason))?;
    let kind = found.kind.filter(|_| found.usable);
    let Some((kind, folder)) = kind.and_then(|kind| Some((kind, layout::models_folder(kind)?))) else {
        let message = format!("`{name}` is not added: it is {}, which this version cannot use", found.description);
        return Err(unfit(
            message,
            "add a checkpoint, LoRA, VAE, embedding, upscaler or ControlNet for Stable Diffusion",
        ));
    };
    let path = home.join(folder).join(format!("{stem}.safetensors"));
    let taken = |file: &InstalledFile| file.kind == kind && (file.name == stem || file.id == stem);
    if path.exists() || installed.iter().any(taken) {
        return Err(exists(format!("there is another {kind} called `{stem}`"), "give the file another name first"));
    }
    let named = fs_err::create_dir_all(home.join(folder)).and_then(|()| fs_err::rename(&part.0, &path));
    named.map_err(|error| not_kept(name, &error))?;
    // Without the line the file can be used all the same; only nobody can check it later.
    let line = format!("{sha256}  {stem}.safetensors\n");
    let _ = atomic::write(&layout::digest_beside(&path), line.as_bytes());
    Ok(Added { kind, path })
}

/// A file that has no name yet; dropping it removes it.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        // Once it has its name there is nothing left to remove.
        let _ = fs_err::remove_file(&self.0);
    }
}

fn write(path: &Path, start: &[u8], body: &mut dyn Read) -> io::Result<Sha256> {
    let mut file = fs_err::OpenOptions::new().write(true).create_new(true).open(path)?;
    let mut hasher = sha2::Sha256::new();
    let mut piece = vec![0; PIECE];
    let mut rest = io::Cursor::new(start).chain(body);
    loop {
        let read = rest.read(&mut piece)?;
        let Some(bytes) = piece.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        hasher.update(bytes);
        file.write_all(bytes)?;
    }
    file.sync_all()?;
    digest(hasher)
}

/// The digest of a file, read whole. `progress` is told how many bytes are read; it may end the work.
///
/// # Errors
/// What the system says; [`io::ErrorKind::Interrupted`] when `progress` ended it.
pub(crate) fn digest_of(path: &Path, progress: &mut dyn FnMut(u64) -> bool) -> io::Result<Sha256> {
    let mut file = fs_err::File::open(path)?;
    let mut hasher = sha2::Sha256::new();
    let mut piece = vec![0; PIECE];
    let mut done = 0;
    loop {
        let read = file.read(&mut piece)?;
        let Some(bytes) = piece.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        hasher.update(bytes);
        done += read as u64;
        if !progress(done) {
            return Err(io::ErrorKind::Interrupted.into());
        }
    }
    digest(hasher)
}

fn digest(hasher: sha2::Sha256) -> io::Result<Sha256> {
    let hex: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    hex.parse().map_err(io::Error::other)
}

/// The name that prompts will call it: one plain name on every system.
fn stem(name: &str) -> Result<&str, AddError> {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_lowercase()).unwrap_or_default();
    if ["ckpt", "pt", "pth", "bin", "pkl"].contains(&ending.as_str()) {
        let (found, hint) = refusal(FileKind::Pickle).unwrap_or_default();
        return Err(unfit(format!("`{name}` is not added: by its name it is {found}"), hint));
    }
    let stem =
        name.rsplit_once('.').filter(|_| ["safetensors", "sft"].contains(&ending.as_str())).map(|(stem, _)| stem);
    let plain = |stem: &&str| {
        let odd = |letter: char| letter.is_control() || "/\\:*?\"<>|".contains(letter);
        !stem.is_empty() && stem.len() <= LONGEST_NAME && !stem.starts_with('.') && !stem.chars().any(odd)
    };
    stem.filter(plain).ok_or_else(|| {
        let shown: String = name.escape_debug().take(80).collect();
        unfit(format!("`{shown}` is no name for a model file"), "call it NAME.safetensors, without slashes or colons")
    })
}

/// What a file is instead, and what to do.
fn refusal(kind: FileKind) -> Option<(&'static str, &'static str)> {
    Some(match kind {
        FileKind::Safetensors => return None,
        FileKind::Pickle | FileKind::ZippedPickle => (
            "a pickle, which can run any program when it is opened",
            "get the .safetensors edition of the model, or convert it on a machine that you can lose",
        ),
        FileKind::Gguf => ("a GGUF file, in a number format for other programs", "get the .safetensors edition"),
        FileKind::Html => {
            ("a web page, not a model: the download went wrong", "download it again while logged in there")
        }
        FileKind::LfsPointer => ("a git-LFS pointer, not the model itself", "fetch the file itself: git lfs pull"),
        FileKind::Zip => ("a zip archive", "unpack it first, and add the .safetensors file in it"),
        FileKind::Empty => ("empty", "copy it again"),
        FileKind::Unknown => ("no safetensors file", "get the .safetensors edition of the model"),
    })
}

/// Why a file that was looked into is not added.
pub(crate) fn broken(name: &str, reason: &Unfit) -> AddError {
    match reason {
        Unfit::Unreadable { reason } => not_kept(name, &io::Error::other(reason.clone())),
        Unfit::Broken { reason } => unfit(format!("`{name}` is not added: {reason}"), "copy or download it again"),
        _ => unfit(format!("`{name}` is not added: it is no safetensors file"), "get the .safetensors edition"),
    }
}

fn unfit(message: String, hint: &str) -> AddError {
    AddError { reason: AddReason::Unfit, message, hint: hint.to_owned() }
}

fn exists(message: String, hint: &str) -> AddError {
    AddError { reason: AddReason::Exists, message, hint: hint.to_owned() }
}

fn not_kept(name: &str, error: &io::Error) -> AddError {
    AddError {
        reason: AddReason::NotKept,
        message: format!("`{name}` is not added: {error}"),
        hint: "make room on the disk that holds the home, or send the file again".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A safetensors file with an embedding for Stable Diffusion 1.x.
    fn embedding() -> Vec<u8> {
        let header = r#"{"emb_params":{"dtype":"F32","shape":[1,768],"data_offsets":[0,3072]}}"#;
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[1; 3072]].concat()
    }

    fn adding(home: &Path, name: &str, bytes: &[u8]) -> Result<Added, AddError> {
        let installed = crate::library::Library::with(home, None);
        add(home, installed.files(), name, None, &mut io::Cursor::new(bytes))
    }

    #[test]
    fn a_file_is_added_once_and_its_digest_beside_it() {
        let home = tempfile::tempdir().unwrap();
        let added = adding(home.path(), "my word.safetensors", &embedding()).unwrap();
        assert_eq!(
            (added.kind, &added.path),
            (ComponentKind::Embedding, &home.path().join("models/embeddings/my word.safetensors"))
        );
        let library = crate::library::Library::with(home.path(), None);
        let [file] = library.files() else { panic!("one file") };
        assert_eq!((file.name.as_str(), file.sha256), ("my word", Some(Sha256::of(&embedding()))));
        assert_eq!(digest_of(&file.path, &mut |_| true).unwrap(), Sha256::of(&embedding()));
        assert!(digest_of(&file.path, &mut |_| false).is_err());
        let again = adding(home.path(), "other.safetensors", &embedding()).unwrap_err();
        assert_eq!(
            (again.reason, again.message.as_str()),
            (AddReason::Exists, "`other.safetensors` is here already: the embedding `my word` has the same content")
        );
        let mut other = embedding();
        other[100] = 7;
        assert_eq!(adding(home.path(), "my word.sft", &other).unwrap_err().reason, AddReason::Exists);
    }

    #[test]
    fn what_is_no_model_leaves_nothing() {
        let home = tempfile::tempdir().unwrap();
        let pickle = b"\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8P\x19.";
        let cut = &embedding()[..2000];
        for (name, bytes, part) in [
            ("a.safetensors", &pickle[..], "a pickle, which can run any program"),
            ("a.ckpt", &embedding(), "by its name it is a pickle"),
            ("a.safetensors", b"<!DOCTYPE html><title>Sign in</title>", "a web page"),
            ("a.safetensors", cut, "cut off: 2000 of"),
            ("a.safetensors", b"", "it is empty"),
            ("../a.safetensors", &embedding(), "is no name for a model file"),
            (".safetensors", &embedding(), "is no name for a model file"),
            ("a", &embedding(), "is no name for a model file"),
        ] {
            let error = adding(home.path(), name, bytes).unwrap_err();
            assert_eq!(error.reason, AddReason::Unfit, "{name}: {error}");
            assert!(error.message.contains(part), "{error}");
        }
        let left = fs_err::read_dir(home.path().join("models")).map(|entries| entries.count()).unwrap_or(0);
        assert_eq!(left, 0);
    }
}
