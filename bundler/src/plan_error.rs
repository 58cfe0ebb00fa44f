//! Why a request cannot be planned.

use manifest::{BundlePath, BundlePathError, ComponentId};
use std::path::PathBuf;

/// A request that cannot be met as it is.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says what it means")]
pub enum PlanError {
    #[error("there is no component `{id}`{}", did_you_mean(.similar))]
    UnknownComponent { id: ComponentId, similar: Vec<ComponentId> },
    #[error("`{id}` is built in under the name `{name}`, which this program does not have")]
    UnknownBuiltin { id: ComponentId, name: String },
    #[error("nobody vouches for the content of `{id}`: no SHA-256 digest is stated for it and its source has none")]
    DigestUnknown { id: ComponentId },
    #[error("`{id}` would carry `{name}`, a pickle: opening such a file can run any program")]
    Pickle { id: ComponentId, name: String },
    #[error("`{first}` and `{second}` would both become `{path}`")]
    SamePath { path: BundlePath, first: ComponentId, second: ComponentId },
    #[error("`{id}` would come over an unprotected connection: `{url}`")]
    PlainHttp { id: ComponentId, url: String },
    #[error("`{id}` has a source that is not a web address: `{url}`: {reason}")]
    BadUrl { id: ComponentId, url: String, reason: String },
    #[error("`{id}` has no source")]
    NoSource { id: ComponentId },
    #[error("`{id}` has no file name")]
    NoFileName { id: ComponentId },
    #[error("`{id}` would get the file name `{name}`, which is not possible")]
    BadFileName { id: ComponentId, name: String },
    #[error("`{id}` would carry model weights as `{name}`; only `.safetensors` is safe to load")]
    NotWeights { id: ComponentId, name: String },
    #[error("`{id}` cannot be placed in a bundle: {reason}")]
    Path { id: ComponentId, reason: BundlePathError },
    #[error("`{id}` is to come from the file `{}`, which is not there", .path.display())]
    MissingFile { id: ComponentId, path: PathBuf },
    #[error("`{field}` names `{id}`, which is not part of the bundle")]
    NotIncluded { field: &'static str, id: ComponentId },
}

fn did_you_mean(similar: &[ComponentId]) -> String {
    match similar {
        [] => String::new(),
        [only] => format!("; did you mean `{only}`?"),
        [rest @ .., last] => {
            let rest: Vec<String> = rest.iter().map(|id| format!("`{id}`")).collect();
            format!("; did you mean {} or `{last}`?", rest.join(", "))
        }
    }
}

impl PlanError {
    /// What to do now.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::UnknownComponent { .. } => {
                "run `fieldforge catalog list` to see every name, or describe it yourself with [[component]] in `forge.toml`".to_owned()
            }
            Self::UnknownBuiltin { .. } => "use the `fieldforge` program that this catalog belongs to".to_owned(),
            Self::DigestUnknown { id } => format!(
                "add `sha256 = \"…\"` to `{id}` from a place you trust, or accept the first download with `--trust-on-first-use`"
            ),
            Self::Pickle { .. } => {
                "choose a `.safetensors` file of the same model: most pages offer one beside the `.ckpt`".to_owned()
            }
            Self::SamePath { second, .. } => format!("give `{second}` another `file` name"),
            Self::PlainHttp { url, .. } => {
                format!("use `https{}`; `http://` is accepted for this machine only (127.0.0.1)", url.trim_start_matches("http"))
            }
            Self::BadUrl { .. } => "write the whole address: url = \"https://example.org/file.safetensors\"".to_owned(),
            Self::NoSource { .. } => {
                "say where it comes from: sources = [{ kind = \"https\", url = \"https://…\" }]".to_owned()
            }
            Self::NoFileName { .. } => "add the file name it should get: file = \"name.safetensors\"".to_owned(),
            Self::BadFileName { .. } => "use a plain file name without folders".to_owned(),
            Self::NotWeights { .. } => "choose a `.safetensors` file".to_owned(),
            Self::Path { .. } => "use a shorter, plain file name".to_owned(),
            Self::MissingFile { path, .. } => {
                format!("put the file at `{}`, or correct the path in `forge.toml`; it counts from the folder of `forge.toml`", path.display())
            }
            Self::NotIncluded { field, id } => format!("add \"{id}\" to `include`, or remove `{field}`"),
        })
    }
}
