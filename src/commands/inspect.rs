//! `inspect`: what a bundle holds, what a model file is, or how a picture was drawn.

use crate::cli::InspectArgs;
use crate::commands::licences;
use crate::failure::Outcome;
use crate::home;
use crate::output::Output;
use crate::picture_facts;
use engine::checkpoint::{CheckpointInfo, Family};
use engine::{FileHashes, Lora, LoraInfo};
use manifest::ByteSize;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;

/// Metadata longer than this is cut in the text for people; JSON has it whole.
const LONGEST_LINE: usize = 90;

#[derive(Serialize)]
struct ModelFile<'a> {
    file: &'a Path,
    family: String,
    bytes: u64,
    tensors: usize,
    parameters: u64,
    #[serde(flatten)]
    hashes: &'a FileHashes,
    auto_v2: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    lora: Option<&'a LoraInfo>,
    metadata: &'a BTreeMap<String, String>,
}

pub(crate) fn run(args: &InspectArgs, output: &Output) -> Outcome {
    let Some(what) = &args.what else { return licences::of_program(output) };
    let path = home::absolute(what)?;
    if args.licences {
        return licences::of_folder(&path, output);
    }
    if path.is_file() && is_picture(&path)? {
        return picture(&path, output);
    }
    if path.is_file() {
        return model_file(&path, output);
    }
    let inspection = ::install::inspect(&path)?;
    output.result(&inspection, inspection.to_string().trim_end());
    Ok(())
}

/// A PNG, JPEG or WebP file, by its first bytes.
fn is_picture(path: &Path) -> Outcome<bool> {
    let mut start = Vec::new();
    fs_err::File::open(path)?.take(12).read_to_end(&mut start)?;
    let webp = start.starts_with(b"RIFF") && start.ends_with(b"WEBP");
    Ok(webp || start.starts_with(b"\x89PNG") || start.starts_with(b"\xff\xd8\xff"))
}

/// How a picture was drawn, as far as it says.
fn picture(path: &Path, output: &Output) -> Outcome {
    let facts = picture_facts::read(&fs_err::read(path)?, &[])?;
    let mut text = format!("`{}` is a picture of {}x{} pixels\n", path.display(), facts.width, facts.height);
    let settings = facts.settings.as_ref().and_then(|settings| settings.as_object());
    match settings {
        None => text += "  it does not say how it was drawn\n",
        Some(settings) => {
            for (name, value) in settings {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let lines: Vec<&str> = value.lines().collect();
                let _ = writeln!(text, "  {name:16} {}", lines.join("\n                   "));
            }
            let _ = writeln!(text, "draw it again: fieldforge generate --prompt-from '{}'", path.display());
        }
    }
    for remark in &facts.remarks {
        let _ = writeln!(text, "  {remark}");
    }
    output.result(&facts, text.trim_end());
    Ok(())
}

fn model_file(path: &Path, output: &Output) -> Outcome {
    let info = engine::checkpoint::inspect(path)?;
    let hashes = FileHashes::of(path)?;
    let lora = match info.family {
        Family::Lora => Some(Lora::open(path)?),
        _ => None,
    };
    let lora = lora.as_ref().map(Lora::info);
    let file = ModelFile {
        file: path,
        family: info.family.to_string(),
        bytes: info.bytes,
        tensors: info.tensors,
        parameters: info.parameters,
        auto_v2: hashes.auto_v2(),
        hashes: &hashes,
        lora,
        metadata: &info.metadata,
    };
    output.result(&file, text(path, &info, &hashes, lora).trim_end());
    Ok(())
}

fn text(path: &Path, info: &CheckpointInfo, hashes: &FileHashes, lora: Option<&LoraInfo>) -> String {
    let mut text = format!("`{}` is {}\n", path.display(), info.family.description());
    let mut row = |what: &str, value: String| {
        let _ = writeln!(text, "  {what:13} {value}");
    };
    row("size", format!("{} ({} bytes)", ByteSize(info.bytes), info.bytes));
    row("tensors", format!("{} with {} parameters", info.tensors, info.parameters));
    row("sha256", hashes.sha256.clone());
    let third = hashes.auto_v3.as_ref().map(|hash| format!(", AutoV3 {hash}")).unwrap_or_default();
    row("short hashes", format!("AutoV2 {}{third}, AutoV1 {}", hashes.auto_v2(), hashes.auto_v1));
    if let Some(lora) = lora {
        row("name", lora.name.clone());
        let rank = lora.rank.map(|rank| format!(", rank {rank}")).unwrap_or_default();
        row("made of", format!("{}{rank}", lora.kinds.join(", ")));
        let said = [
            ("made for", lora.family.clone()),
            ("trained on", lora.base_model.clone()),
            ("say", Some(lora.trigger_words.join(", "))),
            (
                "captions had",
                Some(lora.tags.iter().take(12).map(|tag| tag.tag.as_str()).collect::<Vec<_>>().join(", ")),
            ),
            ("author", lora.author.clone()),
            ("licence", lora.license.clone()),
        ];
        for (what, value) in said {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                row(what, value);
            }
        }
    }
    for (key, value) in &info.metadata {
        let line: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_LINE).collect();
        let cut = if value.chars().count() > LONGEST_LINE { "…" } else { "" };
        row("metadata", format!("{}: {line}{cut}", key.escape_debug()));
    }
    text
}
