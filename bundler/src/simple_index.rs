//! A Python package index: PEP 691 (JSON) and PEP 503 (HTML).

use manifest::Sha256;
use serde::Deserialize;
use std::collections::BTreeMap;
use url::Url;

/// One file that an index offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexFile {
    pub(crate) name: String,
    pub(crate) url: Url,
    pub(crate) sha256: Option<Sha256>,
    pub(crate) size: Option<u64>,
}

/// What to ask an index for, best first.
pub(crate) const ACCEPT: &str =
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01";

#[derive(Deserialize)]
struct Page {
    files: Vec<PageFile>,
}

#[derive(Deserialize)]
struct PageFile {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
    #[serde(default)]
    size: Option<u64>,
}

/// Reads an index page; `base` is where it came from. What cannot be understood is left out.
pub(crate) fn parse(kind: &str, text: &[u8], base: &Url) -> Option<Vec<IndexFile>> {
    if kind.contains("json") {
        let page: Page = serde_json::from_slice(text).ok()?;
        let files = page.files.into_iter().filter_map(|file| {
            let sha256 = file.hashes.get("sha256").and_then(|digest| digest.parse().ok());
            Some(IndexFile { url: base.join(&file.url).ok()?, name: file.filename, sha256, size: file.size })
        });
        return Some(files.collect());
    }
    Some(parse_html(&String::from_utf8_lossy(text), base))
}

/// `<a href="../a-1.0.tar.gz#sha256=…">a-1.0.tar.gz</a>`
fn parse_html(text: &str, base: &Url) -> Vec<IndexFile> {
    let base = tags(text, "base").find_map(|(tag, _)| base.join(&attribute(tag, "href")?).ok()).unwrap_or(base.clone());
    let files = tags(text, "a").filter_map(|(tag, rest)| {
        let mut url = base.join(&attribute(tag, "href")?).ok()?;
        let sha256 = url.fragment().and_then(|fragment| fragment.strip_prefix("sha256=")).and_then(|d| d.parse().ok());
        url.set_fragment(None);
        let label = unescape(rest.split('<').next().unwrap_or_default().trim());
        let last = url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default().to_owned();
        let name = if label.is_empty() { last } else { label };
        Some(IndexFile { name, url, sha256, size: None })
    });
    files.collect()
}

/// Every opening tag of that name: what is inside of it, and all text behind it.
fn tags<'a>(text: &'a str, name: &'static str) -> impl Iterator<Item = (&'a str, &'a str)> {
    text.split('<')
        .scan(0usize, move |at, piece| {
            let start = *at;
            *at += piece.len() + 1;
            Some((start, piece))
        })
        .filter_map(move |(start, piece)| {
            let head = piece.get(..name.len())?;
            let inside = piece.get(name.len()..)?;
            let named = head.eq_ignore_ascii_case(name) && inside.starts_with(|c: char| c.is_ascii_whitespace());
            let end = piece.find('>')?;
            let behind = text.get(start + end + 1..)?;
            named.then(|| piece.get(name.len()..end).map(|inside| (inside, behind)))?
        })
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let mut rest = tag;
    loop {
        let (key, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let (value, behind) = match after.chars().next()? {
            quote @ ('"' | '\'') => after.get(1..)?.split_once(quote)?,
            _ => after.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((after, "")),
        };
        if key.split_whitespace().next_back().is_some_and(|key| key.eq_ignore_ascii_case(name)) {
            return Some(unescape(value));
        }
        rest = behind;
    }
}

fn unescape(text: &str) -> String {
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&#x27;", "'"), ("&amp;", "&")]
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// A project name as an index spells it in addresses (PEP 503).
pub(crate) fn normalize(name: &str) -> String {
    let mut normal = String::new();
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if normal.ends_with('-') => {}
            '-' | '_' | '.' => normal.push('-'),
            c => normal.extend(c.to_lowercase()),
        }
    }
    normal
}

