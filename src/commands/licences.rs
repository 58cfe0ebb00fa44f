//! `inspect --licences`: who made what, what its licence allows, where its text is.

use crate::failure::Outcome;
use crate::home;
use crate::output::Output;
use crate::papers::OwnPapers;
use ::install::{Bundle, InstallError};
use manifest::{BundleManifest, ComponentId, LicenceTerms, Source, layout};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::Path;

/// One line of the answer.
#[derive(Serialize)]
struct Licensed<'a> {
    component: &'a ComponentId,
    title: &'a str,
    licence: &'a str,
    #[serde(flatten)]
    terms: LicenceTerms,
    /// Where it comes from.
    pages: Vec<String>,
    /// Where the texts are: in the archive, or on this machine.
    texts: Vec<String>,
}

/// Those of a bundle, or of what is installed in a home.
pub(crate) fn of_folder(folder: &Path, output: &Output) -> Outcome {
    if home::is_home(folder) {
        let now = ::install::current(folder)?;
        let now = now.ok_or_else(|| InstallError::NothingInstalled { home: folder.to_path_buf() })?;
        let place = format!("{}/", now.folder.display());
        return list(&now.manifest, &place, output);
    }
    let bundle = Bundle::open(folder)?;
    list(bundle.manifest(), "", output)
}

fn list(manifest: &BundleManifest, place: &str, output: &Output) -> Outcome {
    let lines: Vec<Licensed<'_>> = manifest
        .components
        .iter()
        .map(|component| {
            let folder = format!("{}/{}/", layout::LICENCES, component.id);
            let texts = manifest.files.iter().map(|file| file.path.as_str()).filter(|path| path.starts_with(&folder));
            Licensed {
                component: &component.id,
                title: &component.title,
                licence: &component.licence,
                terms: LicenceTerms::of(&component.licence),
                pages: component.sources.iter().filter_map(Source::page).collect(),
                texts: texts.map(|path| format!("{place}{path}")).collect(),
            }
        })
        .collect();
    let mut text = format!("Licences of what is in `{}`\n", manifest.name);
    for line in &lines {
        let _ = write!(text, "\n{}  {}\n  licence: {}\n  {}\n", line.component, line.title, line.licence, line.terms);
        line.pages.iter().for_each(|page| text.push_str(&format!("  from: {page}\n")));
        match line.texts.is_empty() {
            true => text.push_str("  text: none in here\n"),
            false => line.texts.iter().for_each(|file| text.push_str(&format!("  text: {file}\n"))),
        }
    }
    output.result(&serde_json::json!({ "name": manifest.name, "licences": lines }), text.trim_end());
    for line in lines.iter().filter(|line| line.terms == LicenceTerms::Unknown) {
        output
            .warn(format!("what the licence of `{}` allows is not known here (\"{}\")", line.component, line.licence));
    }
    Ok(())
}

/// Those of this program: a list of the libraries in it, then every text.
pub(crate) fn of_program(output: &Output) -> Outcome {
    let own = OwnPapers::read();
    let crates = own.crates.iter();
    let crates: Vec<_> = crates
        .map(|one| serde_json::json!({ "name": one.name, "version": one.version, "licence": one.licence }))
        .collect();
    output.result(&serde_json::json!({ "name": crate::PROGRAM_VERSION, "licences": crates }), own.text().trim_end());
    Ok(())
}
