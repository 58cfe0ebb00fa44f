use super::parameter::{Layer, Parameter};
use super::source::Source;
use super::{TensorEntry, Weights};
use crate::EngineError;

/// A part of a checkpoint: the tensors under one prefix.
#[derive(Clone)]
pub(crate) struct Scope<'a> {
    weights: &'a Weights,
    prefix: String,
}

impl<'a> Scope<'a> {
    pub(super) fn new(weights: &'a Weights, prefix: &str) -> Self {
        Self { weights, prefix: prefix.to_owned() }
    }

    /// The part of this part that is called `name`.
    pub(crate) fn scope(&self, name: &str) -> Self {
        Self { weights: self.weights, prefix: self.name(name) }
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.weights.header().get(&self.name(name)).is_some()
    }

    fn name(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}.{name}", self.prefix) }
    }

    fn entry(&self, name: &str) -> Result<&'a TensorEntry, EngineError> {
        let tensor = self.name(name);
        let missing = || EngineError::MissingTensor { file: self.weights.file().to_owned(), tensor: tensor.clone() };
        self.weights.header().get(&tensor).ok_or_else(missing)
    }

    /// The shape of a tensor.
    pub(crate) fn shape(&self, name: &str) -> Result<&'a [usize], EngineError> {
        Ok(self.entry(name)?.shape())
    }

    /// An error about a tensor that is there but does not fit.
    pub(crate) fn unfit(&self, name: &str, expected: &str) -> EngineError {
        let found =
            self.entry(name).map_or("missing".to_owned(), |entry| format!("{:?} {:?}", entry.dtype(), entry.shape()));
        EngineError::UnfitTensor {
            file: self.weights.file().to_owned(),
            tensor: self.name(name),
            expected: expected.to_owned(),
            found,
        }
    }

    /// A one-dimensional tensor of `length` elements (any length if `None`).
    pub(crate) fn vector(&self, name: &str, length: Option<usize>) -> Result<Parameter, EngineError> {
        let fits = matches!(self.shape(name)?, [found] if length.is_none_or(|length| length == *found) && *found > 0);
        if !fits {
            let length = length.map_or("any length".to_owned(), |length| format!("length {length}"));
            return Err(self.unfit(name, &format!("a vector of {length}")));
        }
        self.parameter(name, None)
    }

    /// A two-dimensional tensor as it is stored.
    pub(crate) fn table(&self, name: &str) -> Result<Parameter, EngineError> {
        let shape = self.shape(name)?;
        if shape.len() != 2 || shape.contains(&0) {
            return Err(self.unfit(name, "a matrix"));
        }
        self.parameter(name, None)
    }

    /// The weight of a dense layer or a 1x1 convolution.
    ///
    /// # Shapes
    /// - in the file: `[outputs, inputs]` or `[outputs, inputs, 1, 1]`
    pub(crate) fn dense(&self, name: &str) -> Result<Parameter, EngineError> {
        match *self.shape(name)? {
            [outputs, inputs] | [outputs, inputs, 1, 1] if outputs * inputs > 0 => {
                self.parameter(name, Some(Layer { outputs, inputs, taps: 1, inputs_first: false }))
            }
            _ => Err(self.unfit(name, "a matrix or a 1x1 convolution")),
        }
    }

    /// The weight of a dense layer that is stored the other way round, as OpenCLIP stores projections.
    ///
    /// # Shapes
    /// - in the file: `[inputs, outputs]`
    pub(crate) fn projection(&self, name: &str) -> Result<Parameter, EngineError> {
        match *self.shape(name)? {
            [inputs, outputs] if outputs * inputs > 0 => {
                self.parameter(name, Some(Layer { outputs, inputs, taps: 1, inputs_first: true }))
            }
            _ => Err(self.unfit(name, "a matrix")),
        }
    }

    /// The weight of a 3x3 convolution.
    ///
    /// # Shapes
    /// - in the file: `[outputs, inputs, 3, 3]`
    pub(crate) fn convolution(&self, name: &str) -> Result<Parameter, EngineError> {
        match *self.shape(name)? {
            [outputs, inputs, 3, 3] if outputs * inputs > 0 => {
                self.parameter(name, Some(Layer { outputs, inputs, taps: 9, inputs_first: false }))
            }
            _ => Err(self.unfit(name, "a 3x3 convolution")),
        }
    }

    fn parameter(&self, name: &str, layer: Option<Layer>) -> Result<Parameter, EngineError> {
        let entry = self.entry(name)?;
        if !Source::is_floating(entry.dtype()) {
            return Err(self.unfit(name, "F16, BF16, F32 or F64"));
        }
        Ok(Parameter::new(self.weights.clone(), self.name(name), entry.clone(), layer))
    }
}
