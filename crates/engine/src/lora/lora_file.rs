use std::collections::BTreeMap;
use std::path::Path;

use super::base::Base;
use super::change::Change;
use super::info::LoraInfo;
use super::key::{Key, Network, Part};
use super::layer::{LoraLayer, Magnitude};
use super::peft_alpha::PeftAlpha;
use super::stored::Stored;
use crate::EngineError;
use crate::checkpoint::{Family, Weights};

/// A LoRA or one of its relatives, mapped from its file: LoRA and LoCon, with or without DoRA's magnitudes, LoHa, LoKr,
/// IA3, and whole differences of weights, norms and biases.
///
/// The names of kohya's scripts, LyCORIS, diffusers (all versions), peft, SimpleTuner, OneTrainer, ai-toolkit and
/// ComfyUI are understood.
#[derive(Debug)]
pub struct Lora {
    file: String,
    info: LoraInfo,
    pub(super) base: Base,
    pub(super) layers: Vec<FileLayer>,
    /// Keys that belong to no layer.
    pub(super) strays: Vec<String>,
}

/// What the file has for one layer.
#[derive(Debug)]
pub(super) struct FileLayer {
    pub(super) network: Network,
    pub(super) name: String,
    pub(super) layer: LoraLayer,
    /// The keys that change its weight.
    pub(super) keys: Vec<String>,
}

impl Lora {
    /// Reads what a file's tensors are; their values are read when they are applied.
    ///
    /// # Errors
    /// Those of unusable files, [`EngineError::NotALora`] for a file without a LoRA's tensors,
    /// [`EngineError::LoraKeys`] where all of them belong to methods that are not known (OFT, GLoRA), and
    /// [`EngineError::LoraTensor`] for tensors of a type that cannot be widened to f32.
    pub fn open(path: &Path) -> Result<Self, EngineError> {
        let stem = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy();
        Self::read(Weights::open(path)?, &stem)
    }

    /// Reads a file that is in memory; `name` stands for it in errors.
    ///
    /// # Errors
    /// As [`Lora::open`].
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self, EngineError> {
        Self::read(Weights::from_bytes(name, bytes)?, name)
    }

    fn read(weights: Weights, name: &str) -> Result<Self, EngineError> {
        let file = weights.file().to_owned();
        let header = weights.header();
        let mut layers: BTreeMap<(Network, String), BTreeMap<Part, Stored>> = BTreeMap::new();
        let mut strays = Vec::new();
        for (name, entry) in header.tensors() {
            let stored = Stored::new(&weights, name, entry);
            let Some(Key { network, layer, part }) = Key::parse(name) else {
                strays.push(name.to_owned());
                continue;
            };
            // a second name for the same tensor changes nothing
            if let Some(second) = layers.entry((network, layer)).or_default().insert(part, stored) {
                strays.push(second.name().to_owned());
            }
        }
        let alphas = PeftAlpha::read(header.metadata().get("lora_adapter_metadata"));
        let mut read = Vec::new();
        for ((network, name), parts) in layers {
            if let Some(layer) = FileLayer::read(&file, network, name, parts, &alphas, &mut strays)? {
                read.push(layer);
            }
        }
        if read.is_empty() {
            return Err(match (Family::of(header), header.tensors().next()) {
                // a method that is not known
                (Family::Lora, Some((key, _))) => {
                    EngineError::LoraKeys { file, keys: header.tensors().count(), key: key.to_owned() }
                }
                (family, _) => EngineError::NotALora { family, file },
            });
        }
        let changes = read.iter().map(|layer| (layer.network, layer.name.as_str(), layer.layer.change.as_ref()));
        let mut base = Base::of(changes, header.metadata());
        if let Some(family) = Base::foreign(&header.tensors().map(|(name, _)| name).collect::<Vec<_>>()) {
            base = Base { family: Some(family), context: None };
        }
        let mut info = LoraInfo::written(header.metadata(), name);
        info.family = base.family.map(|family| family.to_string());
        describe(&mut info, &read);
        Ok(Self { file, info, base, layers: read, strays })
    }

