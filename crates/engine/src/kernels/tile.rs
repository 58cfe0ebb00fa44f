//! The inner loop of every product: a few rows times a panel of columns, with the sums in registers.

use pulp::Simd;

/// Most rows of a tile on any processor.
pub(super) const MOST_ROWS: usize = 12;
/// Most columns of a panel on any processor.
pub(super) const MOST_COLUMNS: usize = 32;

/// Columns of a panel: two registers.
#[inline(always)]
pub(super) const fn columns<S: Simd>() -> usize {
    2 * S::F32_LANES
}

/// Rows of a tile: as many as leave registers for the panel and a factor.
#[inline(always)]
pub(super) const fn rows<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { MOST_ROWS } else { 6 }
}

/// The sums of one tile, row by row; a row has as many as the panel has columns.
pub(super) type Sums = [f32; MOST_ROWS * MOST_COLUMNS];

/// `sums = (add: sums +) rows x panel`; each sum is one chain of fused multiply-adds from the first input to the last,
/// so that it has the same bits whatever the registers' width.
///
/// # Shapes
/// - rows: up to [`rows`] times `[depth]`; panel: `[depth, columns]`; sums: `[rows, columns]`
#[inline(always)]
pub(super) fn multiply<S: Simd>(simd: S, rows: &[&[f32]], panel: &[f32], sums: &mut [f32], add: bool) {
    match rows.len() {
        12 => fixed::<S, 12>(simd, rows, panel, sums, add),
        8 => fixed::<S, 8>(simd, rows, panel, sums, add),
        6 => fixed::<S, 6>(simd, rows, panel, sums, add),
        4 => fixed::<S, 4>(simd, rows, panel, sums, add),
        _ => {
            let width = columns::<S>();
            let mut start = 0;
            while start < rows.len() {
                let left = rows.len() - start;
                let sums = &mut sums[start * width..];
                if left >= 4 {
                    fixed::<S, 4>(simd, &rows[start..], panel, sums, add);
                    start += 4;
                } else if left >= 2 {
                    fixed::<S, 2>(simd, &rows[start..], panel, sums, add);
                    start += 2;
                } else {
                    fixed::<S, 1>(simd, &rows[start..], panel, sums, add);
                    start += 1;
                }
            }
        }
    }
}

#[inline(always)]
fn fixed<S: Simd, const ROWS: usize>(simd: S, rows: &[&[f32]], panel: &[f32], sums: &mut [f32], add: bool) {
    let (panel, _) = S::as_simd_f32s(panel);
    let depth = panel.len() / 2;
    let (sums, _) = S::as_mut_simd_f32s(sums);
    let mut fitted: [&[f32]; ROWS] = [&[]; ROWS];
    for (fitted, row) in fitted.iter_mut().zip(rows) {
        *fitted = &row[..depth];
    }
    let mut totals = [[simd.splat_f32s(0.0); 2]; ROWS];
    if add {
        for (total, have) in totals.iter_mut().zip(sums.chunks_exact(2)) {
            *total = [have[0], have[1]];
        }
    }
    for (k, weights) in panel.chunks_exact(2).enumerate() {
        for (total, row) in totals.iter_mut().zip(fitted) {
            let factor = simd.splat_f32s(row[k]);
            total[0] = simd.mul_add_e_f32s(factor, weights[0], total[0]);
            total[1] = simd.mul_add_e_f32s(factor, weights[1], total[1]);
        }
    }
    for (have, total) in sums.chunks_exact_mut(2).zip(totals) {
        have.copy_from_slice(&total);
    }
}