/// The file of a version: that of the given name, or the only pure-Python wheel.
pub(crate) fn choose<'a>(
    files: &'a [IndexFile],
    package: &str,
    version: &str,
    wanted: Option<&str>,
) -> Result<&'a IndexFile, String> {
    if let Some(wanted) = wanted {
        let found = files.iter().find(|file| file.name == wanted);
        return found.ok_or_else(|| format!("the index has no file `{wanted}` of `{package}`"));
    }
    let mut wheels = files.iter().filter(|file| is_pure_wheel(&file.name, package, version));
    match (wheels.next(), wheels.next()) {
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) => {
            Err(format!("`{package}` {version} has several pure-Python wheels: name one with `file`"))
        }
        (None, _) => {
            let known = files.iter().any(|file| file.name.contains(version));
            Err(if known {
                format!("`{package}` {version} has no pure-Python wheel: name one of its files with `file`")
            } else {
                format!("the index has no version {version} of `{package}`")
            })
        }
    }
}

/// `name-1.0-py3-none-any.whl`, also with a build number (PEP 427).
fn is_pure_wheel(file: &str, package: &str, version: &str) -> bool {
    let Some(stem) = file.strip_suffix(".whl") else { return false };
    let parts: Vec<&str> = stem.split('-').collect();
    match parts.as_slice() {
        [name, found, .., python, "none", "any"] => {
            normalize(name) == normalize(package)
                && python.split('.').any(|tag| tag.starts_with("py3"))
                && (*found == version || found.replace('_', "+") == version)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn base() -> Url {
        Url::parse("https://index.example/simple/tool-box/").unwrap()
    }

    #[test]
    fn reads_both_forms_alike() {
        let digest = Sha256::of(b"x");
        let html = format!(
            "<!DOCTYPE html><html><body><h1>Links</h1>\n<A data-requires-python=\"&gt;=3.8\" HREF='../../packages/tool_box-1.0-py3-none-any.whl#sha256={digest}'>tool_box-1.0-py3-none-any.whl</A><br/>\n<abbr>x</abbr><a>no</a><a href=\"tool-box-1.0.tar.gz\">tool-box-1.0.tar.gz</a></body>"
        );
        let json = format!(
            r#"{{"files":[{{"filename":"tool_box-1.0-py3-none-any.whl","url":"../../packages/tool_box-1.0-py3-none-any.whl","hashes":{{"sha256":"{digest}"}}}},{{"filename":"tool-box-1.0.tar.gz","url":"tool-box-1.0.tar.gz"}}]}}"#
        );
        let files = parse("text/html", html.as_bytes(), &base()).unwrap();
        assert_eq!(files, parse("application/vnd.pypi.simple.v1+json", json.as_bytes(), &base()).unwrap());
        assert_eq!(files.len(), 2);
        let wheel = choose(&files, "Tool.Box", "1.0", None).unwrap();
        assert_eq!(wheel.url.as_str(), "https://index.example/packages/tool_box-1.0-py3-none-any.whl");
        assert_eq!(wheel.sha256, Some(digest));
        assert!(choose(&files, "tool-box", "2.0", None).unwrap_err().contains("no version 2.0"));
        assert!(choose(&files, "tool-box", "1.0", Some("x.whl")).unwrap_err().contains("no file `x.whl`"));
        assert_eq!(choose(&files, "tool-box", "1.0", Some("tool-box-1.0.tar.gz")).unwrap().sha256, None);
    }

    #[test]
    fn names_are_spelt_as_the_index_spells_them() {
        assert_eq!(normalize("Tool._-Box"), "tool-box");
        assert!(is_pure_wheel("tool_box-1.0-2-py2.py3-none-any.whl", "tool-box", "1.0"));
        assert!(!is_pure_wheel("tool_box-1.0-cp312-cp312-linux_x86_64.whl", "tool-box", "1.0"));
    }

    proptest! {
        #[test]
        fn no_page_makes_it_panic(text in "[<>a-fhre=\"' #/&;é\\n]{0,200}") {
            let _ = parse_html(&text, &base());
            let _ = parse("json", text.as_bytes(), &base());
        }

        #[test]
        fn no_file_name_makes_it_panic(name in "[a-z0-9._-]{0,40}(\\.whl)?", version in "[0-9.]{0,5}") {
            let _ = is_pure_wheel(&name, "tool", &version);
        }
    }
}
