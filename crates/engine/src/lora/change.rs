use candle_core::Result;

use super::key::Part;
use super::stored::Stored;
use crate::kernels::product::{self, Bias};
use crate::kernels::weight::{Elements, Weight};

/// How a layer's weight is changed, before it is scaled.
#[derive(Debug)]
pub(super) enum Change {
    /// `up · down`, for convolutions with `mid` between them: LoRA (Hu et al. 2021), LoCon.
    LowRank { up: Stored, down: Stored, mid: Option<Stored> },
    /// The elementwise product of two low-rank matrices: LoHa (Hyeon-Woo et al. 2021).
    Hadamard([Factors; 2]),
    /// The Kronecker product of two matrices, each given or of low rank: LoKr (Yeh et al. 2023).
    Kronecker([Operand; 2]),
    /// The weight times one factor for each output or input: IA3 (Liu et al. 2022).
    Factor { factor: Stored, on_input: bool },
    /// The difference itself.
    Whole(Stored),
}

/// A low-rank matrix as LoHa has it; with a core tensor, both factors have the rank first.
#[derive(Debug)]
pub(super) struct Factors {
    pub(super) left: Stored,
    pub(super) right: Stored,
    pub(super) core: Option<Stored>,
}

/// One side of a Kronecker product.
#[derive(Debug)]
pub(super) enum Operand {
    Whole(Stored),
    Product(Factors),
}

/// A layer's weight as a matrix with several inputs for each position of a convolution's window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) outputs: usize,
    pub(super) inputs: usize,
    pub(super) taps: usize,
}

impl Extent {
    /// `None` for shapes that no layer has.
    pub(super) fn of(shape: &[usize]) -> Option<Self> {
        let (outputs, inputs, taps) = match *shape {
            [outputs] => (outputs, 1, 1),
            [outputs, inputs] => (outputs, inputs, 1),
            [outputs, inputs, height, width] => (outputs, inputs, height.checked_mul(width)?),
            _ => return None,
        };
        let all = outputs.checked_mul(inputs)?.checked_mul(taps)?;
        (all > 0).then_some(Self { outputs, inputs, taps })
    }

    fn row(self) -> usize {
        self.inputs * self.taps
    }

    pub(super) fn elements(self) -> usize {
        self.outputs * self.row()
    }
}

/// A tensor that does not fit, and what would.
#[derive(Debug)]
pub(super) struct Misfit<'a> {
    pub(super) tensor: &'a Stored,
    pub(super) expected: String,
}

/// What is left of `elements` after whole rows of `row`; `None` where they do not divide.
fn divided(elements: usize, row: usize) -> Option<usize> {
    (row > 0 && elements > 0 && elements.is_multiple_of(row)).then(|| elements / row)
}

impl Stored {
    fn expect(&self, holds: bool, expected: impl FnOnce() -> String) -> std::result::Result<(), Misfit<'_>> {
        if holds { Ok(()) } else { Err(Misfit { tensor: self, expected: expected() }) }
    }

    /// The length of the other side of a matrix with this many rows.
    fn beside(&self, rows: usize) -> std::result::Result<usize, Misfit<'_>> {
        let columns = divided(self.elements(), rows).filter(|_| self.first() == rows);
        columns.ok_or_else(|| Misfit { tensor: self, expected: format!("{rows} rows") })
    }
}

impl Factors {
    /// The rank that `alpha` is divided by.
    fn rank(&self) -> usize {
        self.right.first()
    }

