//! Why a fetch did not succeed.

use crate::Trouble;
use manifest::{BundlePath, ByteSize, ComponentId, Source, Stopped};
use std::io;
use std::path::PathBuf;

/// Why not everything could be fetched. What was fetched stays in the cache; a later fetch goes on from there.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says what it means")]
pub enum FetchError {
    #[error("{}", failures(.0))]
    Failed(Vec<FileFailure>),
    #[error(
        "`{}` has {} free, but {} are still to be fetched", .folder.display(), ByteSize(*.free), ByteSize(*.needed)
    )]
    NoSpace { folder: PathBuf, needed: u64, free: u64 },
    #[error("the cache `{}` cannot be used: {reason}", .folder.display())]
    Cache { folder: PathBuf, reason: io::Error },
    #[error("the certificates in `{}` cannot be used: {reason}", .file.display())]
    CaFile { file: PathBuf, reason: String },
    #[error("the tokens in `{}` are not used: {reason}", .file.display())]
    TokenFile { file: PathBuf, reason: String },
    #[error("the folder of hand-carried files `{}` cannot be read: {reason}", .folder.display())]
    From { folder: PathBuf, reason: io::Error },
    #[error("stopped: {done} of {of} files are complete, and what arrived of the others is kept")]
    Stopped { done: usize, of: usize, source: Stopped },
}

/// One file that no source gave.
#[derive(Debug)]
pub struct FileFailure {
    /// The component that it belongs to.
    pub component: ComponentId,
    /// Its place in the bundle.
    pub path: BundlePath,
    /// Every source that was tried, and why it was of no use.
    pub tried: Vec<Tried>,
}

/// One source that was of no use.
#[derive(Debug)]
pub struct Tried {
    /// The source.
    pub source: Source,
    /// Why.
    pub trouble: Trouble,
}

fn failures(failures: &[FileFailure]) -> String {
    let mut text = String::new();
    for failure in failures {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!("`{}` of `{}` could not be fetched", failure.path.file_name(), failure.component));
        for tried in &failure.tried {
            text.push_str(&format!("\n  from {}: {}", tried.source, tried.trouble));
        }
    }
    text
}

impl FetchError {
    /// What to do now.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Failed(failures) => failures.iter().find_map(FileFailure::hint)?,
            Self::NoSpace { folder, needed, .. } => Trouble::storage_hint(&folder.display().to_string(), *needed),
            Self::Cache { .. } => "choose another folder with `--cache`".to_owned(),
            Self::CaFile { .. } => {
                "give a file with certificates in PEM form (`-----BEGIN CERTIFICATE-----`)".to_owned()
            }
            Self::TokenFile { file, .. } => {
                format!("run `chmod 600 {}`; it holds lines such as HF_TOKEN=…", file.display())
            }
            Self::Stopped { .. } => "run the same command again to go on".to_owned(),
            Self::From { .. } => {
                "correct `--from`: it names a folder with files that were fetched elsewhere".to_owned()
            }
        })
    }
}

impl FileFailure {
    /// What to do now, from the most telling of its troubles.
    fn hint(&self) -> Option<String> {
        let telling = |tried: &&Tried| !matches!(tried.trouble, Trouble::NoBuiltin | Trouble::Unconfirmed);
        let tried = self.tried.iter().find(telling).or(self.tried.first())?;
        Some(match &tried.trouble {
            Trouble::Unauthorized { .. } | Trouble::LoginPage => login_hint(&tried.source),
            Trouble::NotFound { .. } => {
                format!("check that `{}` still exists, or add another source for `{}`", tried.source, self.component)
            }
            Trouble::Connection(_) | Trouble::Stalled(_) | Trouble::Short { .. } => {
                "check the connection and run the same command again: it goes on where it stopped. Behind a proxy set `HTTPS_PROXY`".to_owned()
            }
            Trouble::Busy { .. } => "run the same command again later: it goes on where it stopped".to_owned(),
            Trouble::Certificate(_) => {
                "if your network inspects connections, name its certificate with `--ca-file FILE`".to_owned()
            }
            Trouble::WrongDigest { .. } if matches!(tried.source, Source::File { .. }) => {
                "the file is not the one that was pinned: put that one back, or delete `forge.lock` to take it as it is now".to_owned()
            }
            Trouble::WrongDigest { .. } | Trouble::WrongSize { .. } | Trouble::TooLong { .. } => format!(
                "do not use what this source gives. Check the digest of `{}` with its publisher, or add another source",
                self.component
            ),
            Trouble::Pickle(_) | Trouble::NotWeights(_) => {
                "choose a `.safetensors` file of the same model".to_owned()
            }
            Trouble::LfsPointer => {
                "use the address that gives the file itself: on Hugging Face it has `/resolve/` instead of `/raw/` or `/blob/`".to_owned()
            }
            Trouble::Encoded(_) => "add a source that sends the plain file".to_owned(),
            Trouble::PlainHttp(_) => "use a source that answers over `https://`".to_owned(),
            Trouble::Offline => format!(
                "run it once without `--offline`, or bring `{}` along and name its folder with `--from`",
                self.path.file_name()
            ),
            Trouble::NoFile(path) => format!("put the file at `{path}`, or correct the path in `forge.toml`"),
            Trouble::Unconfirmed => {
                format!("add `sha256 = \"…\"` to `{}`, or accept the first download with `--trust-on-first-use`", self.component)
            }
            Trouble::Registry(_) => {
                format!("correct package, version or file of `{}` in `forge.toml`", self.component)
            }
            Trouble::Disk(_) | Trouble::NoRoom { .. } => "free some space or choose another folder with `--cache`, then run it again".to_owned(),
            Trouble::NoBuiltin => "use the `fieldforge` program that this catalog belongs to".to_owned(),
            Trouble::OddRange(_)
            | Trouble::Changed
            | Trouble::RangesIgnored
            | Trouble::Refused { .. }
            | Trouble::Redirects
            | Trouble::Stopped => format!("add another source for `{}`, or run it again later", self.component),
        })
    }
}

/// Which token to set and where to accept the licence.
fn login_hint(source: &Source) -> String {
    match source {
        Source::Huggingface { repo, .. } => format!(
            "accept the licence at https://huggingface.co/{repo}, make a token at https://huggingface.co/settings/tokens and set `HF_TOKEN`"
        ),
        Source::Civitai { version } => format!(
            "make an API key at https://civitai.com/user/account and set `CIVITAI_TOKEN`; the file's page is https://civitai.com/model-versions/{version}"
        ),
        Source::Github { repo, .. } => {
            format!("if https://github.com/{repo} is private, set `GITHUB_TOKEN` to a token that may read it")
        }
        Source::Npm { .. } => "log in with `npm login`, or put an `_authToken` into `.npmrc`".to_owned(),
        Source::Pypi { .. } => "put user and password into `PIP_INDEX_URL` or `pip.conf`".to_owned(),
        Source::Https { url } => {
            format!("fetch it with a browser from `{url}` and name its folder with `--from`: it is found by its digest")
        }
        Source::File { .. } | Source::Builtin { .. } => "correct the source in `forge.toml`".to_owned(),
    }
}
