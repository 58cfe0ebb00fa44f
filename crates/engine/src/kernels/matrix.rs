//! Matrix product over strided views, on the `gemm` crate.

use gemm::Parallelism;

/// `gemm` keeps products of up to this depth in one pass whatever the sizes of the CPU's caches; in longer ones the
/// place where a sum is cut would depend on them, and with it the last bits of the result.
const DEPTH_PER_PASS: usize = 512;

/// A read-only matrix inside a slice: element `(i, j)` is `data[i * row_stride + j * column_stride]`.
#[derive(Clone, Copy)]
pub(crate) struct MatrixView<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
}

/// What the destination holds before a product is written to it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Anything: it is overwritten.
    Overwrite,
    /// A value (a bias) that the product is added to.
    Add,
}

/// Who does the work.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Workers {
    /// The calling thread alone (for calls inside a parallel loop).
    One,
    /// All threads of the current rayon pool.
    All,
}

/// The sizes of one product: `[rows, depth] x [depth, columns]`.
#[derive(Clone, Copy)]
pub(crate) struct ProductShape {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) depth: usize,
}

/// Elements that a strided `[rows, columns]` view needs.
fn extent(rows: usize, columns: usize, row_stride: usize, column_stride: usize) -> usize {
    if rows == 0 || columns == 0 { 0 } else { (rows - 1) * row_stride + (columns - 1) * column_stride + 1 }
}

/// `out = scale * a x b` (or `out += …`), each sum in one fixed order.
///
/// # Shapes
/// - a: `[rows, depth]`, b: `[depth, columns]`, any strides
/// - out: `[rows, columns]` with `out_row_stride` elements from row to row
///
/// # Panics
/// When a slice is shorter than its view: the callers in this crate check shapes first.
#[expect(clippy::too_many_arguments, reason = "the operands of a general matrix product")]
pub(crate) fn multiply(
    shape: ProductShape,
    scale: f32,
    a: MatrixView<'_>,
    b: MatrixView<'_>,
    out: &mut [f32],
    out_row_stride: usize,
    destination: Destination,
    workers: Workers,
) {
    let ProductShape { rows, columns, depth } = shape;
    assert!(a.data.len() >= extent(rows, depth, a.row_stride, a.column_stride), "left matrix out of bounds");
    assert!(b.data.len() >= extent(depth, columns, b.row_stride, b.column_stride), "right matrix out of bounds");
    assert!(out.len() >= extent(rows, columns, out_row_stride, 1), "result matrix out of bounds");
    let parallelism = match workers {
        Workers::One => Parallelism::None,
        Workers::All => Parallelism::Rayon(0),
    };
    let mut start = 0;
    loop {
        let pass = (depth - start).min(DEPTH_PER_PASS);
        let add = start > 0 || destination == Destination::Add;
        // SAFETY: the three assertions above bound every element that the strides reach; `out` is borrowed mutably
        // and cannot overlap the operands. An empty tail view may point one past the end, and is not read.
        #[expect(unsafe_code, reason = "gemm takes pointers and strides")]
        unsafe {
            gemm::gemm(
                rows,
                columns,
                pass,
                out.as_mut_ptr(),
                1,
                out_row_stride as isize,
                add,
                a.data.as_ptr().wrapping_add(start * a.column_stride),
                a.column_stride as isize,
                a.row_stride as isize,
                b.data.as_ptr().wrapping_add(start * b.row_stride),
                b.column_stride as isize,
                b.row_stride as isize,
                1.0,
                scale,
                false,
                false,
                false,
                parallelism,
            );
        }
        start += pass;
        if start >= depth {
            return;
        }
    }
}

/// A dense layer: `out = x x weight (+ bias)`.
///
/// # Shapes
/// - x: `[rows, inputs]`, weight: `[inputs, outputs]`, bias: `[outputs]`, out: `[rows, outputs]`
pub(crate) fn dense(x: &[f32], weight: &[f32], bias: Option<&[f32]>, inputs: usize, outputs: usize, out: &mut [f32]) {
    let rows = out.len() / outputs;
    if let Some(bias) = bias {
        out.chunks_exact_mut(outputs).for_each(|row| row.copy_from_slice(bias));
    }
    multiply(
        ProductShape { rows, columns: outputs, depth: inputs },
        1.0,
        MatrixView { data: x, row_stride: inputs, column_stride: 1 },
        MatrixView { data: weight, row_stride: outputs, column_stride: 1 },
        out,
        outputs,
        if bias.is_some() { Destination::Add } else { Destination::Overwrite },
        Workers::All,
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::math;

    fn numbers(count: usize, seed: f32) -> Vec<f32> {
        (0..count).map(|i| ((i as f32 * 0.618 + seed).sin() * math::exp(0.5)).fract()).collect()
    }

    #[test]
    fn a_deep_product_equals_the_naive_one() {
        let (rows, columns, depth) = (37, 29, 1300);
        let (a, b, bias) = (numbers(rows * depth, 0.1), numbers(depth * columns, 0.7), numbers(columns, 0.3));
        let mut out = vec![f32::NAN; rows * columns];
        dense(&a, &b, Some(&bias), depth, columns, &mut out);
        for i in 0..rows {
            for j in 0..columns {
                let expected: f64 = f64::from(bias[j])
                    + (0..depth).map(|k| f64::from(a[i * depth + k]) * f64::from(b[k * columns + j])).sum::<f64>();
                let found = f64::from(out[i * columns + j]);
                assert!((found - expected).abs() < 1e-3, "({i}, {j}): {found} is not {expected}");
            }
        }
    }

    #[test]
    fn the_number_of_threads_does_not_change_a_bit() {
        let (rows, columns, depth) = (130, 96, 1152);
        let (a, b) = (numbers(rows * depth, 0.1), numbers(depth * columns, 0.7));
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| {
                let mut out = vec![0.0; rows * columns];
                dense(&a, &b, None, depth, columns, &mut out);
                out
            })
        };
        let one = run(1);
        for threads in [2, 3, 7] {
            assert_eq!(one, run(threads), "{threads} threads");
        }
    }
}