    /// The extent of the matrix; `outputs`, if given, and `taps` must be the layer's.
    fn extent(&self, outputs: Option<usize>, taps: usize) -> std::result::Result<Extent, Misfit<'_>> {
        let Self { left, right, core } = self;
        let rank = self.rank();
        let outputs_of = |outputs: Option<usize>, own: usize| match outputs {
            Some(outputs) => left.expect(own == outputs, || format!("{outputs} outputs")).map(|()| outputs),
            None => Ok(own),
        };
        match core {
            None => {
                let own = left.first();
                let outputs = outputs_of(outputs, own)?;
                let found = left.beside(own)?;
                left.expect(found == rank, || format!("a rank of {rank}"))?;
                let row = right.beside(rank)?;
                let inputs = divided(row, taps);
                inputs
                    .map(|inputs| Extent { outputs, inputs, taps })
                    .ok_or_else(|| Misfit { tensor: right, expected: format!("rows for a window of {taps}") })
            }
            Some(core) => {
                let outer = left.first();
                core.expect(
                    core.first() == outer
                        && outer.checked_mul(rank).and_then(|r| r.checked_mul(taps)) == Some(core.elements()),
                    || format!("a core of {outer} x {rank} x {taps}"),
                )?;
                let own = left.beside(outer)?;
                Ok(Extent { outputs: outputs_of(outputs, own)?, inputs: right.beside(rank)?, taps })
            }
        }
    }

    /// The matrix, rows of `inputs * taps`.
    fn product(&self, extent: Extent, scale: f32) -> Result<Vec<f32>> {
        let (left, right) = (self.left.values()?, self.right.values()?);
        match &self.core {
            None => Ok(product(&left, (self.rank(), 1), &right, extent, scale)),
            Some(core) => {
                let inner = through_core(&core.values()?, &right, self.left.first(), extent);
                Ok(product(&left, (1, extent.outputs), &inner, extent, scale))
            }
        }
    }
}

/// `scale · left x right`: `left` is `[outputs, rank]` with the given strides, `right` is `[rank, inputs * taps]`.
fn product(left: &[f32], strides: (usize, usize), right: &[f32], extent: Extent, scale: f32) -> Vec<f32> {
    let rank = left.len() / extent.outputs;
    let element = |at: usize| scale * left[at / rank * strides.0 + at % rank * strides.1];
    matrix_product(&(0..left.len()).map(element).collect::<Vec<_>>(), rank, right)
}

/// For each of `outer` matrices `[rank, taps]` of the core: `downᵀ · matrix`, one row of `inputs * taps`.
fn through_core(core: &[f32], down: &[f32], outer: usize, extent: Extent) -> Vec<f32> {
    let Extent { inputs, taps, .. } = extent;
    let rank = down.len() / inputs;
    let turned: Vec<f32> = (0..down.len()).map(|at| down[at % rank * inputs + at / rank]).collect();
    core.chunks_exact(rank * taps).take(outer).flat_map(|matrix| matrix_product(&turned, rank, matrix)).collect()
}

/// `left x right`.
///
/// # Shapes
/// - left: `[rows, depth]`; right: `[depth, columns]`
fn matrix_product(left: &[f32], depth: usize, right: &[f32]) -> Vec<f32> {
    let columns = right.len() / depth;
    let mut out = vec![0.0; left.len() / depth * columns];
    let right = Weight::inputs_first(Elements::F32(right), columns, depth);
    product::product(|row, _| &left[row * depth..][..depth], &right, Bias::None, &mut out);
    out
}

impl Operand {
    /// Rows and columns, `taps` counted with the columns.
    fn sides(&self, taps: usize) -> std::result::Result<(usize, usize), Misfit<'_>> {
        match self {
            Self::Whole(whole) => Ok((whole.first(), whole.beside(whole.first())?)),
            Self::Product(factors) => {
                // without a core, the columns of the right factor contain the window already
                let taps = if factors.core.is_some() { taps } else { 1 };
                let extent = factors.extent(None, taps)?;
                Ok((extent.outputs, extent.row()))
            }
        }
    }

    fn values(&self, taps: usize) -> Result<Vec<f32>> {
        match self {
            Self::Whole(whole) => whole.values(),
            Self::Product(factors) => {
                let taps = if factors.core.is_some() { taps } else { 1 };
                match factors.extent(None, taps) {
                    Ok(extent) => factors.product(extent, 1.0),
                    Err(misfit) => Err(misfit.tensor.broken()),
                }
            }
        }
    }
}

