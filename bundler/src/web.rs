//! HTTP as this product needs it: redirects by hand, secrets per server, no compression, stalls noticed.

use crate::{Credential, FetchError, Timeouts, Trouble};
use manifest::Sha256;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, SystemTime};
use ureq::http::{Response, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};
use ureq::{Agent, Body};
use url::{Host, Url};

/// Sends requests.
pub(crate) struct Web {
    elsewhere: Agent,
    /// Without a proxy: a proxy would look for this machine's servers on itself.
    this_machine: Agent,
    credentials: Vec<Credential>,
    stall: Duration,
}

/// An answer whose head has arrived.
pub(crate) struct Answer {
    /// Where it came from in the end.
    pub(crate) url: Url,
    pub(crate) status: u16,
    /// The digest that a hub names for the file which it redirects to. A hint: the stated digest decides.
    pub(crate) linked: Option<Sha256>,
    response: Response<Body>,
    stall: Duration,
}

const MOST_REDIRECTS: usize = 10;

/// Whether what travels to and from this address is protected: TLS, or it does not leave this machine.
pub(crate) fn is_protected(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_this_machine(url))
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

impl Web {
    /// # Errors
    /// When the file of further certificates cannot be used.
    pub(crate) fn new(
        ca_file: Option<&Path>,
        credentials: Vec<Credential>,
        timeouts: Timeouts,
    ) -> Result<Self, FetchError> {
        let roots = match ca_file {
            Some(file) => RootCerts::new_with_certs(&certificates(file)?),
            None => RootCerts::PlatformVerifier,
        };
        let config = || {
            Agent::config_builder()
                .http_status_as_error(false)
                .max_redirects(0)
                .accept_encoding("identity")
                .user_agent(concat!("fieldforge/", env!("CARGO_PKG_VERSION")))
                .timeout_resolve(Some(timeouts.connect))
                .timeout_connect(Some(timeouts.connect))
                .timeout_per_read(Some(timeouts.stall))
                .timeout_per_write(Some(timeouts.stall))
                .timeout_recv_response(Some(timeouts.stall))
                .input_buffer_size(256 << 10)
                .max_idle_connections_per_host(16)
                .tls_config(TlsConfig::builder().root_certs(roots.clone()).build())
        };
        Ok(Self {
            elsewhere: config().build().new_agent(),
            this_machine: config().proxy(None).build().new_agent(),
            credentials,
            stall: timeouts.stall,
        })
    }

    /// Asks for `url` and follows redirects. Any status but a redirect is an answer.
    ///
    /// # Errors
    /// When no answer arrives, or one redirects to an unprotected address or in circles.
    pub(crate) fn get(&self, url: &Url, headers: &[(&str, &str)]) -> Result<Answer, Trouble> {
        let mut url = url.clone();
        let mut linked = None;
        for _ in 0..MOST_REDIRECTS {
            if !is_protected(&url) {
                return Err(Trouble::PlainHttp(without_secrets(&url)));
            }
            let agent = if is_this_machine(&url) { &self.this_machine } else { &self.elsewhere };
            let mut request = agent.get(url.as_str());
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            if let Some(secret) = Credential::header_for(&self.credentials, &url) {
                request = request.header(header::AUTHORIZATION, secret);
            }
            let response = request.call().map_err(|error| Trouble::of_client(error, self.stall))?;
            let status = response.status().as_u16();
            let text = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
            linked = linked.or_else(|| text("x-linked-etag")?.trim_matches('"').parse().ok());
            match (status, text("location")) {
                (301 | 302 | 303 | 307 | 308, Some(location)) => {
                    url = url.join(location).map_err(|error| Trouble::Connection(error.to_string()))?;
                }
                _ => return Ok(Answer { url, status, linked, response, stall: self.stall }),
            }
        }
        Err(Trouble::Redirects)
    }

    /// Asks for a short text: a registry's description of a package.
    ///
    /// # Errors
    /// As [`Self::get`], and when the status is no success or the text is longer than `most` bytes.
    pub(crate) fn get_text(&self, url: &Url, accept: &str, most: u64) -> Result<(Answer, Vec<u8>), Trouble> {
        let mut answer = self.get(url, &[("accept", accept)])?;
        if answer.status != 200 {
            return Err(answer.refusal());
        }
        let mut text = Vec::new();
        let read = answer.body().take(most + 1).read_to_end(&mut text);
        read.map_err(|error| Trouble::of_client(error.into(), self.stall))?;
        if text.len() as u64 > most {
            return Err(Trouble::Registry(format!("the registry's answer is longer than {most} bytes")));
        }
        Ok((answer, text))
    }
}

