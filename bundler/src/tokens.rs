//! The user's secrets for the hubs.

use crate::endpoints::home;
use crate::{Credential, Endpoints, FetchError};
use std::path::{Path, PathBuf};
use url::Url;

/// Secrets for Hugging Face, CivitAI and GitHub. Each is sent to its own server only.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    credentials: Vec<Credential>,
}

/// Variables that hold a token, best first, for each server.
const HUGGINGFACE: [&str; 2] = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"];
const CIVITAI: [&str; 2] = ["CIVITAI_TOKEN", "CIVITAI_API_TOKEN"];
const GITHUB: [&str; 2] = ["GITHUB_TOKEN", "GH_TOKEN"];

impl Tokens {
    /// Reads `HF_TOKEN`, `CIVITAI_TOKEN` (or `CIVITAI_API_TOKEN`) and `GITHUB_TOKEN` from the environment, then from
    /// `file` (lines `NAME=token`), then Hugging Face's own token file.
    ///
    /// # Errors
    /// When `file` cannot be read or other users of this machine may read it.
    pub fn from_environment(endpoints: &Endpoints, file: Option<&Path>) -> Result<Self, FetchError> {
        Self::from_variables(endpoints, file, &|name| std::env::var(name).ok())
    }

    pub(crate) fn from_variables(
        endpoints: &Endpoints,
        file: Option<&Path>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, FetchError> {
        let from_file = file.map(read_file).transpose()?.unwrap_or_default();
        let find = |names: [&'static str; 2]| {
            let filled = |token: &String| !token.trim().is_empty();
            let set = names.iter().find_map(|name| variable(name).filter(filled).map(|token| (*name, token)));
            set.or_else(|| {
                from_file
                    .iter()
                    .find_map(|(key, token)| names.iter().find(|name| *name == key).map(|name| (*name, token.clone())))
            })
        };
        let of_hub = || {
            let file = huggingface_file(variable)?;
            let token = fs_err::read_to_string(file).ok()?;
            (!token.trim().is_empty()).then_some(("Hugging Face's token file", token))
        };
        let mut tokens = Self::default();
        tokens.add(find(HUGGINGFACE).or_else(of_hub), &endpoints.huggingface);
        tokens.add(find(CIVITAI), &endpoints.civitai);
        tokens.add(find(GITHUB), &endpoints.github);
        Ok(tokens)
    }

    fn add(&mut self, found: Option<(&str, String)>, server: &str) {
        if let (Some((name, token)), Ok(server)) = (found, Url::parse(server)) {
            self.credentials.extend(Credential::bearer(name, &server, &token));
        }
    }

    /// One secret for each server.
    pub(crate) fn credentials(&self) -> &[Credential] {
        &self.credentials
    }
}

/// Where `huggingface_hub` keeps its token.
fn huggingface_file(variable: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let cache = || {
        let caches = variable("XDG_CACHE_HOME").map(PathBuf::from);
        Some(caches.or_else(|| home(variable).map(|home| home.join(".cache")))?.join("huggingface"))
    };
    let own = || variable("HF_HOME").map(PathBuf::from).or_else(cache).map(|folder| folder.join("token"));
    variable("HF_TOKEN_PATH").map(PathBuf::from).or_else(own)
}

fn read_file(file: &Path) -> Result<Vec<(String, String)>, FetchError> {
    let refuse = |reason: String| FetchError::TokenFile { file: file.to_path_buf(), reason };
    let metadata = fs_err::metadata(file).map_err(|error| refuse(error.to_string()))?;
    if others_may_read(&metadata) {
        return Err(refuse("other users of this machine may read it".to_owned()));
    }
    let text = fs_err::read_to_string(file).map_err(|error| refuse(error.to_string()))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    Ok(lines
        .filter_map(|line| line.split_once('='))
        .map(|(name, token)| (name.trim().to_owned(), token.trim().trim_matches('"').to_owned()))
        .collect())
}

#[cfg(unix)]
fn others_may_read(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o077 != 0
}

/// Elsewhere a user's files are private unless shared on purpose.
#[cfg(not(unix))]
fn others_may_read(_: &std::fs::Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_go_to_their_servers() {
        let variable = |name: &str| match name {
            "HF_TOKEN" => Some("hub".to_owned()),
            "CIVITAI_API_TOKEN" => Some("civit".to_owned()),
            _ => None,
        };
        let tokens = Tokens::from_variables(&Endpoints::default(), None, &variable).unwrap();
        let sent = |url: &str| Credential::header_for(tokens.credentials(), &Url::parse(url).unwrap());
        assert_eq!(sent("https://huggingface.co/a/resolve/main/b"), Some("Bearer hub"));
        assert_eq!(sent("https://civitai.com/api/download/models/1"), Some("Bearer civit"));
        assert_eq!(sent("https://github.com/a/b"), None);
        assert_eq!(sent("https://cdn-lfs.huggingface.co/x"), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokens");
        fs_err::write(&file, "# mine\nHF_TOKEN = \"hub\"\n").unwrap();
        fs_err::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        let none = |_: &str| None;
        let error = Tokens::from_variables(&Endpoints::default(), Some(&file), &none).unwrap_err();
        assert!(error.to_string().contains("other users"), "{error}");
        assert!(error.hint().unwrap().contains("chmod 600"));
        fs_err::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let tokens = Tokens::from_variables(&Endpoints::default(), Some(&file), &none).unwrap();
        assert_eq!(tokens.credentials().len(), 1);
    }
}