impl Change {
    /// The change that the tensors of one layer make; `None` if they make none, or one is missing.
    pub(super) fn of(parts: &mut dyn FnMut(Part) -> Option<Stored>, on_input: bool) -> Option<Self> {
        if let Some(up) = parts(Part::Up) {
            return Some(Self::LowRank { up, down: parts(Part::Down)?, mid: parts(Part::Mid) });
        }
        if let Some(left) = parts(Part::HadaW1A) {
            let first = Factors { left, right: parts(Part::HadaW1B)?, core: parts(Part::HadaT1) };
            let core = parts(Part::HadaT2);
            if first.core.is_some() != core.is_some() {
                return None;
            }
            return Some(Self::Hadamard([
                first,
                Factors { left: parts(Part::HadaW2A)?, right: parts(Part::HadaW2B)?, core },
            ]));
        }
        let mut operand = |whole, left, right, core: Option<Part>| match parts(whole) {
            Some(whole) => Some(Operand::Whole(whole)),
            None => Some(Operand::Product(Factors {
                left: parts(left)?,
                right: parts(right)?,
                core: core.and_then(&mut *parts),
            })),
        };
        if let Some(first) = operand(Part::KronW1, Part::KronW1A, Part::KronW1B, None) {
            let second = operand(Part::KronW2, Part::KronW2A, Part::KronW2B, Some(Part::KronT2))?;
            return Some(Self::Kronecker([first, second]));
        }
        match parts(Part::Factor) {
            Some(factor) => Some(Self::Factor { factor, on_input }),
            None => Some(Self::Whole(parts(Part::Diff)?)),
        }
    }

    /// The tensor that has the layer's inputs.
    pub(super) fn widest(&self) -> &Stored {
        match self {
            Self::LowRank { down, .. } => down,
            Self::Hadamard([first, _]) => &first.right,
            Self::Kronecker([_, Operand::Whole(whole)]) => whole,
            Self::Kronecker([_, Operand::Product(factors)]) => &factors.right,
            Self::Factor { factor, .. } => factor,
            Self::Whole(whole) => whole,
        }
    }

    /// Inputs of the layer, if it is no convolution.
    pub(super) fn inputs(&self) -> Option<usize> {
        match self {
            Self::Kronecker([first, second]) => {
                let ((_, outer), (_, inner)) = (first.sides(1).ok()?, second.sides(1).ok()?);
                outer.checked_mul(inner)
            }
            Self::Factor { .. } => None,
            _ => divided(self.widest().elements(), self.widest().first()),
        }
    }

