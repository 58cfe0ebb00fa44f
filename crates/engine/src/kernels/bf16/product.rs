//! Products of rows with the weights of a layer, by AVX512-BF16.

use super::super::product::Task;
use super::super::scratch::Scratch;
use super::COLUMNS;
use super::pack::pack;
use super::tile::{self, ROWS};

impl<'x, F: Fn(usize, usize) -> &'x [f32]> Task<'_, F> {
    /// Some rows times some panels of 64 columns.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(in super::super) fn run_bf16(&self) {
        let (inputs, taps, outputs) = (self.weight.inputs(), self.weight.taps(), self.weight.outputs());
        let pairs = inputs.div_ceil(2);
        let depth = taps * pairs;
        let panels = self.panels.min((outputs - self.first_column).div_ceil(COLUMNS));
        let mut packed = Scratch::take(panels * depth * COLUMNS);
        let packed: &mut [u32] = bytemuck::cast_slice_mut(&mut packed[..panels * depth * COLUMNS]);
        for (number, panel) in packed.chunks_exact_mut(depth * COLUMNS).enumerate() {
            pack(self.weight, self.first_column + number * COLUMNS, panel);
        }
        let mut rounded = Scratch::take(ROWS * depth);
        let rounded: &mut [u32] = bytemuck::cast_slice_mut(&mut rounded[..ROWS * depth]);
        let mut sums = [0.0; ROWS * COLUMNS];
        for start in (0..self.rows).step_by(ROWS) {
            let count = ROWS.min(self.rows - start);
            for (at, pairs) in rounded.chunks_exact_mut(pairs).take(count * taps).enumerate() {
                tile::round((self.row)(self.first_row + start + at / taps, at % taps), pairs);
            }
            for (number, panel) in packed.chunks_exact(depth * COLUMNS).enumerate() {
                let column = self.first_column + number * COLUMNS;
                let columns = COLUMNS.min(outputs - column);
                tile::multiply(&rounded[..count * depth], depth, panel, columns, (&mut sums, COLUMNS));
                for (i, sums) in sums.chunks_exact(COLUMNS).take(count).enumerate() {
                    self.leave(self.first_row + start + i, column, &sums[..columns]);
                }
            }
        }
    }
}
