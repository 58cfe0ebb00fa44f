//! What was installed, when and how.

use manifest::{BundlePath, ComponentId, PublicKey, Sha256};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What was installed, when and how. Kept in the generation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// Name of the bundle.
    pub bundle: String,
    /// Identity of the bundle.
    pub bundle_id: Sha256,
    /// Its edition; 0: not counted.
    #[serde(default)]
    pub sequence: u64,
    /// The key that signed it.
    #[serde(default)]
    pub signed_by: Option<PublicKey>,
    /// The generation.
    pub generation: u32,
    /// The generation that was in use before.
    pub previous: Option<u32>,
    /// Where the bundle was.
    pub from: PathBuf,
    /// Seconds since 1970, by the clock of this machine.
    pub installed_at: u64,
    /// The program that installed it ("fieldforge 0.1.0").
    pub installed_by: String,
    /// Number of files.
    pub files: usize,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes that were written from the bundle.
    pub written: u64,
    /// Bytes that the previous generation, or an interrupted installation, had already.
    pub reused: u64,
    /// How long it took.
    pub seconds: f64,
    /// What deserves attention.
    pub warnings: Vec<String>,
    /// The components that were imported from other programs. The next bundle leaves them where they are.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub imported: BTreeSet<ComponentId>,
    /// Files that were damaged or missing in the bundle and left out, as was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<BundlePath>,
    /// The components that these files belong to: they cannot be used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unusable: Vec<ComponentId>,
}
