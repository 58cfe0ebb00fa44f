use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::near::nearest;
use crate::EngineError;
use crate::checkpoint::inspect;

/// Files of one kind, by the names that people call them.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    kind: &'static str,
    files: BTreeMap<String, PathBuf>,
}

impl Shelf {
    /// Endings of the files that [`Shelf::of_folder`] finds. Those that hold pickles are found too, so that naming one
    /// is answered with what it is and not with "unknown".
    const ENDINGS: [&'static str; 6] = ["safetensors", "sft", "pt", "pth", "ckpt", "bin"];
    /// Folders below each other that [`Shelf::of_folder`] follows: a link to a folder above it must end somewhere.
    const DEPTH: usize = 8;

    /// An empty shelf; `kind` is what one of its files is called in messages.
    pub fn new(kind: &'static str) -> Self {
        Self { kind, files: BTreeMap::new() }
    }

    /// All models in a folder and the folders below it; a folder that does not exist is empty.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn of_folder(kind: &'static str, folder: &Path) -> io::Result<Self> {
        let mut shelf = Self::new(kind);
        if folder.is_dir() {
            shelf.add_folder(folder, "", Self::DEPTH)?;
        }
        Ok(shelf)
    }

    fn add_folder(&mut self, folder: &Path, prefix: &str, depth: usize) -> io::Result<()> {
        for entry in fs_err::read_dir(folder)? {
            let path = entry?.path();
            let Some(stem) = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()) else { continue };
            if path.is_dir() {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if depth > 0 {
                    self.add_folder(&path, &format!("{prefix}{name}/"), depth - 1)?;
                }
                continue;
            }
            let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
            if Self::ENDINGS.contains(&ending.as_str()) {
                self.files.insert(format!("{prefix}{stem}"), path);
            }
        }
        Ok(())
    }

    /// Adds a file under its own name, without the ending.
    pub fn add(&mut self, path: &Path) {
        let stem = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        self.files.insert(stem, path.to_owned());
    }

    /// Names (with the folders below the shelf's own, as in `style/ink`) and paths, in the order of the names.
    pub fn files(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.files.iter().map(|(name, path)| (name.as_str(), path.as_path()))
    }

    /// The file that a person means by `name`: its path below the folder, its own name in any folder, either in other
    /// letter case, or the name that its metadata says it was trained under (`ss_output_name`, as in A1111). Each is
    /// tried only where the one before finds nothing, and counts only where it finds one file.
    ///
    /// # Errors
    /// [`EngineError::UnknownName`] with the names that look most like it.
    pub fn find(&self, name: &str) -> Result<&Path, EngineError> {
        let wanted = Self::ENDINGS.iter().find_map(|ending| name.strip_suffix(ending)?.strip_suffix('.'));
        let wanted = wanted.unwrap_or(name).trim();
        let folded = wanted.to_lowercase();
        fn stem(name: &str) -> &str {
            name.rsplit('/').next().unwrap_or(name)
        }
        let only = |fits: &dyn Fn(&str, &Path) -> bool| {
            let mut found = self.files().filter(|(name, path)| fits(name, path)).map(|(_, path)| path);
            found.next().filter(|_| found.next().is_none())
        };
        only(&|name, _| name == wanted)
            .or_else(|| only(&|name, _| stem(name) == wanted))
            .or_else(|| only(&|name, _| name.to_lowercase() == folded))
            .or_else(|| only(&|name, _| stem(name).to_lowercase() == folded))
            .or_else(|| only(&|_, path| trained_as(path).is_some_and(|alias| alias == wanted)))
            .ok_or_else(|| EngineError::UnknownName {
                kind: self.kind,
                name: name.to_owned(),
                near: nearest(wanted, self.files.keys().map(String::as_str)),
            })
    }
}

/// The name in a file's metadata, if it can be read.
fn trained_as(path: &Path) -> Option<String> {
    inspect(path).ok()?.metadata.remove("ss_output_name")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shelf() -> (tempfile::TempDir, Shelf) {
        let folder = tempfile::tempdir().expect("a folder");
        let header = br#"{"__metadata__":{"ss_output_name":"inkwash_v3"}}"#;
        let mut content = (header.len() as u64).to_le_bytes().to_vec();
        content.extend(header);
        for name in
            ["add_detail.safetensors", "style/Ink.safetensors", "style/pixel.pt", "old/pixel.safetensors", "readme.txt"]
        {
            let path = folder.path().join(name);
            fs_err::create_dir_all(path.parent().expect("a parent")).expect("created");
            let content = if name.contains("Ink") { &content[..] } else { b"" };
            fs_err::write(&path, content).expect("written");
        }
        fs_err::remove_file(folder.path().join("old/pixel.safetensors")).expect("removed");
        let shelf = Shelf::of_folder("LoRA", folder.path()).expect("a shelf");
        (folder, shelf)
    }

    #[test]
    fn a_file_is_found_by_every_name_that_people_give_it() {
        let (_folder, shelf) = shelf();
        let found = |name: &str| {
            let path = shelf.find(name).map(|path| path.file_name().unwrap_or_default().to_string_lossy().into_owned());
            path.unwrap_or_else(|error| format!("{error}; {}", error.hint().unwrap_or_default()))
        };
        assert_eq!(found("add_detail"), "add_detail.safetensors");
        assert_eq!(found("add_detail.safetensors"), "add_detail.safetensors");
        assert_eq!(found("style/Ink"), "Ink.safetensors");
        assert_eq!(found("Ink"), "Ink.safetensors");
        assert_eq!(found("ADD_DETAIL"), "add_detail.safetensors");
        assert_eq!(found("Style/INK"), "Ink.safetensors");
        assert_eq!(found("inkwash_v3"), "Ink.safetensors");
        assert_eq!(found("pixel"), "pixel.pt");
        assert_eq!(
            found("add_detial"),
            "no LoRA is called `add_detial`; the nearest names are `add_detail`, `style/pixel` and `style/Ink`"
        );
    }

    #[test]
    fn what_could_be_two_files_is_neither() {
        let (folder, _) = shelf();
        fs_err::write(folder.path().join("old/pixel.safetensors"), b"").expect("written");
        let shelf = Shelf::of_folder("LoRA", folder.path()).expect("a shelf");
        let error = shelf.find("pixel").expect_err("two");
        assert_eq!(error.hint().as_deref(), Some("the nearest names are `old/pixel`, `style/pixel` and `style/Ink`"));
        assert!(shelf.find("old/pixel").is_ok());
    }

    #[test]
    fn an_empty_or_missing_folder_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let shelf = Shelf::of_folder("embedding", &folder.path().join("none")).expect("a shelf");
        let error = shelf.find("easynegative").expect_err("unknown");
        assert_eq!(error.to_string(), "no embedding is called `easynegative`");
        assert_eq!(error.hint().as_deref(), Some("there is none: add the file, or take the name out"));
    }
}
