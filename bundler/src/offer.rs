//! From a source to an address and what vouches for its content.

use crate::web::Web;
use crate::{Endpoints, Trouble, simple_index};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use manifest::{Confirmation, Sha256, Source};
use serde::Deserialize;
use std::collections::BTreeMap;
use url::Url;

/// Where a file can be fetched and how to know that it is the right one.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) url: Url,
    pub(crate) size: Option<u64>,
    pub(crate) digests: Digests,
    pub(crate) confirmed: Confirmation,
}

/// Digests that the content must have; none at all when nobody vouches for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Digests {
    pub(crate) sha256: Option<Sha256>,
    pub(crate) sha512: Option<Vec<u8>>,
    pub(crate) sha1: Option<Vec<u8>>,
}

/// The longest description of a package that is read.
const MOST: u64 = 128 << 20;

#[derive(Deserialize)]
struct Packument {
    #[serde(default)]
    versions: BTreeMap<String, Version>,
}

#[derive(Deserialize)]
struct Version {
    dist: Dist,
}

#[derive(Deserialize)]
struct Dist {
    tarball: String,
    #[serde(default)]
    integrity: Option<String>,
    #[serde(default)]
    shasum: Option<String>,
}

/// Works out what a source offers. Asks the registry for `npm` and `pypi`; nobody for the other kinds.
///
/// `stated` is the digest that is known already; it decides, whatever else the source says.
pub(crate) fn offer(
    source: &Source,
    stated: Option<Sha256>,
    web: &Web,
    endpoints: &Endpoints,
) -> Result<Offer, Trouble> {
    let mut offer = match source {
        Source::Npm { package, version } => npm(package, version, web, endpoints)?,
        Source::Pypi { package, version, file } => pypi(package, version, file.as_deref(), web, endpoints)?,
        _ => direct(source, endpoints)?,
    };
    if let Some(sha256) = stated {
        offer.digests.sha256 = Some(sha256);
        offer.confirmed = Confirmation::Stated;
    }
    Ok(offer)
}

/// The address of a source that needs no question.
pub(crate) fn direct(source: &Source, endpoints: &Endpoints) -> Result<Offer, Trouble> {
    let url = match source {
        Source::Https { url } => parse(url)?,
        Source::Huggingface { repo, revision, file } => {
            let parts = repo.split('/').chain(["resolve", revision.as_str()]).chain(file.split('/'));
            below(&endpoints.huggingface, parts)?
        }
        Source::Civitai { version } => {
            let version = version.to_string();
            below(&endpoints.civitai, ["api", "download", "models", &version])?
        }
        Source::Github { repo, tag, asset } => {
            below(&endpoints.github, repo.split('/').chain(["releases", "download", tag.as_str(), asset.as_str()]))?
        }
        Source::Npm { .. } | Source::Pypi { .. } => return Err(Trouble::Offline),
        Source::File { path } => return Err(Trouble::NoFile(path.clone())),
        Source::Builtin { .. } => return Err(Trouble::NoBuiltin),
    };
    Ok(Offer { url, size: None, digests: Digests::default(), confirmed: Confirmation::FirstUse })
}

fn parse(url: &str) -> Result<Url, Trouble> {
    Url::parse(url).map_err(|error| Trouble::Registry(format!("`{url}` is not a web address: {error}")))
}

/// `server` with further path segments, each encoded; a segment cannot leave its place.
fn below<'a>(server: &str, parts: impl IntoIterator<Item = &'a str>) -> Result<Url, Trouble> {
    let mut url = parse(server)?;
    match url.path_segments_mut() {
        Ok(mut segments) => segments.pop_if_empty().extend(parts),
        Err(()) => return Err(Trouble::Registry(format!("`{server}` is not a web address"))),
    };
    Ok(url)
}

fn npm(package: &str, version: &str, web: &Web, endpoints: &Endpoints) -> Result<Offer, Trouble> {
    // Abbreviated form: enough for a client, and what every mirror knows.
    const ACCEPT: &str = "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*";
    let registry = endpoints.npm_registry(package);
    let (_, text) = web.get_text(&below(registry, [package])?, ACCEPT, MOST)?;
    let packument: Packument = serde_json::from_slice(&text)
        .map_err(|error| Trouble::Registry(format!("the registry's answer about `{package}` is unclear: {error}")))?;
    let dist = match packument.versions.get(version) {
        Some(version) => &version.dist,
        None => {
            return Err(Trouble::Registry(format!("the registry has no version {version} of `{package}`")));
        }
    };
    let digests = npm_digests(dist);
    let confirmed = match digests == Digests::default() {
        true => Confirmation::FirstUse,
        false => Confirmation::Registry,
    };
    Ok(Offer { url: npm_tarball(&dist.tarball, registry)?, size: None, digests, confirmed })
}

