use std::sync::Arc;

use candle_core::{CpuStorage, Device, Result, Storage, Tensor, bail};

use super::{TensorEntry, Weights};
use crate::kernels::weight::{Elements, Weight};

/// One tensor of a checkpoint. It stays in its file, in the file's precision. Vectors and tables are widened to f32
/// when they are used, and [`Weights`] decides whether the widened copy is kept for the next time; the weights of
/// layers are multiplied by where they lie.
#[derive(Clone)]
pub(crate) struct Parameter(Arc<Handle>);

struct Handle {
    weights: Weights,
    name: String,
    entry: TensorEntry,
    layer: Option<Layer>,
}

/// What a tensor is to the layer whose weight it is.
#[derive(Clone, Copy)]
pub(super) struct Layer {
    pub(super) outputs: usize,
    pub(super) inputs: usize,
    /// Places that an output looks at: 9 in a 3x3 convolution.
    pub(super) taps: usize,
    /// Stored as `[inputs, outputs]` instead of `[outputs, inputs, taps]`.
    pub(super) inputs_first: bool,
}

impl Layer {
    fn weight<'a>(&self, elements: Elements<'a>) -> Weight<'a> {
        if self.inputs_first {
            Weight::inputs_first(elements, self.outputs, self.inputs)
        } else {
            Weight::new(elements, self.outputs, self.inputs, self.taps)
        }
    }
}

impl Parameter {
    /// A handle on a floating-point tensor; [`super::Scope`] has checked it.
    pub(super) fn new(weights: Weights, name: String, entry: TensorEntry, layer: Option<Layer>) -> Self {
        weights.want(&name, &entry, layer.is_some());
        Self(Arc::new(Handle { weights, name, entry, layer }))
    }

    /// The dimensions in the file.
    pub(crate) fn dims(&self) -> &[usize] {
        self.0.entry.shape()
    }

    /// Channels that the layer takes; of a vector or table, 0.
    pub(crate) fn inputs(&self) -> usize {
        self.0.layer.map_or(0, |layer| layer.inputs)
    }

    /// Channels that the layer makes; of a vector or table, 0.
    pub(crate) fn outputs(&self) -> usize {
        self.0.layer.map_or(0, |layer| layer.outputs)
    }

    /// The widened and patched tensor, in the dimensions of the file.
    pub(crate) fn get(&self) -> Result<Tensor> {
        self.0.weights.kept_or(&self.0.name, |patches| {
            let mut values = self.values(0, self.0.entry.elements() as usize)?;
            if let Some(patches) = patches {
                patches.apply(&self.0.name, &mut values)?;
            }
            Tensor::from_vec(values, self.dims(), &Device::Cpu)
        })
    }

    /// Gives `work` the weight of a layer: as it lies in the file, or a widened copy where it is patched.
    pub(crate) fn with_weight<T>(&self, work: impl FnOnce(&Weight<'_>) -> Result<T>) -> Result<T> {
        let Some(layer) = self.0.layer else { bail!("`{}` is not the weight of a layer", self.0.name) };
        if !self.0.weights.is_patched(&self.0.name)
            && let Some(elements) = self.0.weights.elements(&self.0.entry)
        {
            return work(&layer.weight(elements));
        }
        let tensor = self.get()?;
        let (storage, _) = tensor.storage_and_layout();
        match &*storage {
            Storage::Cpu(CpuStorage::F32(values)) => work(&layer.weight(Elements::F32(values))),
            _ => bail!("`{}` was not widened", self.0.name),
        }
    }

    /// Some rows of a table, without widening the others.
    ///
    /// # Shapes
    /// - table: `[rows, width]`, result: `[ids, width]`
    pub(crate) fn rows(&self, ids: &[u32]) -> Result<Tensor> {
        let [rows, width] = *self.0.entry.shape() else { bail!("`{}` is not a table", self.0.name) };
        if let Some(id) = ids.iter().find(|&&id| id as usize >= rows) {
            bail!("`{}` has {rows} rows, row {id} was asked for", self.0.name);
        }
        if self.0.weights.is_patched(&self.0.name) {
            return self.get()?.index_select(&Tensor::new(ids, &Device::Cpu)?, 0);
        }
        let mut values = Vec::with_capacity(ids.len() * width);
        for &id in ids {
            values.extend(self.values(id as usize * width, (id as usize + 1) * width)?);
        }
        Tensor::from_vec(values, (ids.len(), width), &Device::Cpu)
    }

    fn values(&self, start: usize, end: usize) -> Result<Vec<f32>> {
        match self.0.weights.values(&self.0.entry, start, end) {
            Some(values) => Ok(values),
            None => bail!("`{}` has no elements {start}..{end} to widen", self.0.name),
        }
    }
}
