//! The bill of materials: CycloneDX 1.6.

use super::{OWN_LICENCE, OwnPapers};
use bundler::PackFile;
use manifest::{Component, ComponentKind, LicenceTerms, Sha256, Source, spdx_identifiers};
use serde_json::{Value, json};

/// Makes times in documents reproducible: <https://reproducible-builds.org/specs/source-date-epoch/>.
const EPOCH: &str = "SOURCE_DATE_EPOCH";

/// What a bill of materials is about.
pub(crate) struct Subject<'a> {
    /// The bundle's name.
    pub(crate) name: &'a str,
    /// Its edition.
    pub(crate) sequence: u64,
    pub(crate) components: &'a [Component],
    pub(crate) files: &'a [PackFile],
}

impl Subject<'_> {
    /// The document. The same bundle gives the same bytes; it has a time only if `SOURCE_DATE_EPOCH` names one.
    pub(crate) fn bill(&self, own: &OwnPapers) -> Vec<u8> {
        let program = format!("fieldforge@{}", env!("CARGO_PKG_VERSION"));
        let mut bundle = json!({
            "type": "application", "bom-ref": "bundle", "name": self.name,
            "description": "A Fieldforge bundle: what it holds, and the program that installs it",
        });
        if self.sequence > 0 {
            set(&mut bundle, "version", self.sequence.to_string().into());
        }
        let mut metadata = json!({
            "tools": { "components": [{ "type": "application", "name": "fieldforge", "version": env!("CARGO_PKG_VERSION") }] },
            "component": bundle,
        });
        let epoch = std::env::var(EPOCH).ok().and_then(|seconds| seconds.parse().ok());
        if let Some(seconds) = epoch {
            set(&mut metadata, "timestamp", server::iso(seconds).into());
        }
        let parts = self.components.iter().map(|component| self.component(component));
        let crates = own.crates.iter().map(crate_component);
        let holds: Vec<String> = self.components.iter().map(reference).chain([format!("crate:{program}")]).collect();
        let needs = own.crates.iter().map(|one| {
            let needs: Vec<String> = one.needs.iter().map(|need| format!("crate:{need}")).collect();
            json!({ "ref": format!("crate:{}", one.key()), "dependsOn": needs })
        });
        let mut bill = json!({
            "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
            "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
            "metadata": metadata,
            "components": parts.chain(crates).collect::<Vec<_>>(),
            "dependencies": std::iter::once(json!({ "ref": "bundle", "dependsOn": holds })).chain(needs).collect::<Vec<_>>(),
        });
        let serial = uuid(Sha256::of(bill.to_string().as_bytes()));
        set(&mut bill, "serialNumber", serial.into());
        let mut text = serde_json::to_vec_pretty(&bill).unwrap_or_default();
        text.push(b'\n');
        text
    }

    fn component(&self, component: &Component) -> Value {
        let kind = match component.kind {
            kind if kind.is_weights() => "machine-learning-model",
            ComponentKind::Frontend => "application",
            _ => "data",
        };
        let files = self.files.iter().filter(|file| file.component == component.id).map(|file| {
            json!({
                "type": "file", "bom-ref": format!("file:{}", file.path), "name": file.path,
                "hashes": [{ "alg": "SHA-256", "content": file.sha256 }],
                "properties": [{ "name": "fieldforge:size", "value": file.size.to_string() }],
            })
        });
        let mut properties = vec![json!({ "name": "fieldforge:kind", "value": component.kind.to_string() })];
        if let Some(family) = &component.family {
            properties.push(json!({ "name": "fieldforge:family", "value": family }));
        }
        let terms = LicenceTerms::of(&component.licence);
        properties.push(json!({ "name": "fieldforge:licence-terms", "value": terms.to_string() }));
        let mut value = json!({
            "type": kind, "bom-ref": reference(component), "name": component.id, "description": component.title,
            "licenses": licences(&component.licence), "properties": properties, "components": files.collect::<Vec<_>>(),
        });
        // The weights themselves, when they are one file.
        let mut weights = self
            .files
            .iter()
            .filter(|file| file.component == component.id && file.path.as_str().ends_with(".safetensors"));
        if let (Some(file), None) = (weights.next(), weights.next()) {
            set(&mut value, "hashes", json!([{ "alg": "SHA-256", "content": file.sha256 }]));
        }
        if let Some(url) = component.sources.iter().find_map(package_url) {
            set(&mut value, "purl", url.into());
        }
        let pages: Vec<Value> = component
            .sources
            .iter()
            .filter_map(|source| Some(json!({ "type": "distribution", "url": source.page()? })))
            .collect();
        if !pages.is_empty() {
            set(&mut value, "externalReferences", pages.into());
        }
        if kind == "machine-learning-model" {
            let mut parameters = json!({ "task": "text-to-image" });
            if let Some(family) = &component.family {
                set(&mut parameters, "architectureFamily", "latent diffusion".into());
                set(&mut parameters, "modelArchitecture", family.as_str().into());
            }
            set(&mut value, "modelCard", json!({ "modelParameters": parameters }));
        }
        value
    }
}

