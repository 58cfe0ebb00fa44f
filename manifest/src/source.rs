//! Where the bytes of a component can be had.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One place that offers a file. A component lists several; they are tried in turn and the digest decides.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Source {
    /// Any web address.
    Https {
        /// `https://…`; `http://` only to a loopback address.
        url: String,
    },
    /// A file in a Hugging Face repository.
    Huggingface {
        /// `owner/name`.
        repo: String,
        /// Commit (40 hexadecimal digits) or branch.
        #[serde(default = "main_branch")]
        revision: String,
        /// Path inside the repository.
        file: String,
    },
    /// A model version on CivitAI.
    Civitai {
        /// The number behind `modelVersionId=`.
        version: u64,
    },
    /// A file attached to a GitHub release.
    Github {
        /// `owner/name`.
        repo: String,
        /// The release's tag.
        tag: String,
        /// The file's name.
        asset: String,
    },
    /// A package of the npm registry, carried as its `.tgz`.
    Npm {
        /// Package name, with its scope if it has one.
        package: String,
        /// Exact version.
        version: String,
    },
    /// A file of a release on PyPI or a mirror of it.
    Pypi {
        /// Project name.
        package: String,
        /// Exact version.
        version: String,
        /// File name; absent: the only pure-Python wheel of that version.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
    },
    /// A file on this machine; a relative path counts from the folder of `forge.toml`.
    File {
        /// The path.
        path: String,
    },
    /// A file inside this program.
    Builtin {
        /// Its name there.
        name: String,
    },
}

impl Source {
    /// The page where a person can read about it, and about its licence.
    #[must_use]
    pub fn page(&self) -> Option<String> {
        Some(match self {
            Self::Https { url } => url.clone(),
            Self::Huggingface { repo, .. } => format!("https://huggingface.co/{repo}"),
            Self::Civitai { version } => format!("https://civitai.com/model-versions/{version}"),
            Self::Github { repo, .. } => format!("https://github.com/{repo}"),
            Self::Npm { .. } | Self::Pypi { .. } | Self::File { .. } | Self::Builtin { .. } => return None,
        })
    }
}

fn main_branch() -> String {
    "main".to_owned()
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Https { url } => write!(f, "{url}"),
            Self::Huggingface { repo, revision, file } => {
                let revision: String = revision.chars().take(12).collect();
                write!(f, "huggingface {repo}@{revision} {file}")
            }
            Self::Civitai { version } => write!(f, "civitai model version {version}"),
            Self::Github { repo, tag, asset } => write!(f, "github {repo} {tag} {asset}"),
            Self::Npm { package, version } => write!(f, "npm {package}@{version}"),
            Self::Pypi { package, version, .. } => write!(f, "pypi {package}=={version}"),
            Self::File { path } => write!(f, "file {path}"),
            Self::Builtin { name } => write!(f, "built in: {name}"),
        }
    }
}
