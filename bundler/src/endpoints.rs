//! Which servers stand behind `npm`, `pypi`, `huggingface`, `civitai` and `github`.

use crate::npmrc::Npmrc;
use crate::pip_conf::PipConf;
use crate::{Credential, registries};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use url::Url;

/// The servers to ask. Read from where the standard clients read them, so that an in-house mirror works as people
/// expect; tests set them directly.
#[derive(Clone, Debug)]
pub struct Endpoints {
    /// The npm registry.
    pub npm: String,
    /// npm registries for scopes (`@own` → address).
    pub npm_scopes: BTreeMap<String, String>,
    /// Package indexes as pip takes them, tried in turn.
    pub pypi: Vec<String>,
    /// The Hugging Face hub.
    pub huggingface: String,
    /// CivitAI.
    pub civitai: String,
    /// GitHub.
    pub github: String,
    /// Secrets that the clients' settings hold (`_authToken`, user and password).
    pub credentials: Vec<Credential>,
    /// Files with clients' settings that are there and cannot be read, each with the reason in a sentence.
    pub unread: Vec<String>,
}

/// The public addresses, without any secret.
impl Default for Endpoints {
    fn default() -> Self {
        Self {
            npm: registries::NPM.to_owned(),
            npm_scopes: BTreeMap::new(),
            pypi: vec![registries::PYPI.to_owned()],
            huggingface: registries::HUGGINGFACE.to_owned(),
            civitai: registries::CIVITAI.to_owned(),
            github: registries::GITHUB.to_owned(),
            credentials: Vec::new(),
            unread: Vec::new(),
        }
    }
}

impl Endpoints {
    /// Reads `NPM_CONFIG_REGISTRY`, `.npmrc` (of `request_folder`, the user, the machine), `PIP_INDEX_URL`, `pip.conf`
    /// and `HF_ENDPOINT`, in the order in which npm, pip and `huggingface_hub` read them. A file that cannot be read
    /// is passed over, as the clients do, and named in [`Endpoints::unread`].
    #[must_use]
    pub fn from_environment(request_folder: &Path) -> Self {
        Self::from_variables(request_folder, &|name| std::env::var(name).ok())
    }

    /// The same with variables of the caller's choice.
    pub(crate) fn from_variables(request_folder: &Path, variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut endpoints = Self::default();
        endpoints.read_npm(request_folder, variable);
        endpoints.read_pip(variable);
        if let Some(hub) = variable("HF_ENDPOINT").filter(|hub| !hub.is_empty()) {
            endpoints.huggingface = hub.trim_end_matches('/').to_owned();
        }
        endpoints
    }

    fn read_npm(&mut self, request_folder: &Path, variable: &dyn Fn(&str) -> Option<String>) {
        let files = npm_files(request_folder, variable);
        let texts: Vec<String> = files.iter().filter_map(|file| self.text(file)).collect();
        // Best first.
        let settings: Vec<Npmrc> = texts.iter().map(|text| Npmrc::parse(text, variable)).collect();
        let from_variable = ["npm_config_registry", "NPM_CONFIG_REGISTRY"].iter().find_map(|name| variable(name));
        let from_file = || settings.iter().find_map(|npmrc| npmrc.get("registry")).map(str::to_owned);
        if let Some(registry) = from_variable.filter(|registry| !registry.is_empty()).or_else(from_file) {
            self.npm = registry;
        }
        for npmrc in settings.iter().rev() {
            for (name, value) in npmrc.settings() {
                if let Some(scope) = name.strip_suffix(":registry").filter(|scope| scope.starts_with('@')) {
                    self.npm_scopes.insert(scope.to_owned(), value.to_owned());
                }
            }
        }
        self.credentials.extend(settings.iter().flat_map(npm_credentials));
    }

    fn read_pip(&mut self, variable: &dyn Fn(&str) -> Option<String>) {
        let texts: Vec<String> = pip_files(variable).iter().filter_map(|file| self.text(file)).collect();
        // Best first.
        let settings: Vec<PipConf> = texts.iter().map(|text| PipConf::parse(text)).collect();
        let setting = |name: &str| settings.iter().find_map(|conf| conf.get(name)).map(str::to_owned);
        let filled = |text: &String| !text.trim().is_empty();
        if let Some(index) = variable("PIP_INDEX_URL").filter(filled).or_else(|| setting("index-url")) {
            self.pypi = vec![index];
        }
        if let Some(more) = variable("PIP_EXTRA_INDEX_URL").filter(filled).or_else(|| setting("extra-index-url")) {
            self.pypi.extend(more.split_whitespace().map(str::to_owned));
        }
        for index in &mut self.pypi {
            let Ok(mut url) = Url::parse(index) else { continue };
            let (user, password) = (url.username().to_owned(), url.password().unwrap_or_default().to_owned());
            if !user.is_empty() && url.set_username("").is_ok() && url.set_password(None).is_ok() {
                let decode = |text: &str| percent_decode(text);
                let encoded = BASE64.encode(format!("{}:{}", decode(&user), decode(&password)));
                // Files may lie elsewhere on the same server.
                let server = url.join("/").unwrap_or_else(|_| url.clone());
                self.credentials.extend(Credential::basic("pip's index-url", &server, &encoded));
                *index = url.to_string();
            }
        }
    }