impl Answer {
    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// The body.
    pub(crate) fn body(&mut self) -> impl Read + '_ {
        self.response.body_mut().as_reader()
    }

    /// What a status that is no success means.
    pub(crate) fn refusal(&self) -> Trouble {
        Trouble::of_status(self.status, self.header("retry-after").and_then(retry_after))
    }

    /// Length of the body as promised.
    pub(crate) fn length(&self) -> Option<u64> {
        self.header("content-length").and_then(|length| length.trim().parse().ok())
    }

    /// What says whether the file is still the same: a strong `ETag`, or `Last-Modified`.
    pub(crate) fn validator(&self) -> Option<String> {
        let etag = self.header("etag").filter(|etag| !etag.starts_with("W/"));
        etag.or_else(|| self.header("last-modified")).map(str::to_owned)
    }

    /// First byte and size of the whole file, from `Content-Range: bytes 0-9/100`.
    pub(crate) fn content_range(&self) -> Option<(u64, u64, u64)> {
        parse_content_range(self.header("content-range")?)
    }

    /// Refuses what no file of a bundle can be.
    pub(crate) fn check(&self, page_expected: bool) -> Result<(), Trouble> {
        if let Some(encoding) = self.header("content-encoding").filter(|encoding| *encoding != "identity") {
            return Err(Trouble::Encoded(encoding.chars().take(40).collect()));
        }
        let is_page = self.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
        if is_page && !page_expected {
            return Err(Trouble::LoginPage);
        }
        Ok(())
    }

    /// What a failed read of the body means.
    pub(crate) fn read_trouble(stall: Duration, error: std::io::Error, got: u64, expected: u64) -> Trouble {
        match Trouble::of_client(error.into(), stall) {
            Trouble::Connection(_) => Trouble::Short { got, expected },
            other => other,
        }
    }

    /// How long a silence may last.
    pub(crate) fn stall(&self) -> Duration {
        self.stall
    }
}

/// `bytes 0-9/100` → first, last, whole size.
pub(crate) fn parse_content_range(text: &str) -> Option<(u64, u64, u64)> {
    let (range, size) = text.trim().strip_prefix("bytes")?.trim().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, size) = (first.trim().parse().ok()?, last.trim().parse().ok()?, size.trim().parse().ok()?);
    (first <= last && last < size).then_some((first, last, size))
}

/// Seconds or a date.
pub(crate) fn retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

/// An address without user, password and query, which may hold a signature.
pub(crate) fn without_secrets(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Fails for addresses that cannot have a user, which then have none.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

/// The certificates of the operating system and those of `file`.
fn certificates(file: &Path) -> Result<Vec<Certificate<'static>>, FetchError> {
    let refuse = |reason: String| FetchError::CaFile { file: file.to_path_buf(), reason };
    let pem = fs_err::read(file).map_err(|error| refuse(error.to_string()))?;
    let mut all = Vec::new();
    for item in ureq::tls::parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| refuse(error.to_string()))? {
            all.push(certificate);
        }
    }
    if all.is_empty() {
        return Err(refuse("it holds no certificate in PEM form".to_owned()));
    }
    let system = rustls_native_certs::load_native_certs();
    all.extend(system.certs.iter().map(|certificate| Certificate::from_der(certificate).to_owned()));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn headers_are_read_as_the_standard_says() {
        assert_eq!(parse_content_range("bytes 2-4/10"), Some((2, 4, 10)));
        for bad in ["bytes */10", "bytes 4-2/10", "bytes 2-10/10", "2-4/10x", "bytes 2-4/*"] {
            assert_eq!(parse_content_range(bad), None, "{bad}");
        }
        assert_eq!(retry_after("7"), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(retry_after("soon"), None);
    }

    #[test]
    fn only_this_machine_may_be_asked_without_tls() {
        for (url, protected) in [
            ("https://example.org/", true),
            ("http://example.org/", false),
            ("http://127.0.0.1:80/", true),
            ("http://127.9.9.9/", true),
            ("http://[::1]/", true),
            ("http://localhost/", true),
            ("http://localhost.example.org/", false),
            ("http://127.0.0.1.example.org/", false),
            ("http://192.168.0.1/", false),
            ("ftp://127.0.0.1/", false),
        ] {
            assert_eq!(is_protected(&Url::parse(url).unwrap()), protected, "{url}");
        }
    }

    #[test]
    fn messages_hold_no_secrets() {
        let url = Url::parse("https://user:secret@example.org/a?signature=secret#x").unwrap();
        assert_eq!(without_secrets(&url), "https://example.org/a");
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(text in ".{0,80}") {
            let _ = (parse_content_range(&text), retry_after(&text));
        }
    }
}
