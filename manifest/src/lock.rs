//! `forge.lock`: exactly which bytes a request means.

use crate::{BundlePath, ComponentId, ComponentKind, ManifestError, RecommendedSettings, Sha256, Source};
use serde::{Deserialize, Serialize};

/// The exact content of a bundle to be. Written after the first fetch, obeyed by every later one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Lock {
    /// Version of this file's format.
    pub format: u32,
    /// Digest over the request it was made for, so that a changed `forge.toml` is noticed.
    pub request: Sha256,
    /// Grows whenever the components change.
    #[serde(default = "first")]
    pub sequence: u64,
    /// What was chosen, in the order of the request.
    #[serde(default, rename = "component")]
    pub components: Vec<LockedComponent>,
}

const fn first() -> u64 {
    1
}

/// One component, pinned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedComponent {
    /// Its short name.
    pub id: ComponentId,
    /// What it is for.
    pub kind: ComponentKind,
    /// The model family, for weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// Its name for people.
    pub title: String,
    /// Its licence.
    pub licence: String,
    /// Where to get it.
    pub sources: Vec<Source>,
    /// What to generate with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<RecommendedSettings>,
    /// Its files.
    #[serde(default, rename = "file")]
    pub files: Vec<LockedFile>,
}

/// One file, pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedFile {
    /// Its place in the bundle.
    pub path: BundlePath,
    /// Its size in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Sha256,
    /// Who vouches for the digest.
    pub confirmed: Confirmation,
}

/// Who vouches for a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confirmation {
    /// The catalog or the user's own `forge.toml` states it.
    Stated,
    /// The package registry states it (npm integrity, PyPI digest).
    Registry,
    /// It is part of this program.
    Builtin,
    /// It is a file of this machine, taken as it is.
    Local,
    /// Nobody: the user chose to trust the first download.
    FirstUse,
}

impl Lock {
    /// The newest format version that this program reads and the one it writes.
    pub const FORMAT: u32 = 1;

    /// Reads a `forge.lock`. `file` is the name that messages use.
    ///
    /// # Errors
    /// When the text is not TOML of this shape or was written by a newer program.
    pub fn parse(file: &str, text: &str) -> Result<Self, ManifestError> {
        let lock: Self = ManifestError::toml(file, "a lock file", text, Self::FORMAT)?;
        Ok(lock)
    }

    /// The text of the file.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let body = toml::to_string_pretty(self).unwrap_or_default();
        format!("# Made by fieldforge: exactly which bytes `forge.toml` means. Keep it beside that file.\n\n{body}")
    }

    /// The component of that name.
    #[must_use]
    pub fn get(&self, id: &ComponentId) -> Option<&LockedComponent> {
        self.components.iter().find(|component| component.id == *id)
    }

    /// Bytes of all files.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.components.iter().flat_map(|component| &component.files).map(|file| file.size).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let lock = Lock {
            sequence: 2,
            format: Lock::FORMAT,
            request: Sha256::of(b"request"),
            components: vec![LockedComponent {
                id: "spark".parse().unwrap(),
                kind: ComponentKind::Checkpoint,
                family: Some("sd1".into()),
                title: "spark".into(),
                licence: "MIT".into(),
                sources: vec![Source::Builtin { name: "spark".into() }],
                settings: Some(RecommendedSettings { steps: Some(20), cfg: Some(5.0), ..Default::default() }),
                files: vec![LockedFile {
                    path: "models/checkpoints/spark.safetensors".parse().unwrap(),
                    size: 17,
                    sha256: Sha256::of(b"spark"),
                    confirmed: Confirmation::Builtin,
                }],
            }],
        };
        assert_eq!(Lock::parse("forge.lock", &lock.to_toml()).unwrap(), lock);
        let newer = lock.to_toml().replace("format = 1", "format = 9\nunheard = 1");
        assert!(matches!(Lock::parse("forge.lock", &newer), Err(ManifestError::NewerFormat { found: 9, .. })));
    }
}
