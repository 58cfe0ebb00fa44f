//! `inspect`: what a bundle holds, or what a model file is.

use crate::cli::InspectArgs;
use crate::commands::licences;
use crate::failure::Outcome;
use crate::home;
use crate::output::Output;
use engine::checkpoint::{CheckpointInfo, Family};
use engine::{FileHashes, Lora, LoraInfo};
use manifest::ByteSize;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
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
    if path.is_file() {
        return model_file(&path, output);
    }
    let inspection = ::install::inspect(&path)?;
    output.result(&inspection, inspection.to_string().trim_end());
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