    /// The text of a file with settings, if there is one; what cannot be read is noted.
    fn text(&mut self, file: &Path) -> Option<String> {
        match fs_err::read_to_string(file) {
            Ok(text) => Some(text),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => None,
            Err(error) => {
                self.unread.push(format!("{error}: what it says about servers and accounts is not used"));
                None
            }
        }
    }

    /// The registry for an npm package.
    pub(crate) fn npm_registry(&self, package: &str) -> &str {
        let scope = package.split_once('/').map(|(scope, _)| scope);
        scope.and_then(|scope| self.npm_scopes.get(scope)).map_or(&self.npm, |registry| registry)
    }
}

fn percent_decode(text: &str) -> String {
    // `url` encodes what a form would, and decodes it with the same table.
    let form = text.replace('+', "%2B").replace('&', "%26");
    url::form_urlencoded::parse(format!("x={form}").as_bytes()).map(|(_, value)| value.into_owned()).collect()
}

/// `.npmrc` files, best first.
fn npm_files(request_folder: &Path, variable: &dyn Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    let mut files = vec![request_folder.join(".npmrc")];
    let either = |name: &str| variable(name).or_else(|| variable(&name.to_uppercase()));
    match (either("npm_config_userconfig"), home(variable)) {
        (Some(file), _) => files.push(file.into()),
        (None, Some(home)) => files.push(home.join(".npmrc")),
        (None, None) => {}
    }
    match (either("npm_config_globalconfig"), either("npm_config_prefix").or_else(|| variable("PREFIX"))) {
        (Some(file), _) => files.push(file.into()),
        (None, Some(prefix)) => files.push(Path::new(&prefix).join("etc/npmrc")),
        (None, None) => files.extend(node_prefix(variable).map(|prefix| prefix.join("etc/npmrc"))),
    }
    files.push("/etc/npmrc".into());
    files
}

/// The folder above the one that holds `node`.
fn node_prefix(variable: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let path = variable("PATH")?;
    let node = if cfg!(windows) { "node.exe" } else { "node" };
    let folder = std::env::split_paths(&path).find(|folder| folder.join(node).is_file())?;
    if cfg!(windows) { Some(folder) } else { folder.parent().map(Path::to_path_buf) }
}

/// `//host/path/:_authToken=…`, `…:_auth=…` and `…:username=…` with `…:_password=…` (base64).
fn npm_credentials(npmrc: &Npmrc) -> Vec<Credential> {
    let mut credentials = Vec::new();
    for (name, value) in npmrc.settings() {
        let Some((place, what)) = name.rsplit_once(':') else { continue };
        if !place.starts_with("//") {
            continue;
        }
        for scheme in ["https", "http"] {
            let Ok(server) = Url::parse(&format!("{scheme}:{place}")) else { continue };
            credentials.extend(match what {
                "_authToken" => Credential::bearer(".npmrc", &server, value),
                "_auth" => Credential::basic(".npmrc", &server, value),
                "username" => npmrc.get(&format!("{place}:_password")).and_then(|password| {
                    let password = String::from_utf8(BASE64.decode(password).ok()?).ok()?;
                    Credential::basic(".npmrc", &server, &BASE64.encode(format!("{value}:{password}")))
                }),
                _ => None,
            });
        }
    }
    credentials
}

