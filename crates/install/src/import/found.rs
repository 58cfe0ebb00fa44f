//! What was found in a folder, and what a model file can be.

use manifest::{BundlePath, Component, ComponentKind};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What a model file is, in the words of the program that can read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What it is for; nothing when it is no whole model.
    pub kind: Option<ComponentKind>,
    /// Its family ("sdxl"), when its tensors tell.
    pub family: Option<String>,
    /// This version can draw with it.
    pub usable: bool,
    /// A noun phrase for people ("a Flux checkpoint").
    pub description: String,
}

/// Why a file that is called like a model is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// A pickle: loading it can run code.
    Pickle,
    /// A llama.cpp file.
    Gguf,
    /// A web page under a model's name.
    WebPage,
    /// The small file that git keeps in place of a large one.
    LfsPointer,
    /// The operating system does not let us read it.
    Unreadable {
        /// Its words.
        reason: String,
    },
    /// Anything else, in one clause.
    Broken {
        /// The clause ("it is truncated: …").
        reason: String,
    },
}

/// Looks into a model file, or into a diffusers folder. The second value is what the folder it lies in is for.
pub type Judge<'a> = dyn Fn(&Path, Option<ComponentKind>) -> Result<Judgement, Unfit> + 'a;

/// Puts into a picture (the bytes of its file) how it was drawn, as everybody reads it: what stands in the file in its
/// program's own words, or else what that program's database says. Nothing when there is nothing to be added.
pub type Describe<'a> = dyn Fn(&[u8], Option<&str>) -> Option<Vec<u8>> + 'a;

/// A model that comes along: one component of the installation that is made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FoundModel {
    /// What it becomes.
    pub component: Component,
    /// This version can draw with it.
    pub usable: bool,
    /// Its weights first, then what lies beside them.
    pub files: Vec<FoundFile>,
}

impl FoundModel {
    /// Bytes of all its files.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }
}

/// One file of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FoundFile {
    /// Where it is.
    #[serde(serialize_with = "as_text")]
    pub from: PathBuf,
    /// Its place in the installation.
    pub to: BundlePath,
    /// Its size in bytes.
    pub size: u64,
}

/// A picture, or a paper (settings, styles, wildcards, workflows), that comes along as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Keepsake {
    /// Where it is.
    #[serde(serialize_with = "as_text")]
    pub from: PathBuf,
    /// Its place, counted from the home.
    #[serde(serialize_with = "as_text")]
    pub to: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// It was drawn; otherwise it is a paper.
    pub is_output: bool,
    /// What its program's database says of it.
    #[serde(skip)]
    pub metadata: Option<String>,
}

/// Something that stays behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Where it is.
    #[serde(serialize_with = "as_text")]
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Why.
    pub reason: Reason,
}

/// Why something stays behind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// A pickle.
    Pickle,
    /// A GGUF file.
    Gguf,
    /// A web page.
    WebPage,
    /// A git-LFS pointer.
    LfsPointer,
    /// A damaged file, with what is wrong.
    Broken(String),
    /// A model that this version cannot draw with, with what it is.
    NotDrawable(String),
    /// A link whose target is not there, with the target.
    DanglingLink(String),
    /// A link to a folder that it lies in.
    Loop,
    /// The operating system does not let us read it, with its words.
    Unreadable(String),
    /// A folder that the program's settings name, which is not there. With the file that names it.
    NotThere(String),
    /// The same bytes as another file, which comes along or is installed already.
    Same(String),
    /// A diffusers folder with a file whose path a bundle cannot hold, with the reason.
    BadPath(String),
    /// A picture that was only a step on the way to another one.
    Intermediate,
}

impl Reason {
    /// The heading over everything that stays behind for this kind of reason.
    #[must_use]
    pub const fn heading(&self) -> &'static str {
        match self {
            Self::Pickle => "pickles, which can run code when they are loaded: never opened",
            Self::Gguf => "GGUF files, which this version does not read",
            Self::WebPage => "web pages under a model's name: a download was answered with a login or error page",
            Self::LfsPointer => "git-LFS pointers, not the models themselves",
            Self::Broken(_) => "files that are damaged or hold something else",
            Self::NotDrawable(_) => "models that this version cannot draw with",
            Self::DanglingLink(_) => "links whose target is not there",
            Self::Loop => "links to a folder that they lie in",
            Self::Unreadable(_) => "what cannot be read",
            Self::NotThere(_) => "folders that the settings name and that are not there",
            Self::Same(_) => "the same bytes as another file",
            Self::BadPath(_) => "folders with paths that cannot be used on every system",
            Self::Intermediate => {
                "pictures on the way to others (masks, first passes), which InvokeAI does not show either"
            }
        }
    }

    /// What to do about it; nothing when there is nothing to do.
    #[must_use]
    pub const fn advice(&self) -> Option<&'static str> {
        Some(match self {
            Self::Pickle => "convert them to .safetensors on the machine that they came from, then import again",
            Self::Gguf => "get the same model as .safetensors",
            Self::WebPage | Self::Broken(_) => "download them again, then import again",
            Self::LfsPointer => "run `git lfs pull` in that folder on a machine with internet, then import again",
            Self::NotDrawable(_) => "add --all to carry them all the same",
            Self::DanglingLink(_) | Self::NotThere(_) => {
                "plug in the disk that they were on, or import the folder where they are now"
            }
            Self::Unreadable(_) => "run this as the account that owns them, or check the disk",
            Self::BadPath(_) => "rename or shorten them, then import again",
            Self::Loop | Self::Same(_) | Self::Intermediate => return None,
        })
    }

    /// What there is to say about one file, beyond the heading.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Broken(text)
            | Self::NotDrawable(text)
            | Self::DanglingLink(text)
            | Self::Unreadable(text)
            | Self::NotThere(text)
            | Self::Same(text)
            | Self::BadPath(text) => Some(text),
            Self::Pickle | Self::Gguf | Self::WebPage | Self::LfsPointer | Self::Loop | Self::Intermediate => None,
        }
    }
}

impl From<Unfit> for Reason {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Pickle => Self::Pickle,
            Unfit::Gguf => Self::Gguf,
            Unfit::WebPage => Self::WebPage,
            Unfit::LfsPointer => Self::LfsPointer,
            Unfit::Unreadable { reason } => Self::Unreadable(reason),
            Unfit::Broken { reason } => Self::Broken(reason),
        }
    }
}

/// File names need not be Unicode; JSON is.
fn as_text<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}