    /// What people call it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::LowRank { mid: Some(_), .. } => "LoCon",
            Self::LowRank { .. } => "LoRA",
            Self::Hadamard(_) => "LoHa",
            Self::Kronecker(_) => "LoKr",
            Self::Factor { .. } => "IA3",
            Self::Whole(_) => "full difference",
        }
    }

    /// What `alpha` is divided by; `None` where alpha means nothing.
    pub(super) fn rank(&self) -> Option<usize> {
        match self {
            Self::LowRank { down, .. } => Some(down.first()),
            Self::Hadamard([first, _]) => Some(first.rank()),
            Self::Kronecker([_, Operand::Product(factors)]) | Self::Kronecker([Operand::Product(factors), _]) => {
                Some(factors.rank())
            }
            Self::Kronecker(_) | Self::Factor { .. } | Self::Whole(_) => None,
        }
    }

    /// The extent that the tensors make of a layer; only its inputs may differ from the layer's own.
    pub(super) fn extent(&self, layer: Extent) -> std::result::Result<Extent, Misfit<'_>> {
        let Extent { outputs, taps, .. } = layer;
        match self {
            Self::LowRank { up, down, mid: None } => {
                let rank = down.first();
                let found = up.beside(outputs)?;
                up.expect(found == rank, || format!("a rank of {rank}"))?;
                let row = down.beside(rank)?;
                let inputs = divided(row, taps);
                let misfit = || Misfit { tensor: down, expected: format!("rows for a window of {taps}") };
                Ok(Extent { inputs: inputs.ok_or_else(misfit)?, ..layer })
            }
            Self::LowRank { up, down, mid: Some(mid) } => {
                let (outer, rank) = (up.beside(outputs)?, down.first());
                let elements = outer.checked_mul(rank).and_then(|elements| elements.checked_mul(taps));
                mid.expect(mid.first() == outer && elements == Some(mid.elements()), || {
                    format!("a core of {outer} x {rank} x {taps}")
                })?;
                Ok(Extent { inputs: down.beside(rank)?, ..layer })
            }
            Self::Hadamard([first, second]) => {
                let extent = first.extent(Some(outputs), taps)?;
                let other = second.extent(Some(outputs), taps)?;
                second.right.expect(extent == other, || format!("{} inputs", extent.inputs))?;
                Ok(extent)
            }
            Self::Kronecker([first, second]) => {
                let ((rows, columns), (inner_rows, inner_columns)) = (first.sides(1)?, second.sides(taps)?);
                let tensor = match second {
                    Operand::Whole(whole) => whole,
                    Operand::Product(factors) => &factors.right,
                };
                tensor.expect(rows.checked_mul(inner_rows) == Some(outputs), || {
                    format!("{outputs} outputs together with the {rows} of the first factor")
                })?;
                let row = columns.checked_mul(inner_columns).and_then(|row| divided(row, taps));
                let misfit = || Misfit { tensor, expected: format!("rows for a window of {taps}") };
                Ok(Extent { inputs: row.ok_or_else(misfit)?, ..layer })
            }
            Self::Factor { factor, on_input } => {
                let sides = if *on_input { layer.inputs } else { outputs };
                factor.expect(factor.elements() == sides, || format!("{sides} factors"))?;
                Ok(layer)
            }
            Self::Whole(whole) => {
                let row = whole.beside(outputs)?;
                let misfit = || Misfit { tensor: whole, expected: format!("rows for a window of {taps}") };
                Ok(Extent { inputs: divided(row, taps).ok_or_else(misfit)?, ..layer })
            }
        }
    }

    /// The difference, `scale` times.
    ///
    /// # Shapes
    /// - weight: the layer's own, `[outputs, inputs, taps]`
    /// - result: `[outputs, inputs, taps]` of `extent`, which [`Change::extent`] gave
    pub(super) fn difference(&self, extent: Extent, scale: f32, weight: &[f32]) -> Result<Vec<f32>> {
        let scaled = |mut values: Vec<f32>| {
            values.iter_mut().for_each(|value| *value *= scale);
            values
        };
        match self {
            Self::LowRank { up, down, mid } => {
                let (up, down) = (up.values()?, down.values()?);
                let outer = up.len() / extent.outputs;
                let right = match mid {
                    Some(mid) => through_core(&mid.values()?, &down, outer, extent),
                    None => down,
                };
                Ok(product(&up, (outer, 1), &right, extent, scale))
            }
            Self::Hadamard([first, second]) => {
                let mut values = first.product(extent, scale)?;
                for (value, other) in values.iter_mut().zip(second.product(extent, 1.0)?) {
                    *value *= other;
                }
                Ok(values)
            }
            Self::Kronecker([first, second]) => {
                let outer = match first.sides(1) {
                    Ok((_, columns)) => columns,
                    Err(misfit) => return Err(misfit.tensor.broken()),
                };
                let inner = extent.row() / outer;
                let (first, second) = (first.values(1)?, second.values(extent.taps)?);
                let mut values = Vec::with_capacity(extent.elements());
                for row in first.chunks_exact(outer) {
                    for other in second.chunks_exact(inner) {
                        values.extend(row.iter().flat_map(|a| other.iter().map(move |b| scale * a * b)));
                    }
                }
                Ok(values)
            }
            Self::Factor { factor, on_input } => {
                let factor = factor.values()?;
                let of = |at: usize| if *on_input { at / extent.taps % extent.inputs } else { at / extent.row() };
                let factor = |at| factor.get(of(at)).copied().unwrap_or(0.0);
                Ok(weight.iter().enumerate().map(|(at, value)| scale * value * factor(at)).collect())
            }
            Self::Whole(whole) => Ok(scaled(whole.values()?)),
        }
    }
}
