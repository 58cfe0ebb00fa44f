//! Uploaded pictures under the names that workflows use: small files that hold references.

use std::io;
use std::path::PathBuf;

use fs_err as fs;

use super::userdata::{is_name, write};
use crate::PictureRef;

/// Most uploaded names that are kept.
const MAX_NAMES: usize = 10_000;

/// The folder of names.
#[derive(Debug)]
pub(crate) struct Inputs {
    folder: PathBuf,
}

/// A picture that a workflow names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) picture: PictureRef,
    /// The picture whose transparent part is the mask, where that is another one.
    pub(crate) mask: Option<PictureRef>,
}

impl Inputs {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// All names, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs_err::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| is_name(name))
            .map(|name| name.replace('+', "/"))
            .take(MAX_NAMES)
            .collect();
        names.sort();
        names
    }

    /// Gives a picture a name. A taken name is given to the new picture with `overwrite`, else `cat.png` becomes
    /// `cat (1).png`.
    ///
    /// # Errors
    /// Names the file and the reason.
    pub(crate) fn keep(&self, subfolder: &str, name: &str, named: &Named, overwrite: bool) -> io::Result<String> {
        let (stem, ending) = name.rsplit_once('.').unwrap_or((name, "png"));
        let mut free = name.to_owned();
        for number in 1..=MAX_NAMES {
            let there = self.read(&join(subfolder, &free));
            if overwrite || there.as_ref().is_none_or(|there| there == named) {
                break;
            }
            free = format!("{stem} ({number}).{ending}");
        }
        let mut text = named.picture.to_string();
        if let Some(mask) = &named.mask {
            text.push_str(&format!("\n{mask}"));
        }
        let file = file_name(&join(subfolder, &free))
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the name cannot be used for a file"))?;
        write(&self.folder.join(file), text.as_bytes())?;
        Ok(free)
    }

    /// The picture of a name, which may end in ` [input]`, ` [output]` or ` [temp]`.
    pub(crate) fn read(&self, name: &str) -> Option<Named> {
        let (name, kind) = match name.strip_suffix(']').and_then(|name| name.rsplit_once(" [")) {
            Some((name, kind @ ("input" | "output" | "temp"))) => (name, kind),
            _ => (name, "input"),
        };
        if kind != "input" {
            let id = name.rsplit('/').next()?.strip_suffix(".png")?;
            return Some(Named { picture: format!("output:{id}").parse().ok()?, mask: None });
        }
        let text = fs::read_to_string(self.folder.join(file_name(name)?)).ok()?;
        let mut lines = text.lines();
        let picture = lines.next()?.parse().ok()?;
        Some(Named { picture, mask: lines.next().and_then(|line| line.parse().ok()) })
    }
}

fn join(subfolder: &str, name: &str) -> String {
    if subfolder.is_empty() { name.to_owned() } else { format!("{subfolder}/{name}") }
}

/// One flat file name: `+` stands for the slash of a subfolder.
fn file_name(name: &str) -> Option<String> {
    (name.split('/').all(is_name) && !name.contains('+') && name.len() <= 200).then(|| name.replace('/', "+"))
}
