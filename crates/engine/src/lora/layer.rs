use candle_core::Result;

use super::change::{Change, Extent};
use super::key::Part;
use super::model_names::Place;
use super::stored::Stored;
use crate::EngineError;

/// What a LoRA file has for one layer of a model.
#[derive(Debug)]
pub(super) struct LoraLayer {
    pub(super) change: Option<Change>,
    /// `alpha / rank`, or 1 where the file or the method knows none.
    pub(super) scale: f32,
    /// DoRA's magnitudes.
    pub(super) magnitude: Option<Magnitude>,
    pub(super) bias: Option<Stored>,
}

/// How long each row or column of the changed weight is made: DoRA (Liu et al. 2024).
#[derive(Debug)]
pub(super) struct Magnitude {
    pub(super) values: Stored,
    pub(super) part: Part,
}

/// Which vectors of a weight have magnitudes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Axis {
    Outputs,
    Inputs,
}

impl Magnitude {
    /// LyCORIS writes `[outputs, 1, ..]` or `[1, inputs, ..]`, peft one number for each output in whatever shape.
    fn axis(&self, extent: Extent) -> Option<Axis> {
        let elements = self.values.elements();
        let outputs = elements == extent.outputs;
        match *self.values.shape() {
            _ if self.part == Part::Magnitude => outputs.then_some(Axis::Outputs),
            [first, ..] if first == extent.outputs && outputs => Some(Axis::Outputs),
            [1, second, ..] if second == extent.inputs && elements == second => Some(Axis::Inputs),
            _ => None,
        }
    }
}

impl LoraLayer {
    /// Whether it fits a layer of the model.
    ///
    /// # Errors
    /// [`EngineError::LoraTensor`] naming the first tensor that does not.
    pub(super) fn check(&self, file: &str, place: &Place) -> std::result::Result<(), EngineError> {
        let refused = |tensor: &Stored, expected: String| EngineError::LoraTensor {
            file: file.to_owned(),
            tensor: tensor.name().to_owned(),
            found: tensor.description(),
            expected: format!("{expected}, to fit `{}` {:?}", place.tensor, place.shape),
        };
        let (Some(change), Some(layer)) = (&self.change, Extent::of(&place.shape)) else { return Ok(()) };
        let extent = change.extent(layer).map_err(|misfit| refused(misfit.tensor, misfit.expected))?;
        if extent != layer && !(place.is_widened() && extent.inputs < layer.inputs) {
            let tensor = change.widest();
            return Err(refused(tensor, format!("{} inputs", layer.inputs)));
        }
        match &self.magnitude {
            Some(magnitude) if magnitude.axis(layer).is_none() => {
                let Extent { outputs, inputs, .. } = layer;
                Err(refused(&magnitude.values, format!("[{outputs}, 1] or [1, {inputs}]")))
            }
            _ => Ok(()),
        }
    }

    /// Whether it fits a bias of the model.
    ///
    /// # Errors
    /// As [`LoraLayer::check`].
    pub(super) fn check_bias(&self, file: &str, place: &Place) -> std::result::Result<(), EngineError> {
        let elements: usize = place.shape.iter().product();
        match &self.bias {
            Some(bias) if bias.elements() != elements => Err(EngineError::LoraTensor {
                file: file.to_owned(),
                tensor: bias.name().to_owned(),
                found: bias.description(),
                expected: format!("{elements} elements, to fit `{}`", place.tensor),
            }),
            _ => Ok(()),
        }
    }

    /// Changes a layer's weight, `weight` times as much as in training.
    ///
    /// # Shapes
    /// - values: `[outputs, inputs, ..]`, the layer's own elements
    pub(super) fn apply(&self, values: &mut [f32], shape: &[usize], weight: f32) -> Result<()> {
        let (Some(change), Some(layer)) = (&self.change, Extent::of(shape)) else { return Ok(()) };
        let extent = change.extent(layer).map_err(|misfit| misfit.tensor.broken())?;
        let Some(magnitude) = &self.magnitude else {
            let difference = change.difference(extent, weight * self.scale, values)?;
            add(values, &difference, layer, extent);
            return Ok(());
        };
        let axis = magnitude.axis(layer).ok_or_else(|| magnitude.values.broken())?;
        let mut changed = values.to_vec();
        add(&mut changed, &change.difference(extent, self.scale, values)?, layer, extent);
        stretch(&mut changed, layer, axis, &magnitude.values.values()?);
        for (value, changed) in values.iter_mut().zip(changed) {
            *value += weight * (changed - *value);
        }
        Ok(())
    }

    /// Changes a layer's bias.
    pub(super) fn apply_bias(&self, values: &mut [f32], weight: f32) -> Result<()> {
        let Some(bias) = &self.bias else { return Ok(()) };
        for (value, difference) in values.iter_mut().zip(bias.values()?) {
            *value += weight * difference;
        }
        Ok(())
    }
}

/// Adds a difference for the first inputs of each output: an inpainting UNet has more inputs than the one that a LoRA
/// was trained on.
fn add(values: &mut [f32], difference: &[f32], layer: Extent, extent: Extent) {
    let rows = values.chunks_exact_mut(layer.inputs * layer.taps);
    for (row, own) in rows.zip(difference.chunks_exact(extent.inputs * extent.taps)) {
        for (value, difference) in row.iter_mut().zip(own) {
            *value += difference;
        }
    }
}

/// Gives each row (or column) of a weight the length that its magnitude says.
fn stretch(values: &mut [f32], extent: Extent, axis: Axis, magnitudes: &[f32]) {
    let row = extent.inputs * extent.taps;
    let of = |at: usize| if axis == Axis::Outputs { at / row } else { at % row / extent.taps };
    let mut squares = vec![0.0_f64; magnitudes.len()];
    for (at, value) in values.iter().enumerate() {
        if let Some(sum) = squares.get_mut(of(at)) {
            *sum += f64::from(*value) * f64::from(*value);
        }
    }
    let length = |square: &f64| square.sqrt() as f32 + f32::EPSILON; // as LyCORIS keeps from dividing by zero
    let factors: Vec<f32> =
        magnitudes.iter().zip(&squares).map(|(magnitude, square)| magnitude / length(square)).collect();
    for (at, value) in values.iter_mut().enumerate() {
        *value *= factors.get(of(at)).copied().unwrap_or(1.0);
    }
}
