//! What a bundle will be made of, known before anything is fetched.

use manifest::{BundlePath, ByteSize, Component, Confirmation, Sha256};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Every file that a request means and where it would come from. A pure value: print it, serialize it, or carry it out
/// with [`crate::fetch`].
#[derive(Clone, Debug, Serialize)]
pub struct BundlePlan {
    /// The bundle's name.
    pub name: String,
    /// Digest over the request, for the lock.
    pub request: Sha256,
    /// The folder that relative `file` sources count from.
    pub request_folder: PathBuf,
    /// Whether a file whose digest nobody vouches for may be fetched.
    pub trust_on_first_use: bool,
    /// The components, in the order of the request.
    pub components: Vec<PlannedComponent>,
    /// What a person should know before carrying it out.
    pub notes: Vec<String>,
}

/// One component and its files.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedComponent {
    /// What it is.
    #[serde(flatten)]
    pub component: Component,
    /// Its files: one, or those that this program brings along.
    pub files: Vec<PlannedFile>,
}

/// One file.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedFile {
    /// Its place in the bundle.
    pub path: BundlePath,
    /// Its size in bytes, when known.
    pub size: Option<u64>,
    /// Its digest, when known already.
    pub sha256: Option<Sha256>,
    /// Who vouches for the digest, or will.
    pub confirmed: Confirmation,
    /// Its bytes, when they are part of this program.
    #[serde(skip)]
    pub builtin: Option<&'static [u8]>,
}

impl BundlePlan {
    /// All files with their components.
    pub fn files(&self) -> impl Iterator<Item = (&PlannedComponent, &PlannedFile)> {
        self.components.iter().flat_map(|planned| planned.files.iter().map(move |file| (planned, file)))
    }

    /// Bytes of all files whose size is known, and how many files have an unknown one.
    #[must_use]
    pub fn size(&self) -> (ByteSize, usize) {
        let known = self.files().filter_map(|(_, file)| file.size).fold(0, u64::saturating_add);
        (ByteSize(known), self.files().filter(|(_, file)| file.size.is_none()).count())
    }

    /// Which licences apply to which components.
    #[must_use]
    pub fn licences(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut licences: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for planned in &self.components {
            licences.entry(&planned.component.licence).or_default().push(planned.component.id.as_str());
        }
        licences
    }
}

impl PlannedFile {
    /// Who vouches for the digest, in words.
    fn confirmation(&self) -> &'static str {
        match (self.confirmed, self.sha256) {
            (Confirmation::Stated, _) => "digest stated",
            (Confirmation::Registry, Some(_)) => "digest from the registry",
            (Confirmation::Registry, None) => "digest to come from the registry",
            (Confirmation::Builtin, _) => "built in",
            (Confirmation::Local, _) => "a file of this machine",
            (Confirmation::FirstUse, Some(_)) => "digest of the first download",
            (Confirmation::FirstUse, None) => "NOT CONFIRMED by anybody",
        }
    }
}

/// A table for people: one line per component, one per file, then totals, licences and notes.
impl fmt::Display for BundlePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |text: fn(&PlannedComponent) -> usize| self.components.iter().map(text).max().unwrap_or(0);
        let ids = width(|planned| planned.component.id.as_str().len());
        writeln!(f, "Plan for the bundle `{}`", self.name)?;
        for planned in &self.components {
            let component = &planned.component;
            let family = component.family.as_ref().map(|family| format!(", {family}")).unwrap_or_default();
            writeln!(f)?;
            writeln!(f, "{:ids$}  {} ({}{family})", component.id.as_str(), component.title, component.kind)?;
            for file in &planned.files {
                let size = file.size.map_or_else(|| "size unknown".to_owned(), |size| ByteSize(size).to_string());
                writeln!(f, "{:ids$}  {}  {size}, {}", "", file.path, file.confirmation())?;
                if let Some(sha256) = file.sha256.filter(|_| file.builtin.is_none()) {
                    writeln!(f, "{:ids$}    sha256 {sha256}", "")?;
                }
            }
            if planned.files.iter().any(|file| file.builtin.is_none()) {
                for source in &component.sources {
                    writeln!(f, "{:ids$}    from {source}", "")?;
                }
            }
        }
        let (size, unknown) = self.size();
        let files = self.files().count();
        writeln!(f)?;
        write!(f, "total     {files} {}, {size}", if files == 1 { "file" } else { "files" })?;
        match unknown {
            0 => writeln!(f)?,
            1 => writeln!(f, " and one of unknown size")?,
            _ => writeln!(f, " and {unknown} of unknown size")?,
        }
        for (at, (licence, ids)) in self.licences().into_iter().enumerate() {
            let label = if at == 0 { "licences" } else { "" };
            writeln!(f, "{label:8}  {licence}: {}", ids.join(", "))?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "note      {note}"))
    }
}
