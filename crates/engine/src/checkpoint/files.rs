use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::diffusers_names::{ControlNames, UNetNames, VaeNames};
use super::quantization::quantization;
use super::source::Source;
use super::{Header, Part, TensorEntry};
use crate::EngineError;

/// The files of a model seen as one file, under the names of the single-file layout.
pub(super) struct Files {
    name: String,
    sources: Vec<Source>,
    header: Header,
}

/// Smaller gaps between tensors stay in memory.
const LEAST_RELEASED: usize = 1 << 20;

/// The list of a model that is spread over several files.
#[derive(Deserialize)]
struct Shards {
    weight_map: BTreeMap<String, String>,
}

impl Files {
    /// A single file.
    pub(super) fn single(source: Source) -> Result<Self, EngineError> {
        let metadata = source.header().metadata().clone();
        let mut files = Self::empty(source.file().to_owned(), metadata);
        files.add(vec![source], |name| Some(name.to_owned()))?;
        Ok(files)
    }

    /// A single file, or a folder as diffusers saves it.
    pub(super) fn open(path: &Path) -> Result<Self, EngineError> {
        if path.is_dir() { Self::folder(path) } else { Self::single(Source::open(path)?) }
    }

    /// A ControlNet: a single file in its own names or those of diffusers, or the folder that diffusers saves. The
    /// tensors are then under `control_model`; names of no known pattern stay.
    pub(super) fn control(path: &Path) -> Result<Self, EngineError> {
        let sources = if path.is_dir() { weights_in(path)? } else { vec![Source::open(path)?] };
        let mut files = Self::empty(path.display().to_string(), BTreeMap::new());
        let names = ControlNames::of(sources.iter().flat_map(names_of));
        files.add(sources, |name| Some(names.single(name).unwrap_or_else(|| name.to_owned())))?;
        Ok(files)
    }

    fn empty(name: String, metadata: BTreeMap<String, String>) -> Self {
        Self { name, sources: Vec::new(), header: Header::of(metadata) }
    }

    /// A folder with a `model_index.json`. Tokenizers and configurations are not needed; the scheduler's tells what the
    /// UNet predicts.
    fn folder(path: &Path) -> Result<Self, EngineError> {
        let name = path.display().to_string();
        if !path.join("model_index.json").is_file() {
            let reason = "it is a folder without a `model_index.json`".to_owned();
            return Err(EngineError::NotSafetensors { file: name, reason });
        }
        let mut files = Self::empty(name, scheduler(path));
        let unet = weights_in(&path.join("unet"))?;
        let names = UNetNames::of(unet.iter().flat_map(names_of));
        files.add(unet, |name| names.single(name))?;
        if files.header.tensors().next().is_none() {
            return Err(EngineError::MissingPart { file: files.name, part: Part::UNet });
        }
        files.add_vae(weights_in(&path.join("vae"))?)?;
        let (first, second) = (weights_in(&path.join("text_encoder"))?, weights_in(&path.join("text_encoder_2"))?);
        let prefixes = match (first.is_empty(), second.is_empty()) {
            (_, true) => ["cond_stage_model", ""],
            (true, false) => ["", "conditioner.embedders.0"],
            (false, false) => ["conditioner.embedders.0", "conditioner.embedders.1"],
        };
        for (sources, prefix) in [first, second].into_iter().zip(prefixes) {
            files.add(sources, |name| Some(format!("{prefix}.transformer.{name}")))?;
        }
        Ok(files)
    }

    /// Replaces the VAE by that of a file (or of a diffusers folder's part), in the names of single files, with or
    /// without `first_stage_model.`, or of diffusers.
    pub(super) fn replace_vae(&mut self, path: &Path) -> Result<(), EngineError> {
        let sources = if path.is_dir() { weights_in(path)? } else { vec![Source::open(path)?] };
        let file = path.display().to_string();
        self.header.retain(|name| !name.starts_with("first_stage_model."));
        self.add_vae(sources)?;
        if self.header.get("first_stage_model.decoder.conv_in.weight").is_none() {
            return Err(EngineError::MissingPart { file, part: Part::Vae });
        }
        Ok(())
    }

    fn add_vae(&mut self, sources: Vec<Source>) -> Result<(), EngineError> {
        let names = VaeNames::of(sources.iter().flat_map(names_of));
        self.add(sources, |name| names.single(name))
    }

