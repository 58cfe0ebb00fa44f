//! `catalog list` and `catalog show`.

use crate::builtin;
use crate::cli::CatalogCommand;
use crate::failure::{Failure, Outcome};
use crate::library;
use crate::output::Output;
use manifest::{ByteSize, Catalog, CatalogEntry, ComponentKind};
use std::fmt::Write as _;

pub(crate) fn run(command: &CatalogCommand, output: &Output) -> Outcome {
    let catalog = builtin::catalog()?;
    match command {
        CatalogCommand::List { kind } => list(&catalog, kind.as_deref(), output),
        CatalogCommand::Show { name } => show(&catalog, name, output),
    }
}

fn list(catalog: &Catalog, kind: Option<&str>, output: &Output) -> Outcome {
    let kinds = match kind {
        Some(kind) => vec![library::kind(kind)?],
        None => ComponentKind::ALL.to_vec(),
    };
    let entries: Vec<&CatalogEntry> =
        kinds.iter().flat_map(|kind| catalog.entries().filter(move |entry| entry.kind == *kind)).collect();
    let mut text = String::new();
    for entry in &entries {
        let size = entry.size.map_or_else(|| "?".to_owned(), |size| ByteSize(size).to_string());
        let mark = if needs_trust(entry) { " *" } else { "" };
        let _ = writeln!(text, "{:10} {:28} {:>9}  {}{mark}", entry.kind, entry.id.to_string(), size, entry.title);
    }
    if entries.iter().any(|entry| needs_trust(entry)) {
        text.push_str("\n* digest unknown: refused unless you pass --trust-on-first-use\n");
    }
    text.push_str("\n`fieldforge catalog show NAME` prints sources, licence and settings.");
    output.result(&entries, text);
    Ok(())
}

fn show(catalog: &Catalog, name: &str, output: &Output) -> Outcome {
    let entry = name.parse().ok().and_then(|id| catalog.get(&id)).ok_or_else(|| unknown(catalog, name))?;
    let mut text = format!("{}\n", entry.title);
    let mut row = |what: &str, value: String| {
        let _ = writeln!(text, "  {what:9} {value}");
    };
    row("name", entry.id.to_string());
    row("kind", entry.kind.to_string());
    if let Some(family) = &entry.family {
        row("family", family.clone());
    }
    row("licence", entry.licence.clone());
    if let Some(file) = &entry.file {
        row("file", file.clone());
    }
    if let Some(size) = entry.size {
        row("size", format!("{} ({size} bytes)", ByteSize(size)));
    }
    match &entry.sha256 {
        Some(sha256) => row("sha256", sha256.to_string()),
        None if needs_trust(entry) => row("sha256", "unknown: refused unless you pass --trust-on-first-use".to_owned()),
        None => {}
    }
    for source in &entry.sources {
        row("source", source.to_string());
    }
    if let Some(settings) = &entry.settings {
        let fields = serde_json::to_value(settings).unwrap_or_default();
        let said: Vec<String> = fields
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| format!("{name} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
            .collect();
        row("settings", said.join(", "));
    }
    if let Some(notes) = &entry.notes {
        row("notes", notes.clone());
    }
    output.result(entry, text.trim_end());
    Ok(())
}

fn needs_trust(entry: &CatalogEntry) -> bool {
    entry.sha256.is_none() && entry.file.is_some()
}

/// There is no such entry; the nearest ones are named.
pub(crate) fn unknown(catalog: &Catalog, name: &str) -> Failure {
    let similar: Vec<String> = catalog.similar(name).iter().map(|id| format!("`{id}`")).collect();
    let hint = match similar.as_slice() {
        [] => "run `fieldforge catalog list` to see every name".to_owned(),
        names => format!("did you mean {}? `fieldforge catalog list` shows every name", names.join(" or ")),
    };
    Failure::new(format!("the catalog has no entry `{}`", name.escape_debug())).with_hint(hint)
}
