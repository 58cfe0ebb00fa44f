//! The papers of a bundle: who made what is inside, under which licence, and the licences' texts.
//!
//! Everything here follows from the bundle's content, so the same bundle has the same papers.

mod model_licences;
mod own;
mod packages;
mod sbom;

use crate::failure::{Failure, Outcome};
use bundler::{Content, PackFile};
use manifest::{BundlePath, Component, ComponentId, ComponentKind, LicenceTerms, Sha256, layout, spdx_identifiers};
use std::fmt::Write as _;

pub(crate) use own::OwnPapers;
pub(crate) use sbom::Subject;

/// The component that the program's own papers belong to.
const OWN: &str = "fieldforge";
/// The licence of this program.
pub(crate) const OWN_LICENCE: &str = "MIT OR Apache-2.0";
/// All crates in the program, with their licences' texts.
const THIRD_PARTY: &str = "THIRD-PARTY.txt";

/// Adds licence texts and bill of materials to what goes into a bundle. `keep` stores bytes until they are packed.
pub(crate) fn add(
    name: &str,
    sequence: u64,
    components: &mut Vec<Component>,
    files: &mut Vec<PackFile>,
    keep: &dyn Fn(&[u8]) -> Outcome<Content>,
) -> Outcome {
    let own = OwnPapers::read();
    let id: ComponentId = OWN.parse().map_err(Failure::new)?;
    let mut texts: Vec<(ComponentId, String, Vec<u8>)> = Vec::new();
    for component in components.iter() {
        let folder = format!("{}/{}/", layout::LICENCES, component.id);
        if files.iter().any(|file| file.path.as_str().starts_with(&folder)) {
            continue;
        }
        let mut found = packages::licence_files(files.iter().filter(|file| file.component == component.id));
        if found.is_empty() {
            found.push(("LICENCE.txt".to_owned(), paper(component, own).into_bytes()));
        }
        texts.extend(found.into_iter().map(|(name, text)| (component.id.clone(), format!("{folder}{name}"), text)));
    }
    if !components.iter().any(|component| component.id == id) {
        components.push(Component {
            id: id.clone(),
            kind: ComponentKind::Part,
            family: None,
            title: "Fieldforge's own papers: bill of materials, licences of what it is made of".to_owned(),
            licence: OWN_LICENCE.to_owned(),
            sources: Vec::new(),
            settings: None,
        });
    }
    texts.push((id.clone(), format!("{}/{OWN}/{THIRD_PARTY}", layout::LICENCES), own.text().into_bytes()));
    for (component, path, text) in texts {
        add_file(files, component, &path, &text, keep)?;
    }
    let sbom = Subject { name, sequence, components, files }.bill(own);
    add_file(files, id, layout::SBOM, &sbom, keep)
}

fn add_file(
    files: &mut Vec<PackFile>,
    component: ComponentId,
    path: &str,
    bytes: &[u8],
    keep: &dyn Fn(&[u8]) -> Outcome<Content>,
) -> Outcome {
    let path: BundlePath = path.parse().map_err(Failure::new)?;
    // Something that was asked for has that name already; it stays.
    if files.iter().any(|file| file.path.case_key() == path.case_key()) {
        return Ok(());
    }
    let (size, sha256) = (bytes.len() as u64, Sha256::of(bytes));
    files.push(PackFile { path, component, content: keep(bytes)?, size, sha256, surveyed: None });
    Ok(())
}

/// What there is to say about a component that brings no licence text of its own.
fn paper(component: &Component, own: &OwnPapers) -> String {
    let mut text = format!("{}\n\nLicence: {}\n", component.title, component.licence);
    let _ = writeln!(text, "{}", LicenceTerms::of(&component.licence));
    for source in &component.sources {
        let _ = writeln!(text, "From: {}", source.page().unwrap_or_else(|| source.to_string()));
    }
    let texts: Vec<&str> = spdx_identifiers(&component.licence)
        .into_iter()
        .flatten()
        .filter_map(|licence| own.standard(licence))
        .collect();
    let of_model = model_licences::text(&component.licence, component.family.as_deref());
    if let Some((before, licence)) = of_model {
        let _ = write!(text, "{before}\n----------------------------------------\n\n{licence}");
    } else if texts.is_empty() {
        text.push_str(
            "\nThe text of this licence is not in this bundle: read it where the file came from, named above.\n",
        );
    }
    for standard in texts {
        text.push_str("\n----------------------------------------\n\n");
        text.push_str(standard);
    }
    text
}
