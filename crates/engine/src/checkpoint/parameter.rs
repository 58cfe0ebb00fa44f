use std::sync::Arc;

use candle_core::{Device, Result, Tensor, bail};
use rayon::prelude::*;

use super::{TensorEntry, Weights};

/// One tensor of a checkpoint. It stays in its file, in the file's precision, and is widened to f32 when it is used;
/// [`Weights`] decides whether the widened copy is kept for the next time.
#[derive(Clone)]
pub(crate) struct Parameter(Arc<Handle>);

struct Handle {
    weights: Weights,
    name: String,
    entry: TensorEntry,
    arrangement: Arrangement,
}

/// How the elements in memory follow from those of the file.
#[derive(Clone, Copy)]
pub(super) enum Arrangement {
    /// As they are stored.
    Stored,
    /// `[outputs, inputs, taps]` becomes `[taps * inputs, outputs]`.
    Transposed { outputs: usize, inputs: usize, taps: usize },
}

impl Parameter {
    /// A handle on a floating-point tensor; [`super::Scope`] has checked it.
    pub(super) fn new(weights: Weights, name: String, entry: TensorEntry, arrangement: Arrangement) -> Self {
        weights.want(&entry);
        Self(Arc::new(Handle { weights, name, entry, arrangement }))
    }

    /// The dimensions of [`Parameter::get`].
    pub(crate) fn dims(&self) -> Vec<usize> {
        match self.0.arrangement {
            Arrangement::Stored => self.0.entry.shape().to_vec(),
            Arrangement::Transposed { outputs, inputs, taps } => vec![taps * inputs, outputs],
        }
    }

    /// The widened, patched and rearranged tensor.
    pub(crate) fn get(&self) -> Result<Tensor> {
        self.0.weights.kept_or(&self.0.name, |patches| {
            let mut values = self.values(0, self.0.entry.elements() as usize)?;
            if let Some(patches) = patches {
                patches.apply(&self.0.name, &mut values)?;
            }
            if let Arrangement::Transposed { outputs, inputs, taps } = self.0.arrangement {
                values = transposed(&values, outputs, inputs, taps);
            }
            Tensor::from_vec(values, self.dims(), &Device::Cpu)
        })
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

/// `[outputs, inputs, taps]` as `[taps, inputs, outputs]`, a few inputs at a time so that reads stay together.
fn transposed(source: &[f32], outputs: usize, inputs: usize, taps: usize) -> Vec<f32> {
    const INPUTS: usize = 16;
    let mut result = vec![0.0; source.len()];
    result.par_chunks_mut(inputs * outputs).enumerate().for_each(|(tap, result)| {
        result.par_chunks_mut(INPUTS * outputs).enumerate().for_each(|(piece, result)| {
            for (o, row) in source.chunks_exact(inputs * taps).enumerate() {
                let values = row[piece * INPUTS * taps + tap..].iter().step_by(taps);
                for (target, &value) in result[o..].iter_mut().step_by(outputs).zip(values) {
                    *target = value;
                }
            }
        });
    });
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposing_follows_its_definition() {
        for (outputs, inputs, taps) in [(3, 37, 9), (5, 16, 1), (1, 1, 9), (7, 20, 1)] {
            let source: Vec<f32> = (0..outputs * inputs * taps).map(|i| i as f32).collect();
            let found = transposed(&source, outputs, inputs, taps);
            for (at, value) in found.iter().enumerate() {
                let (tap, input, output) = (at / (inputs * outputs), at / outputs % inputs, at % outputs);
                assert_eq!(*value, source[(output * inputs + input) * taps + tap]);
            }
        }
    }
}