/// `pip.conf` files, best first.
fn pip_files(variable: &dyn Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    if let Some(file) = variable("PIP_CONFIG_FILE") {
        if file == "/dev/null" {
            return files;
        }
        files.push(file.into());
    }
    files.extend(variable("VIRTUAL_ENV").map(|folder| Path::new(&folder).join("pip.conf")));
    if cfg!(windows) {
        files.extend(variable("APPDATA").map(|folder| Path::new(&folder).join("pip").join("pip.ini")));
        files.extend(variable("ProgramData").map(|folder| Path::new(&folder).join("pip").join("pip.ini")));
        return files;
    }
    let settings = variable("XDG_CONFIG_HOME").map(PathBuf::from);
    if let Some(home) = home(variable) {
        files.push(settings.unwrap_or_else(|| home.join(".config")).join("pip/pip.conf"));
        files.push(home.join("Library/Application Support/pip/pip.conf"));
        files.push(home.join(".pip/pip.conf"));
    }
    files.push("/etc/xdg/pip/pip.conf".into());
    files.push("/etc/pip.conf".into());
    files
}

/// The user's own folder.
pub(crate) fn home(variable: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let name = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
    variable(name).filter(|home| !home.is_empty()).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(folder: &Path, variables: &[(&str, &str)]) -> Endpoints {
        let home = folder.join("home").display().to_string();
        Endpoints::from_variables(&folder.join("project"), &|name| match name {
            "HOME" | "USERPROFILE" => Some(home.clone()),
            "PREFIX" => Some(folder.join("prefix").display().to_string()),
            _ => variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()),
        })
    }

    fn write(folder: &Path, file: &str, text: &str) {
        let file = folder.join(file);
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::write(file, text).unwrap();
    }

    #[test]
    fn npm_is_read_as_npm_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write(folder, "prefix/etc/npmrc", "registry=https://machine.example/\n");
        assert_eq!(read(folder, &[]).npm, "https://machine.example/");
        write(folder, "home/.npmrc", "registry=https://user.example/\n//user.example/:_authToken=t\n");
        assert_eq!(read(folder, &[]).npm, "https://user.example/");
        write(folder, "project/.npmrc", "registry=https://project.example/\n@own:registry=https://own.example/\n");
        let endpoints = read(folder, &[]);
        assert_eq!(endpoints.npm, "https://project.example/");
        assert_eq!(endpoints.npm_registry("@own/thing"), "https://own.example/");
        assert_eq!(endpoints.npm_registry("@other/thing"), "https://project.example/");
        let sent =
            |url: &str| Credential::header_for(&endpoints.credentials, &Url::parse(url).unwrap()).map(str::to_owned);
        assert_eq!(sent("https://user.example/x").as_deref(), Some("Bearer t"));
        assert_eq!(sent("https://project.example/x"), None);
        assert_eq!(
            read(folder, &[("NPM_CONFIG_REGISTRY", "https://variable.example/")]).npm,
            "https://variable.example/"
        );
    }

    #[test]
    fn settings_that_cannot_be_read_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert_eq!(read(folder, &[]).unread, [] as [&str; 0]);
        // A folder and Latin-1 text are no settings, whoever reads them.
        write(folder, "home/.npmrc/file", "");
        let conf = folder.join("home/.config/pip/pip.conf");
        fs_err::create_dir_all(conf.parent().unwrap()).unwrap();
        fs_err::write(&conf, b"[global]\nindex-url = https://m\xfcnchen.example\n").unwrap();
        write(folder, "project/.npmrc", "registry=https://project.example/\n");
        let endpoints = read(folder, &[]);
        assert_eq!(endpoints.npm, "https://project.example/");
        assert_eq!(endpoints.unread.len(), 2);
        assert!(endpoints.unread[0].contains("home/.npmrc`: Is a directory"), "{:?}", endpoints.unread);
        assert!(endpoints.unread[1].contains(&format!("`{}`: ", conf.display())), "{:?}", endpoints.unread);
    }

    #[test]
    fn pip_is_read_as_pip_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write(folder, "home/.config/pip/pip.conf", "[global]\nindex-url = https://me:p%40ss@user.example/simple\n");
        let endpoints = read(folder, &[]);
        assert_eq!(endpoints.pypi, ["https://user.example/simple"]);
        let url = Url::parse("https://user.example/files/x.whl").unwrap();
        let expected = format!("Basic {}", BASE64.encode("me:p@ss"));
        assert_eq!(Credential::header_for(&endpoints.credentials, &url), Some(expected.as_str()));
        let variables =
            [("PIP_INDEX_URL", "https://a.example/simple"), ("PIP_EXTRA_INDEX_URL", "https://b.example/simple")];
        assert_eq!(read(folder, &variables).pypi, ["https://a.example/simple", "https://b.example/simple"]);
        write(folder, "own.conf", "[global]\nindex-url = https://own.example/simple\n");
        let own = folder.join("own.conf").display().to_string();
        assert_eq!(read(folder, &[("PIP_CONFIG_FILE", &own)]).pypi, ["https://own.example/simple"]);
    }
}
