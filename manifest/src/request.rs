//! `forge.toml`: what somebody wants in a bundle.

use crate::{CatalogEntry, ComponentId, ManifestError};
use serde::{Deserialize, Serialize};

/// A wish list. Names from the catalog, and components of one's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Request {
    /// The bundle's name; its files are called after it.
    pub name: String,
    /// Components of the catalog.
    #[serde(default)]
    pub include: Vec<ComponentId>,
    /// The checkpoint that generation starts with; absent: the first checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_model: Option<ComponentId>,
    /// Components that the catalog does not know.
    #[serde(default, rename = "component", skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<OwnComponent>,
    /// What the self-test on the offline machine draws.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_test: Option<SelfTestRequest>,
}

/// A component of one's own: the same fields as a catalog entry, so that an entry can be copied from one to the other.
pub type OwnComponent = CatalogEntry;

/// What the self-test draws. Everything absent is chosen for the model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SelfTestRequest {
    /// Which checkpoint; absent: spark if it is included, else the default model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ComponentId>,
    /// What to draw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Sampling steps; absent: the model's usual number, 4 for large models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
    /// Width and height in pixels; absent: the model's usual size, 256 for large models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u32>,
    /// The seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

impl Request {
    /// The request that stands for "nothing was chosen": spark and our page.
    #[must_use]
    pub fn minimal(name: &str) -> Self {
        let include = ["spark", "fieldforge-page"].iter().filter_map(|id| id.parse().ok()).collect();
        Self { name: name.to_owned(), include, default_model: None, components: Vec::new(), self_test: None }
    }

    /// Reads a `forge.toml`. `file` is the name that messages use.
    ///
    /// # Errors
    /// When the text is not TOML of this shape, the name cannot be a file name, or a component is named twice.
    pub fn parse(file: &str, text: &str) -> Result<Self, ManifestError> {
        let request: Self =
            toml::from_str(text).map_err(|error| ManifestError::syntax(file, "a bundle request", error))?;
        request.check(file)?;
        Ok(request)
    }

    /// The text of a `forge.toml` that means this.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).unwrap_or_default()
    }

    fn check(&self, file: &str) -> Result<(), ManifestError> {
        let refuse = |reason: String, hint: String| Err(ManifestError::Meaning { file: file.to_owned(), reason, hint });
        if self.name.parse::<ComponentId>().is_err() {
            return refuse(
                format!("the name `{}` cannot be used for files", self.name.escape_debug()),
                "use lower-case letters, digits, `.`, `_` and `-`: name = \"field-kit\"".to_owned(),
            );
        }
        if self.include.is_empty() && self.components.is_empty() {
            return refuse(
                "it asks for nothing".to_owned(),
                "add at least one component: include = [\"spark\"]; `fieldforge catalog list` shows what there is"
                    .to_owned(),
            );
        }
        let mut seen = std::collections::BTreeSet::new();
        for id in self.include.iter().chain(self.components.iter().map(|own| &own.id)) {
            if !seen.insert(id) {
                return refuse(format!("the component `{id}` is named twice"), format!("remove one of the two `{id}`"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Source;

    const FULL: &str = r#"
        name = "newsroom"
        include = ["spark", "sd15"]
        default-model = "sd15"

        [self-test]
        prompt = "a lighthouse"
        steps = 8

        [[component]]
        id = "icons"
        kind = "part"
        title = "Icon set"
        licence = "ISC"
        file = "icons.tgz"
        sources = [{ kind = "npm", package = "lucide-static", version = "1.62.0" }]
    "#;

    #[test]
    fn reads_a_whole_request() {
        let request = Request::parse("forge.toml", FULL).unwrap();
        assert_eq!(request.include.len(), 2);
        assert_eq!(request.self_test.unwrap().steps, Some(8));
        assert!(matches!(&request.components[0].sources[0], Source::Npm { version, .. } if version == "1.62.0"));
    }

    #[test]
    fn what_is_written_reads_back() {
        let request = Request::parse("forge.toml", FULL).unwrap();
        assert_eq!(Request::parse("forge.toml", &request.to_toml()).unwrap(), request);
    }

    #[test]
    fn refuses_the_impossible() {
        for (text, reason) in [
            ("name = 'a b'\ninclude = ['spark']", "cannot be used for files"),
            ("name = '../x'\ninclude = ['spark']", "cannot be used for files"),
            ("name = 'x'", "asks for nothing"),
            ("name = 'x'\ninclude = ['spark', 'spark']", "named twice"),
            ("name = 'x'\ninclude = ['Spark']", "not a component name"),
            ("name = 'x'\ninclde = ['spark']", "unknown field"),
        ] {
            let error = Request::parse("forge.toml", text).unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
            assert!(error.hint().is_some());
        }
    }
}