/// A mirror often repeats the public registry's addresses; npm then asks the mirror, and so do we.
fn npm_tarball(tarball: &str, registry: &str) -> Result<Url, Trouble> {
    let (mut url, registry) = (parse(tarball)?, parse(registry)?);
    let public = parse(crate::registries::NPM)?;
    if url.host() == public.host() && registry.host() != public.host() {
        url = registry.join(url.path()).map_err(|error| Trouble::Registry(error.to_string()))?;
    }
    Ok(url)
}

/// `integrity` (subresource integrity: `sha512-…` in base64), else `shasum` (SHA-1 in hexadecimal).
fn npm_digests(dist: &Dist) -> Digests {
    let mut digests = Digests::default();
    for hash in dist.integrity.iter().flat_map(|integrity| integrity.split_whitespace()) {
        let Some((kind, value)) = hash.split_once('-') else { continue };
        let value = BASE64.decode(value.split('?').next().unwrap_or_default());
        match (kind, value) {
            ("sha512", Ok(digest)) if digest.len() == 64 => digests.sha512 = Some(digest),
            ("sha256", Ok(digest)) => digests.sha256 = <[u8; 32]>::try_from(digest).ok().map(Sha256::from_bytes),
            ("sha1", Ok(digest)) if digest.len() == 20 => digests.sha1 = Some(digest),
            _ => {}
        }
    }
    let shasum = dist.shasum.as_deref().and_then(unhex).filter(|digest| digest.len() == 20);
    digests.sha1 = digests.sha1.or(shasum);
    digests
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn pypi(package: &str, version: &str, file: Option<&str>, web: &Web, endpoints: &Endpoints) -> Result<Offer, Trouble> {
    let mut last = Trouble::Registry("no package index is configured".to_owned());
    for index in &endpoints.pypi {
        match pypi_index(index, package, version, file, web) {
            Ok(offer) => return Ok(offer),
            Err(trouble) => last = trouble,
        }
    }
    Err(last)
}

fn pypi_index(index: &str, package: &str, version: &str, file: Option<&str>, web: &Web) -> Result<Offer, Trouble> {
    let page = below(index, [simple_index::normalize(package).as_str(), ""])?;
    let (answer, text) = web.get_text(&page, simple_index::ACCEPT, MOST)?;
    let files = simple_index::parse(answer.header("content-type").unwrap_or_default(), &text, &answer.url)
        .ok_or_else(|| Trouble::Registry(format!("the index's answer about `{package}` is unclear")))?;
    let chosen = simple_index::choose(&files, package, version, file).map_err(Trouble::Registry)?;
    let confirmed = if chosen.sha256.is_some() { Confirmation::Registry } else { Confirmation::FirstUse };
    let digests = Digests { sha256: chosen.sha256, ..Digests::default() };
    Ok(Offer { url: chosen.url.clone(), size: chosen.size, digests, confirmed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_built_part_by_part() {
        let endpoints = Endpoints::default();
        let url = |source: Source| direct(&source, &endpoints).unwrap().url.to_string();
        let hub = |file: &str| {
            url(Source::Huggingface { repo: "a/b".into(), revision: "main".into(), file: file.to_owned() })
        };
        assert_eq!(hub("v1/x y.safetensors"), "https://huggingface.co/a/b/resolve/main/v1/x%20y.safetensors");
        assert!(hub("../../../evil").starts_with("https://huggingface.co/a/b/resolve/main/"));
        assert_eq!(hub("x?y#z"), "https://huggingface.co/a/b/resolve/main/x%3Fy%23z");
        assert_eq!(url(Source::Civitai { version: 7 }), "https://civitai.com/api/download/models/7");
        let github = Source::Github { repo: "a/b".into(), tag: "v1".into(), asset: "c.zip".into() };
        assert_eq!(url(github), "https://github.com/a/b/releases/download/v1/c.zip");
        assert_eq!(below("https://m.example/npm/", ["@own/x"]).unwrap().as_str(), "https://m.example/npm/@own%2Fx");
    }

    #[test]
    fn a_mirror_is_asked_for_the_public_address() {
        let public = format!("{}a/-/a-1.tgz", crate::registries::NPM);
        let of = |registry: &str| npm_tarball(&public, registry).unwrap().to_string();
        assert_eq!(of(crate::registries::NPM), public);
        assert_eq!(of("https://mirror.example/npm/"), "https://mirror.example/a/-/a-1.tgz");
        let elsewhere = npm_tarball("https://files.example/a.tgz", "https://mirror.example/").unwrap();
        assert_eq!(elsewhere.as_str(), "https://files.example/a.tgz");
    }

    #[test]
    fn npm_digests_are_read() {
        let integrity = format!("sha1-x sha512-{}", BASE64.encode([7; 64]));
        let dist = Dist { tarball: String::new(), integrity: Some(integrity), shasum: Some("ab".repeat(20)) };
        let digests = npm_digests(&dist);
        assert_eq!((digests.sha512, digests.sha1), (Some(vec![7; 64]), Some(vec![0xab; 20])));
        let none =
            Dist { tarball: String::new(), integrity: Some("sha512-AAAA md5-x".into()), shasum: Some("é".into()) };
        assert_eq!(npm_digests(&none), Digests::default());
    }
}
