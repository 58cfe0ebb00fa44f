//! Secrets, each bound to the one server that it belongs to.

use std::fmt;
use url::Url;

/// One secret. It is sent to addresses on its own server and below its own path, and to nobody else, whatever a
/// redirect says.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// Where the user set it (`HF_TOKEN`).
    pub(crate) name: String,
    origin: String,
    path: String,
    header: String,
}

impl Credential {
    /// A token for `Authorization: Bearer …`.
    pub(crate) fn bearer(name: &str, server: &Url, token: &str) -> Option<Self> {
        Self::new(name, server, format!("Bearer {}", token.trim()))
    }

    /// A value for `Authorization: Basic …`, encoded already.
    pub(crate) fn basic(name: &str, server: &Url, encoded: &str) -> Option<Self> {
        Self::new(name, server, format!("Basic {}", encoded.trim()))
    }

    fn new(name: &str, server: &Url, header: String) -> Option<Self> {
        let sane = header.chars().all(|c| c.is_ascii_graphic() || c == ' ');
        sane.then(|| Self {
            name: name.to_owned(),
            origin: server.origin().ascii_serialization(),
            path: format!("{}/", server.path().trim_end_matches('/')),
            header,
        })
    }

    fn belongs_to(&self, url: &Url) -> bool {
        url.origin().ascii_serialization() == self.origin && format!("{}/", url.path()).starts_with(&self.path)
    }

    /// The `Authorization` header for an address, from the credential that fits it most closely.
    pub(crate) fn header_for<'a>(all: &'a [Self], url: &Url) -> Option<&'a str> {
        let fitting = all.iter().filter(|credential| credential.belongs_to(url));
        fitting.max_by_key(|credential| credential.path.len()).map(|credential| credential.header.as_str())
    }
}

/// Without the secret.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {}{}", self.name, self.origin, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_stays_with_its_server() {
        let url = |text: &str| Url::parse(text).unwrap();
        let all = [
            Credential::bearer("HF_TOKEN", &url("https://hub.example"), "s3cret").unwrap(),
            Credential::bearer("npm", &url("https://npm.example/team/"), "n").unwrap(),
        ];
        let sent = |text: &str| Credential::header_for(&all, &url(text));
        assert_eq!(sent("https://hub.example/a/b"), Some("Bearer s3cret"));
        assert_eq!(sent("https://npm.example/team/x"), Some("Bearer n"));
        for other in [
            "http://hub.example/a",
            "https://hub.example:8443/a",
            "https://cdn.hub.example/a",
            "https://hub.example.evil.example/",
            "https://npm.example/teammate/x",
            "https://npm.example/",
        ] {
            assert_eq!(sent(other), None, "{other}");
        }
        assert!(!format!("{all:?}").contains("s3cret"));
        assert!(Credential::bearer("x", &url("https://hub.example"), "a\r\nEvil: 1").is_none());
    }
}
