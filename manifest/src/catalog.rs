//! The catalog: everything that can be chosen by name.

use crate::{ComponentId, ComponentKind, ManifestError, RecommendedSettings, Sha256, Source};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// All entries, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalog {
    entries: BTreeMap<ComponentId, CatalogEntry>,
}

/// One thing that can be chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogEntry {
    /// Its short name.
    pub id: ComponentId,
    /// What it is for.
    pub kind: ComponentKind,
    /// The model family ("sd1", "sd2", "sdxl").
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// Its name for people.
    pub title: String,
    /// SPDX expression or the licence's own name.
    pub licence: String,
    /// The file name it gets in the bundle; absent for built-in components that bring their own names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Size in bytes, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Digest confirmed by independent public sources. Absent: nobody could confirm one, so the entry is refused
    /// unless the user trusts the first download.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
    /// Where to get it, best first.
    pub sources: Vec<Source>,
    /// What to generate with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<RecommendedSettings>,
    /// What a person should know before choosing it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CatalogFile {
    #[serde(default)]
    entry: Vec<CatalogEntry>,
}

impl Catalog {
    /// Reads one catalog text. `file` is the name that messages use.
    ///
    /// # Errors
    /// When the text is not TOML of this shape, names an entry twice, or an entry contradicts itself.
    pub fn parse(file: &str, text: &str) -> Result<Self, ManifestError> {
        let parsed: CatalogFile =
            toml::from_str(text).map_err(|error| ManifestError::syntax(file, "a catalog", error))?;
        let mut catalog = Self::default();
        for entry in parsed.entry {
            entry.check(file)?;
            catalog.insert(file, entry)?;
        }
        Ok(catalog)
    }

    /// Adds all entries of `other`.
    ///
    /// # Errors
    /// When both have an entry of the same name.
    pub fn merge(&mut self, file: &str, other: Self) -> Result<(), ManifestError> {
        other.entries.into_values().try_for_each(|entry| self.insert(file, entry))
    }

    fn insert(&mut self, file: &str, entry: CatalogEntry) -> Result<(), ManifestError> {
        let id = entry.id.clone();
        if self.entries.insert(id.clone(), entry).is_some() {
            return Err(ManifestError::Meaning {
                file: file.to_owned(),
                reason: format!("the entry `{id}` is there twice"),
                hint: format!("rename or remove one of the two entries `{id}`"),
            });
        }
        Ok(())
    }

    /// The entry of that name.
    #[must_use]
    pub fn get(&self, id: &ComponentId) -> Option<&CatalogEntry> {
        self.entries.get(id)
    }

    /// All entries, sorted by name.
    pub fn entries(&self) -> impl Iterator<Item = &CatalogEntry> {
        self.entries.values()
    }

    /// Names that look like `wanted`, best first: for "did you mean".
    #[must_use]
    pub fn similar(&self, wanted: &str) -> Vec<&ComponentId> {
        let wanted = wanted.to_lowercase();
        let mut scored: Vec<(usize, &ComponentId)> = self
            .entries
            .values()
            .map(|entry| {
                let in_text = entry.id.as_str().contains(&wanted)
                    || wanted.contains(entry.id.as_str())
                    || entry.title.to_lowercase().contains(&wanted);
                let parts = std::iter::once(entry.id.as_str()).chain(entry.id.as_str().split('-'));
                let distance = parts.map(|part| edit_distance(&wanted, part)).min().unwrap_or(usize::MAX);
                (if in_text { distance.min(1) } else { distance }, &entry.id)
            })
            .filter(|(distance, _)| *distance <= 1.max(wanted.chars().count() / 4))
            .collect();
        scored.sort();
        scored.into_iter().map(|(_, id)| id).take(3).collect()
    }
}

impl CatalogEntry {
    fn check(&self, file: &str) -> Result<(), ManifestError> {
        let refuse = |reason: String, hint: &str| {
            Err(ManifestError::Meaning { file: file.to_owned(), reason, hint: hint.to_owned() })
        };
        if self.sources.is_empty() {
            return refuse(format!("`{}` has no source", self.id), "add at least one source to it");
        }
        let builtin = self.sources.iter().any(|source| matches!(source, Source::Builtin { .. }));
        match &self.file {
            None if !builtin => refuse(
                format!("`{}` has no `file`", self.id),
                "add the file name it should get: file = \"name.safetensors\"",
            ),
            Some(name) if name.contains('/') || name.parse::<crate::BundlePath>().is_err() => refuse(
                format!("`{}` has an impossible file name `{name}`", self.id),
                "use a plain file name without folders",
            ),
            Some(name) if self.kind.is_weights() && !name.ends_with(".safetensors") && !name.ends_with(".gguf") => {
                refuse(
                    format!("`{}` would carry model weights as `{name}`; only `.safetensors` is safe to load", self.id),
                    "choose a `.safetensors` file: a pickle (`.ckpt`, `.pt`, `.bin`) can run any program when it is opened",
                )
            }
            _ => Ok(()),
        }
    }
}

/// Levenshtein distance in characters.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(&b) {
            let next = (diagonal + usize::from(from != *to)).min(left + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, next);
            left = next;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn entry(more: &str) -> String {
        format!("[[entry]]\nid = 'a'\nkind = 'checkpoint'\ntitle = 'A'\nlicence = 'MIT'\n{more}\n")
    }

    #[test]
    fn contradictions_are_named() {
        let refusal = |text: &str| Catalog::parse("models.toml", text).unwrap_err().to_string();
        expect!["`models.toml`: `a` has no source"].assert_eq(&refusal(&entry("sources = []")));
        expect!["`models.toml`: `a` has no `file`"]
            .assert_eq(&refusal(&entry("sources = [{ kind = 'https', url = 'https://x.example/a' }]")));
        expect!["`models.toml`: `a` would carry model weights as `a.ckpt`; only `.safetensors` is safe to load"]
            .assert_eq(&refusal(&entry(
                "file = 'a.ckpt'\nsources = [{ kind = 'https', url = 'https://x.example/a' }]",
            )));
        let twice = entry("sources = [{ kind = 'builtin', name = 'a' }]").repeat(2);
        expect!["`models.toml`: the entry `a` is there twice"].assert_eq(&refusal(&twice));
    }

    #[test]
    fn near_misses_are_found() {
        let text = ["sd15", "sdxl-base", "juggernaut-xl-v9"]
            .map(|id| format!("[[entry]]\nid = '{id}'\nkind = 'checkpoint'\ntitle = '{id}'\nlicence = 'x'\nsources = [{{ kind = 'builtin', name = 'x' }}]\n"))
            .concat();
        let catalog = Catalog::parse("c", &text).unwrap();
        let names = |wanted: &str| catalog.similar(wanted).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names("sd1.5"), ["sd15"]);
        assert_eq!(names("juggernaut"), ["juggernaut-xl-v9"]);
        assert_eq!(names("jugernaut"), ["juggernaut-xl-v9"]);
        assert_eq!(names("sdxl-bse"), ["sdxl-base"]);
        assert!(names("completely-different").is_empty());
    }
}
