//! The weights of dense layers and convolutions, read where they lie.

use half::slice::HalfFloatSliceExt as _;
use half::{bf16, f16};

/// The elements of a tensor in the precision of its file.
#[derive(Clone, Copy)]
pub(crate) enum Elements<'a> {
    F16(&'a [f16]),
    Bf16(&'a [bf16]),
    F32(&'a [f32]),
}

impl Elements<'_> {
    fn len(&self) -> usize {
        match self {
            Self::F16(all) => all.len(),
            Self::Bf16(all) => all.len(),
            Self::F32(all) => all.len(),
        }
    }

    /// Widens the elements from `start` on.
    pub(super) fn widen(&self, start: usize, out: &mut [f32]) {
        let end = start + out.len();
        match self {
            Self::F16(all) => all[start..end].convert_to_f32_slice(out),
            Self::Bf16(all) => all[start..end].convert_to_f32_slice(out),
            Self::F32(all) => out.copy_from_slice(&all[start..end]),
        }
    }
}

/// The weights of a layer that turns `inputs` channels at `taps` places into `outputs` channels.
#[derive(Clone, Copy)]
pub(crate) struct Weight<'a> {
    elements: Elements<'a>,
    outputs: usize,
    inputs: usize,
    taps: usize,
    inputs_first: bool,
}

impl<'a> Weight<'a> {
    /// Weights as PyTorch stores them.
    ///
    /// # Shapes
    /// - elements: `[outputs, inputs, taps]`
    ///
    /// # Panics
    /// When there is another number of elements: the layers check shapes when they are loaded.
    pub(crate) fn new(elements: Elements<'a>, outputs: usize, inputs: usize, taps: usize) -> Self {
        assert_eq!(elements.len(), outputs * inputs * taps, "weights of another shape");
        Self { elements, outputs, inputs, taps, inputs_first: false }
    }

    /// Weights of a dense layer that are stored the other way round.
    ///
    /// # Shapes
    /// - elements: `[inputs, outputs]`
    ///
    /// # Panics
    /// As [`Weight::new`].
    pub(crate) fn inputs_first(elements: Elements<'a>, outputs: usize, inputs: usize) -> Self {
        Self { inputs_first: true, ..Self::new(elements, outputs, inputs, 1) }
    }

    pub(crate) const fn outputs(&self) -> usize {
        self.outputs
    }

    pub(crate) const fn inputs(&self) -> usize {
        self.inputs
    }

    pub(crate) const fn taps(&self) -> usize {
        self.taps
    }

    pub(super) const fn elements(&self) -> Elements<'a> {
        self.elements
    }

    /// Whether the weights of an output lie side by side, in the order of the inputs.
    pub(super) const fn rows_are_inputs(&self) -> bool {
        self.taps == 1 && !self.inputs_first
    }

    /// Copies a block of weights, widened, so that the outputs of one tap and input lie side by side.
    ///
    /// # Shapes
    /// - result: `[inputs, taps, width]` for `inputs` inputs from `input` on and outputs from `output` on; columns
    ///   beyond the last output keep what they hold
    #[inline(always)]
    pub(super) fn columns(&self, output: usize, input: usize, inputs: usize, width: usize, result: &mut [f32]) {
        let columns = width.min(self.outputs - output);
        if self.inputs_first {
            for (i, row) in result.chunks_exact_mut(width).take(inputs).enumerate() {
                self.elements.widen((input + i) * self.outputs + output, &mut row[..columns]);
            }
            return;
        }
        const LINE: usize = 256;
        let mut line = [0.0; LINE];
        let (start, end) = (input * self.taps, (input + inputs) * self.taps);
        for first in (start..end).step_by(LINE) {
            let count = LINE.min(end - first);
            let block = &mut result[(first - start) * width..][..count * width];
            for column in 0..columns {
                let line = &mut line[..count];
                self.elements.widen((output + column) * self.inputs * self.taps + first, line);
                for (row, &value) in block.chunks_exact_mut(width).zip(line.iter()) {
                    row[column] = value;
                }
            }
        }
    }
}