fn crate_component(one: &super::own::Crate) -> Value {
    let program = one.name == env!("CARGO_PKG_NAME");
    let kind = if program { "application" } else { "library" };
    let licence = if program { OWN_LICENCE } else { &one.licence };
    json!({
        "type": kind, "bom-ref": format!("crate:{}", one.key()), "name": one.name, "version": one.version,
        "purl": format!("pkg:cargo/{}@{}", one.name, one.version.replace('+', "%2B")), "licenses": licences(licence),
    })
}

fn reference(component: &Component) -> String {
    format!("component:{}", component.id)
}

/// An SPDX expression, or the licence's own name.
fn licences(licence: &str) -> Value {
    match spdx_identifiers(licence) {
        Some(_) => json!([{ "expression": licence }]),
        None => json!([{ "license": { "name": licence } }]),
    }
}

/// <https://github.com/package-url/purl-spec>
fn package_url(source: &Source) -> Option<String> {
    Some(match source {
        Source::Npm { package, version } => format!("pkg:npm/{}@{version}", package.replace('@', "%40")),
        Source::Pypi { package, version, .. } => {
            format!("pkg:pypi/{}@{version}", package.to_lowercase().replace(['_', '.'], "-"))
        }
        Source::Github { repo, tag, .. } => format!("pkg:github/{}@{tag}", repo.to_lowercase()),
        Source::Huggingface { repo, revision, .. } => format!("pkg:huggingface/{repo}@{revision}"),
        _ => return None,
    })
}

fn set(value: &mut Value, name: &str, content: Value) {
    if let Some(object) = value.as_object_mut() {
        object.insert(name.to_owned(), content);
    }
}

/// A UUID of version 8 from a digest (RFC 9562).
fn uuid(digest: Sha256) -> String {
    let mut hex: Vec<char> = digest.to_string().chars().take(32).collect();
    for (at, digit) in [(12, '8'), (16, '8')] {
        if let Some(place) = hex.get_mut(at) {
            *place = digit;
        }
    }
    let group = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default().iter().collect::<String>();
    format!("urn:uuid:{}-{}-{}-{}-{}", group(0..8), group(8..12), group(12..16), group(16..20), group(20..32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_have_their_addresses() {
        let npm = Source::Npm { package: "@scope/page".into(), version: "1.2.3".into() };
        assert_eq!(package_url(&npm).unwrap(), "pkg:npm/%40scope/page@1.2.3");
        let pypi = Source::Pypi { package: "Sd_Parsers".into(), version: "0.6".into(), file: None };
        assert_eq!(package_url(&pypi).unwrap(), "pkg:pypi/sd-parsers@0.6");
        assert_eq!(package_url(&Source::Https { url: "https://example.org/x".into() }), None);
    }

    #[test]
    fn a_serial_number_follows_from_the_content() {
        let one = uuid(Sha256::of(b"one"));
        assert_eq!(one, uuid(Sha256::of(b"one")));
        assert_ne!(one, uuid(Sha256::of(b"two")));
        assert_eq!((one.len(), &one[23..24], &one[28..29]), (45, "8", "8"));
    }
}
