//! `models`: what is installed, by the names that prompts and options call it.

use crate::cli::ModelsArgs;
use crate::failure::Outcome;
use crate::file_facts::FileFacts;
use crate::library::{self, InstalledFile, Library};
use crate::output::Output;
use crate::{home, models};
use manifest::ByteSize;
use serde::Serialize;
use std::fmt::Write as _;

#[derive(Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    file: &'a InstalledFile,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    trigger_words: Vec<String>,
    is_default: bool,
}

pub(crate) fn run(args: &ModelsArgs, output: &Output) -> Outcome {
    let home = home::resolve(&args.home)?;
    let wanted = args.kind.as_deref().map(library::kind).transpose()?;
    let library = Library::of(&home)?;
    let default = models::choose(&home, None)?.id;
    let listed: Vec<Listed<'_>> = library
        .files()
        .iter()
        .filter(|file| wanted.is_none_or(|wanted| file.kind == wanted))
        .map(|file| Listed { file, trigger_words: FileFacts::of(file).trigger_words, is_default: file.id == default })
        .collect();
    let mut text = String::new();
    for Listed { file, trigger_words, is_default } in &listed {
        let family = file.family.as_deref().unwrap_or("?");
        let mark = if *is_default { "  (default)" } else { "" };
        let size = ByteSize(file.size).to_string();
        let _ = writeln!(text, "{:10} {:32} {family:12} {size:>9}  {}{mark}", file.kind, file.name, file.title);
        if !trigger_words.is_empty() {
            let _ = writeln!(text, "{:10} say: {}", "", trigger_words.join(", "));
        }
    }
    if listed.is_empty() {
        let _ = writeln!(text, "nothing of this kind is installed in `{}`", home.display());
    }
    output.result(&listed, text.trim_end());
    Ok(())
}