    /// The file, as it was named.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// What the file says about itself.
    pub fn info(&self) -> &LoraInfo {
        &self.info
    }
}

impl FileLayer {
    /// Puts the tensors of one layer together; those that make no sense go to `strays`.
    fn read(
        file: &str,
        network: Network,
        name: String,
        mut parts: BTreeMap<Part, Stored>,
        alphas: &PeftAlpha,
        strays: &mut Vec<String>,
    ) -> Result<Option<Self>, EngineError> {
        let bias = parts.remove(&Part::DiffBias);
        let on_input = parts.remove(&Part::OnInput);
        if on_input.is_none()
            && let Some(weight) = parts.remove(&Part::Factor)
        {
            strays.push(weight.name().to_owned()); // a weight as such is no factor of IA3
        }
        let alpha = parts.remove(&Part::Alpha);
        let magnitude = [Part::DoraScale, Part::Magnitude]
            .into_iter()
            .find_map(|part| Some(Magnitude { values: parts.remove(&part)?, part }));
        let names = |stored: &Stored| stored.name().to_owned();
        let mut keys: Vec<String> = parts.values().map(names).collect();
        keys.extend(on_input.iter().chain(&alpha).map(names));
        keys.extend(magnitude.iter().map(|magnitude| names(&magnitude.values)));
        for stored in parts.values().chain(&bias).chain(magnitude.iter().map(|magnitude| &magnitude.values)) {
            let refused = |expected: &str| EngineError::LoraTensor {
                file: file.to_owned(),
                tensor: stored.name().to_owned(),
                found: stored.description(),
                expected: expected.to_owned(),
            };
            if !stored.is_floating() {
                return Err(refused("F16, BF16, F32 or F64"));
            }
            if stored.elements() == 0 {
                return Err(refused("at least one element"));
            }
        }
        let on_input = on_input.and_then(|on_input| on_input.number()).is_some_and(|number| number != 0.0);
        let change = Change::of(&mut |part| parts.remove(&part), on_input);
        if change.is_some() {
            let rest: Vec<String> = parts.values().map(names).collect();
            keys.retain(|key| !rest.contains(key));
            strays.extend(rest);
        } else {
            strays.append(&mut keys);
        }
        if change.is_none() && bias.is_none() {
            return Ok(None);
        }
        let scale = match (change.as_ref().and_then(Change::rank), &alpha) {
            (None, _) => 1.0,
            (Some(rank), None) => alphas.scale(network, &name, rank).unwrap_or(1.0),
            (Some(rank), Some(alpha)) => {
                let number = alpha.number().ok_or_else(|| EngineError::LoraTensor {
                    file: file.to_owned(),
                    tensor: alpha.name().to_owned(),
                    found: alpha.description(),
                    expected: "a single finite number".to_owned(),
                })?;
                (number / rank as f64) as f32
            }
        };
        let magnitude = magnitude.filter(|_| change.is_some());
        Ok(Some(Self { network, name, layer: LoraLayer { change, scale, magnitude, bias }, keys }))
    }
}

/// Fills in what follows from the tensors.
fn describe(info: &mut LoraInfo, layers: &[FileLayer]) {
    fn frequent<T: Ord + Copy>(values: impl Iterator<Item = T>) -> Vec<T> {
        let mut counts: BTreeMap<T, usize> = BTreeMap::new();
        values.for_each(|value| *counts.entry(value).or_default() += 1);
        let mut counts: Vec<(T, usize)> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts.into_iter().map(|(value, _)| value).collect()
    }
    let kinds = layers.iter().filter_map(|layer| Some(layer.layer.change.as_ref()?.kind()));
    info.kinds = frequent(kinds).into_iter().map(str::to_owned).collect();
    if layers.iter().any(|layer| layer.layer.magnitude.is_some()) {
        info.kinds.push("DoRA".to_owned());
    }
    info.rank = frequent(layers.iter().filter_map(|layer| layer.layer.change.as_ref()?.rank())).first().copied();
    info.unet = layers.iter().any(|layer| layer.network == Network::UNet);
    info.text_encoder = layers.iter().any(|layer| layer.network != Network::UNet);
}
