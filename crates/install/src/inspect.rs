//! What is inside a bundle, for people and for programs.

use crate::{Bundle, OpenError};
use manifest::{ByteSize, Component, ComponentId, Finding, Frozen, Needs, Program};
use serde::Serialize;
use std::fmt;
use std::path::Path;

/// What is inside a bundle. Only the table of contents was read: whether the rest is intact, `verify` tells.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// The bundle's name.
    pub name: String,
    /// Its identity.
    pub id: manifest::Sha256,
    /// Its edition; 0: not counted.
    pub sequence: u64,
    /// The key that signed it.
    pub signed_by: Option<manifest::PublicKey>,
    /// The program that made it.
    pub made_by: String,
    /// Format version.
    pub format: u32,
    /// What it is made of, with number and size of files.
    pub components: Vec<InspectedComponent>,
    /// The checkpoint that generation starts with.
    pub default_model: Option<ComponentId>,
    /// What the offline machine must have.
    pub needs: Needs,
    /// The programs beside the archive.
    pub programs: Vec<Program>,
    /// The volumes that are there: name and size.
    pub volumes: Vec<(String, u64)>,
    /// Bytes of all files.
    pub bytes: u64,
    /// It holds a folder to be restored.
    pub frozen: Option<Frozen>,
    /// It brings a self-test.
    pub self_test: bool,
    /// What is wrong with the volumes at first sight.
    pub findings: Vec<Finding>,
}

/// A component and what it takes.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedComponent {
    /// The component.
    #[serde(flatten)]
    pub component: Component,
    /// How many files it has.
    pub files: usize,
    /// Bytes of all its files.
    pub bytes: u64,
}

/// Looks into the bundle at `path`.
///
/// # Errors
/// As [`Bundle::open`].
pub fn inspect(path: &Path) -> Result<Inspection, OpenError> {
    let bundle = Bundle::open(path)?;
    let manifest = bundle.manifest();
    let components = manifest.components.iter().map(|component| {
        let files = || manifest.files.iter().filter(|file| file.component == component.id);
        InspectedComponent {
            component: component.clone(),
            files: files().count(),
            bytes: files().map(|file| file.size).sum(),
        }
    });
    Ok(Inspection {
        name: manifest.name.clone(),
        id: bundle.id(),
        sequence: manifest.sequence,
        signed_by: bundle.signature().map(|signature| signature.key().clone()),
        made_by: manifest.made_by.clone(),
        format: manifest.format,
        components: components.collect(),
        default_model: manifest.default_model.clone(),
        needs: manifest.needs,
        programs: manifest.programs.clone(),
        volumes: bundle.volumes().iter().map(|volume| (volume.name.clone(), volume.size)).collect(),
        bytes: manifest.size(),
        frozen: manifest.frozen.clone(),
        self_test: manifest.self_test.is_some(),
        findings: bundle.findings().to_vec(),
    })
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} (bundle {}, made by {})", self.name, self.id.short(), self.made_by)?;
        writeln!(f, "\n  {:<11} {:<24} {:>10}  licence", "kind", "component", "size")?;
        for part in &self.components {
            let Component { id, kind, licence, .. } = &part.component;
            let mark = if self.default_model.as_ref() == Some(id) { "  (default model)" } else { "" };
            writeln!(f, "  {kind:<11} {:<24} {:>10}  {licence}{mark}", id.as_str(), ByteSize(part.bytes).to_string())?;
        }
        match &self.signed_by {
            Some(key) => {
                writeln!(f, "\n  edition {}, signed by {key}\n  the key's words: {}", self.sequence, key.words())?
            }
            None => writeln!(f, "\n  signed by nobody")?,
        }
        writeln!(f, "  needs {} of disk space", ByteSize(self.needs.disk))?;
        if self.needs.memory > 0 {
            writeln!(f, "  needs about {} of memory", ByteSize(self.needs.memory))?;
        }
        for (name, size) in &self.volumes {
            writeln!(f, "  volume `{name}`, {}", ByteSize(*size))?;
        }
        for program in &self.programs {
            writeln!(f, "  program `{}` for {}", program.file, program.target)?;
        }
        match &self.frozen {
            Some(frozen) => {
                write!(f, "  {}: `fieldforge restore` brings it back", frozen.what)?;
                frozen.builds_on.iter().try_for_each(|edition| write!(f, "\n  together with {edition}"))?;
            }
            None => write!(f, "  {}", if self.self_test { "brings a self-test" } else { "brings no self-test" })?,
        }
        for finding in &self.findings {
            write!(f, "\n  wrong: {finding}")?;
        }
        Ok(())
    }
}
