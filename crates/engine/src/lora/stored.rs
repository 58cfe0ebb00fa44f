use candle_core::{Error, Result};

use crate::checkpoint::{TensorEntry, Weights};

/// One tensor of a LoRA file, read when it is needed.
#[derive(Clone)]
pub(super) struct Stored {
    weights: Weights,
    name: String,
    entry: TensorEntry,
}

impl Stored {
    pub(super) fn new(weights: &Weights, name: &str, entry: &TensorEntry) -> Self {
        Self { weights: weights.clone(), name: name.to_owned(), entry: entry.clone() }
    }

    /// Its name in the file.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn shape(&self) -> &[usize] {
        self.entry.shape()
    }

    /// Its first dimension, 1 for a single number.
    pub(super) fn first(&self) -> usize {
        self.shape().first().copied().unwrap_or(1)
    }

    pub(super) fn elements(&self) -> usize {
        self.entry.elements() as usize
    }

    /// Type and shape, for messages.
    pub(super) fn description(&self) -> String {
        format!("{:?} {:?}", self.entry.dtype(), self.entry.shape())
    }

    /// Whether [`Stored::values`] can widen it.
    pub(super) fn is_floating(&self) -> bool {
        Weights::is_floating(&self.entry)
    }

    /// Its elements, widened to f32.
    pub(super) fn values(&self) -> Result<Vec<f32>> {
        self.weights.values(&self.entry, 0, self.elements()).ok_or_else(|| self.broken())
    }

    /// Its only element.
    pub(super) fn number(&self) -> Option<f64> {
        self.weights.number(&self.entry).filter(|number| number.is_finite())
    }

    /// An error about a tensor that was checked and is not as it was.
    pub(super) fn broken(&self) -> Error {
        Error::Msg(format!("`{}` in `{}` cannot be used", self.name, self.weights.file()))
    }
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.description())
    }
}
