use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use candle_core::Result as ComputeResult;

use super::key::Network;
use super::lora_file::Lora;
use super::model_names::{ModelNames, Place};
use super::report::LoraReport;
use crate::checkpoint::{Family, Patches};
use crate::{EngineError, Model};

/// A LoRA and how much of it there shall be.
#[derive(Clone, Debug)]
pub struct AppliedLora {
    /// The file.
    pub lora: Arc<Lora>,
    /// How much of it goes into the UNet: 1 as in training, 0 nothing, less than 0 the opposite.
    pub unet_weight: f32,
    /// How much of it goes into the text encoders.
    pub text_weight: f32,
}

impl AppliedLora {
    fn weight(&self, network: Network) -> f32 {
        if network == Network::UNet { self.unet_weight } else { self.text_weight }
    }
}

impl Model {
    /// Applies these LoRAs from now on, in their order and in place of those applied before; none at all brings the
    /// model back to its file, bit for bit. Nothing is loaded anew: only tensors to which something else is done than
    /// before are widened and changed again, when they are next used.
    ///
    /// # Errors
    /// [`EngineError::LoraFamily`] for a LoRA of another family, [`EngineError::LoraKeys`] for one that fits no layer,
    /// [`EngineError::LoraTensor`] for a tensor that does not fit its layer, [`EngineError::Setting`] for a weight that
    /// is not a number. The model then is as it was.
    pub fn set_loras(&self, loras: &[AppliedLora]) -> Result<Vec<LoraReport>, EngineError> {
        if loras.is_empty() {
            self.set_patches(None);
            return Ok(Vec::new());
        }
        let names = ModelNames::of(self.patchable().collect::<Vec<_>>().into_iter());
        let mut tensors: HashMap<String, Vec<Patch>> = HashMap::new();
        let mut reports = Vec::new();
        for applied in loras {
            reports.push(fit(applied, &names, self.family(), &mut tensors)?);
        }
        self.set_patches(Some(Arc::new(LoraPatches { tensors })));
        Ok(reports)
    }
}

/// All changes of all LoRAs, by the tensors that they change.
struct LoraPatches {
    tensors: HashMap<String, Vec<Patch>>,
}

/// One layer's change in one tensor.
struct Patch {
    lora: Arc<Lora>,
    layer: usize,
    bias: bool,
    place: Place,
    weight: f32,
}

/// Finds the places of a LoRA's layers in a model.
fn fit(
    applied: &AppliedLora,
    names: &ModelNames,
    family: Family,
    tensors: &mut HashMap<String, Vec<Patch>>,
) -> Result<LoraReport, EngineError> {
    let lora = &applied.lora;
    for weight in [applied.unet_weight, applied.text_weight] {
        if !weight.is_finite() {
            let expected = "a finite number".to_owned();
            return Err(EngineError::Setting { setting: "the weight of a LoRA", found: weight.to_string(), expected });
        }
    }
    if !lora.base.fits(family, names.context()) {
        return Err(EngineError::LoraFamily {
            file: lora.file().to_owned(),
            lora: lora.base.description(),
            model: family.description(),
        });
    }
    let mut unmatched = lora.strays.clone();
    let mut matched = 0;
    let mut taken = HashSet::new();
    for (index, file_layer) in lora.layers.iter().enumerate() {
        let layer = &file_layer.layer;
        let places = names.get(file_layer.network, &file_layer.name);
        let weight = applied.weight(file_layer.network);
        // a layer that the file has under two names is changed once
        let mut take = |place: Option<&Place>| place.filter(|place| taken.insert((*place).clone())).cloned();
        let mut patch = |place: Place, bias| {
            if weight != 0.0 {
                let patch = Patch { lora: Arc::clone(lora), layer: index, bias, weight, place };
                tensors.entry(patch.place.tensor.clone()).or_default().push(patch);
            }
        };
        if layer.change.is_some() {
            match take(places.and_then(|places| places.weight.as_ref())) {
                Some(place) => {
                    layer.check(lora.file(), &place)?;
                    matched += file_layer.keys.len();
                    patch(place, false);
                }
                None => unmatched.extend(file_layer.keys.iter().cloned()),
            }
        }
        if let Some(bias) = &layer.bias {
            match take(places.and_then(|places| places.bias.as_ref())) {
                Some(place) => {
                    layer.check_bias(lora.file(), &place)?;
                    matched += 1;
                    patch(place, true);
                }
                None => unmatched.push(bias.name().to_owned()),
            }
        }
    }
    unmatched.sort();
    if matched == 0 {
        let key = unmatched.first().cloned().unwrap_or_default();
        return Err(EngineError::LoraKeys { file: lora.file().to_owned(), keys: unmatched.len(), key });
    }
    let changed: HashSet<&String> = taken.iter().map(|place| &place.tensor).collect();
    Ok(LoraReport { file: lora.file().to_owned(), matched, unmatched, tensors: changed.len() })
}

impl Patches for LoraPatches {
    fn mark(&self, name: &str) -> Option<u64> {
        let patches = self.tensors.get(name)?;
        let mut hasher = DefaultHasher::new();
        for patch in patches {
            (Arc::as_ptr(&patch.lora).addr(), patch.layer, patch.bias, patch.weight.to_bits()).hash(&mut hasher);
        }
        Some(hasher.finish())
    }

    fn apply(&self, name: &str, values: &mut [f32]) -> ComputeResult<()> {
        self.tensors.get(name).into_iter().flatten().try_for_each(|patch| patch.apply(values))
    }
}

impl Patch {
    fn apply(&self, values: &mut [f32]) -> ComputeResult<()> {
        let Self { place, weight, .. } = self;
        let (Some(own), Some(layer)) = (values.get_mut(place.elements.clone()), self.lora.layers.get(self.layer))
        else {
            candle_core::bail!("`{}` is shorter than it was", place.tensor)
        };
        if self.bias {
            return layer.layer.apply_bias(own, *weight);
        }
        let [outputs, inputs, ..] = *place.shape.as_slice() else {
            return layer.layer.apply(own, &place.shape, *weight);
        };
        if !place.transposed {
            return layer.layer.apply(own, &place.shape, *weight);
        }
        let mut turned = turn(own, inputs, outputs);
        layer.layer.apply(&mut turned, &place.shape, *weight)?;
        own.copy_from_slice(&turn(&turned, outputs, inputs));
        Ok(())
    }
}

/// `[rows, columns]` as `[columns, rows]`.
fn turn(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let column = |j: usize| (0..rows).filter_map(move |i| values.get(i * columns + j).copied());
    (0..columns).flat_map(column).collect()
}