    /// Adds the tensors of `sources` to which `rename` gives a name.
    fn add(&mut self, sources: Vec<Source>, rename: impl Fn(&str) -> Option<String>) -> Result<(), EngineError> {
        for source in sources {
            if let Some(kind) = quantization(source.header()) {
                return Err(EngineError::Quantized { file: source.file().to_owned(), kind });
            }
            for (name, entry) in source.header().tensors() {
                if let Some(name) = rename(name) {
                    self.header.insert(name, entry.clone(), self.sources.len());
                }
            }
            self.sources.push(source);
        }
        Ok(())
    }

    /// The length of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.sources.iter().map(Source::length).sum()
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// All tensors; their places are those in their own files.
    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    /// Takes out of memory what lies between the tensors that `keep` names, in each file.
    pub(super) fn release(&self, keep: impl Fn(&str) -> bool) {
        let mut kept = vec![Vec::new(); self.sources.len()];
        for (_, entry) in self.header.tensors().filter(|(name, _)| keep(name)) {
            if let Some(kept) = kept.get_mut(entry.file()) {
                kept.push(entry.range());
            }
        }
        for (source, kept) in self.sources.iter().zip(&mut kept) {
            kept.sort_unstable();
            let start = source.header().data_start();
            let end = source.length() as usize;
            let mut at = start;
            for (first, last) in
                kept.iter().map(|&(first, last)| (start + first as usize, start + last as usize)).chain([(end, end)])
            {
                if first > at + LEAST_RELEASED {
                    source.release(at..first);
                }
                at = at.max(last);
            }
        }
    }

    /// The file that a tensor is in.
    pub(super) fn source(&self, entry: &TensorEntry) -> Option<&Source> {
        self.sources.get(entry.file())
    }
}

fn names_of(source: &Source) -> impl Iterator<Item = &str> + Clone {
    source.header().tensors().map(|(name, _)| name).collect::<Vec<_>>().into_iter()
}

/// The safetensors files of one part of a diffusers folder: whole, or in pieces that an index lists; full precision
/// before `fp16`. None where the part is missing.
fn weights_in(folder: &Path) -> Result<Vec<Source>, EngineError> {
    let named = |stem: &str, end: &str| folder.join(format!("{stem}{end}"));
    let stems = ["diffusion_pytorch_model", "model"];
    let found = |ends: &[&str]| -> Option<PathBuf> {
        ends.iter().flat_map(|end| stems.map(|stem| named(stem, end))).find(|path| path.is_file())
    };
    if let Some(path) = found(&[".safetensors"]) {
        return Ok(vec![Source::open(&path)?]);
    }
    if let Some(index) = found(&[".safetensors.index.json", ".safetensors.index.fp16.json"]) {
        return shards(folder, &index);
    }
    if let Some(path) = found(&[".fp16.safetensors"]) {
        return Ok(vec![Source::open(&path)?]);
    }
    if let Some(pickle) =
        found(&[".bin", ".fp16.bin"]).or(Some(folder.join("pytorch_model.bin")).filter(|p| p.is_file()))
    {
        let file = pickle.display().to_string();
        return Err(EngineError::Pickle { file, found: "a part of a diffusers folder" });
    }
    Ok(Vec::new())
}

/// The files that an index lists. It may name files in its own folder only.
fn shards(folder: &Path, index: &Path) -> Result<Vec<Source>, EngineError> {
    let broken = |reason: String| EngineError::BrokenHeader { file: index.display().to_string(), reason };
    let shards: Shards = serde_json::from_slice(&fs_err::read(index)?).map_err(|error| broken(error.to_string()))?;
    let mut names: Vec<&String> = shards.weight_map.values().collect();
    names.sort();
    names.dedup();
    if let Some(name) = names.iter().find(|name| name.contains(['/', '\\', ':']) || !name.ends_with(".safetensors")) {
        return Err(broken(format!("`{name}` is not the name of a safetensors file")));
    }
    let sources: Vec<Source> = names.iter().map(|name| Source::open(&folder.join(name))).collect::<Result<_, _>>()?;
    let there = |tensor: &String| sources.iter().any(|source| source.header().get(tensor).is_some());
    if let Some(tensor) = shards.weight_map.keys().find(|tensor| !there(tensor)) {
        return Err(EngineError::MissingTensor { file: index.display().to_string(), tensor: tensor.clone() });
    }
    Ok(sources)
}

/// What a folder's scheduler says about training, as text. Nothing where it cannot be read.
fn scheduler(folder: &Path) -> BTreeMap<String, String> {
    let read = || -> Option<Value> {
        serde_json::from_slice(&fs_err::read(folder.join("scheduler/scheduler_config.json")).ok()?).ok()
    };
    let Some(config) = read() else { return BTreeMap::new() };
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    };
    ["prediction_type", "rescale_betas_zero_snr"]
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), text(config.get(key)?)?)))
        .collect()
}
