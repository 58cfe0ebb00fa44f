use candle_core::{Device, Tensor};

use crate::EngineError;

/// A picture worked on in overlapping tiles, so that memory is needed for one of them only.
///
/// Tiles are equally large and evenly spaced; where they overlap, one fades linearly into the next. They are worked on
/// one after the other, so the result does not depend on the number of threads.
#[derive(Clone, Copy)]
pub(crate) struct Tiles {
    /// Longest side of a tile, in cells.
    pub(crate) side: usize,
    /// Cells that neighbours share at least, less than `side`.
    pub(crate) overlap: usize,
    /// Pixels of the given picture along a side of a cell.
    pub(crate) given: usize,
    /// Pixels of the result along a side of a cell.
    pub(crate) made: usize,
}

/// One tile's place along one axis.
struct Span {
    /// First cell.
    start: usize,
    /// Cells.
    length: usize,
    /// The share of each pixel of the result that comes from this tile.
    shares: Vec<f32>,
}

impl Tiles {
    /// Applies `work` to each tile and joins what comes out.
    ///
    /// # Shapes
    /// - x: `[batch, height, width, channels]`; pixels beyond the last whole cell go to the last tile
    /// - what `work` takes: the same with smaller sides; what it returns: `made` pixels for each cell
    /// - result: `[batch, height / given * made, width / given * made, channels']`
    ///
    /// # Errors
    /// Those of `work`; a result of another size than the tile's cells ask for.
    pub(crate) fn map(
        &self,
        x: &Tensor,
        mut work: impl FnMut(&Tensor) -> Result<Tensor, EngineError>,
    ) -> Result<Tensor, EngineError> {
        let (batch, height, width, _) = x.dims4()?;
        let (rows, columns) = (self.spans(height / self.given), self.spans(width / self.given));
        let (out_height, out_width) = (height / self.given * self.made, width / self.given * self.made);
        let mut out: Vec<f32> = Vec::new();
        let mut channels = 0;
        for row in &rows {
            let strip = self.cut(x, 1, row, height)?;
            for column in &columns {
                let made = work(&self.cut(&strip, 2, column, width)?.contiguous()?)?;
                channels = made.dims4()?.3;
                let expected = (batch, row.length * self.made, column.length * self.made, channels);
                if made.dims4()? != expected {
                    return Err(
                        candle_core::Error::Msg(format!("a tile became {:?}, not {expected:?}", made.dims())).into()
                    );
                }
                out.resize(batch * out_height * out_width * channels, 0.0);
                let made = made.flatten_all()?.to_vec1::<f32>()?;
                for (line, made) in made.chunks_exact(column.shares.len() * channels).enumerate() {
                    let (picture, y) = (line / row.shares.len(), line % row.shares.len());
                    let at = (picture * out_height + row.start * self.made + y) * out_width + column.start * self.made;
                    let out = &mut out[at * channels..][..made.len()];
                    let pixels = out.chunks_exact_mut(channels).zip(made.chunks_exact(channels));
                    for ((out, made), share) in pixels.zip(&column.shares) {
                        let share = share * row.shares[y];
                        out.iter_mut().zip(made).for_each(|(out, made)| *out += share * made);
                    }
                }
            }
        }
        Ok(Tensor::from_vec(out, (batch, out_height, out_width, channels), &Device::Cpu)?)
    }

    /// How many tiles a picture of this size has.
    pub(crate) fn count(&self, height: usize, width: usize) -> usize {
        self.spans(height / self.given).len() * self.spans(width / self.given).len()
    }

    /// A picture of about one tile's size, put together from evenly spaced cells of `x`.
    ///
    /// # Shapes
    /// - x: `[batch, height, width, channels]`
    ///
    /// # Errors
    /// When `x` is no picture.
    pub(crate) fn sample(&self, x: &Tensor) -> Result<Tensor, EngineError> {
        let mut sample = x.clone();
        for axis in [1, 2] {
            let cells = x.dim(axis)? / self.given;
            let of = cells.div_ceil(self.side);
            // the middle one of every `of` cells
            let chosen = (0..cells as u32).filter(|cell| *cell as usize % of == of / 2);
            let given = self.given as u32;
            let pixels: Vec<u32> = chosen.flat_map(|cell| cell * given..(cell + 1) * given).collect();
            if of > 1 && !pixels.is_empty() {
                sample = sample.index_select(&Tensor::new(pixels, &Device::Cpu)?, axis)?;
            }
        }
        Ok(sample.contiguous()?)
    }

    /// The part of `x` under a span; the last one goes on to the end of the picture.
    fn cut(&self, x: &Tensor, axis: usize, span: &Span, size: usize) -> Result<Tensor, EngineError> {
        let end = span.start + span.length;
        let end = if end == size / self.given { size } else { end * self.given };
        Ok(x.narrow(axis, span.start * self.given, end - span.start * self.given)?)
    }

    /// As few equal spans as cover `cells`.
    fn spans(&self, cells: usize) -> Vec<Span> {
        let count = cells.saturating_sub(self.overlap).div_ceil(self.side - self.overlap).max(1);
        let length = (cells + (count - 1) * self.overlap).div_ceil(count);
        let start = |i: usize| if count == 1 { 0 } else { i * (cells - length) / (count - 1) };
        let mut spans: Vec<Span> = (0..count)
            .map(|i| {
                let shared = |neighbour: usize| (length - start(i).abs_diff(start(neighbour))) * self.made;
                let before = if i == 0 { 0 } else { shared(i - 1) };
                let after = if i + 1 == count { 0 } else { shared(i + 1) };
                let pixels = length * self.made;
                let ramp = |at: usize, over: usize| if at < over { (at as f32 + 0.5) / over as f32 } else { 1.0 };
                let shares = (0..pixels).map(|at| ramp(at, before) * ramp(pixels - 1 - at, after)).collect();
                Span { start: start(i), length, shares }
            })
            .collect();
        let mut sums = vec![0.0_f32; cells * self.made];
        for span in &spans {
            sums[span.start * self.made..].iter_mut().zip(&span.shares).for_each(|(sum, share)| *sum += share);
        }
        for span in &mut spans {
            span.shares.iter_mut().zip(&sums[span.start * self.made..]).for_each(|(share, sum)| *share /= sum);
        }
        spans
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(height: usize, width: usize) -> Tensor {
        let values = (0..height * width * 2).map(|i| (i as f32 * 0.37).sin()).collect();
        Tensor::from_vec(values, (1, height, width, 2), &Device::Cpu).expect("a picture")
    }

    #[test]
    fn spans_cover_everything_with_shares_of_one() {
        for cells in 1..200 {
            for (side, overlap) in [(16, 4), (7, 6), (5, 0), (64, 16)] {
                let tiles = Tiles { side, overlap, given: 1, made: 3 };
                let mut sums = vec![0.0_f32; cells * 3];
                for span in tiles.spans(cells) {
                    assert!(span.length <= side && span.start + span.length <= cells, "{cells} {side} {overlap}");
                    sums[span.start * 3..].iter_mut().zip(span.shares).for_each(|(sum, share)| *sum += share);
                }
                assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-6), "{cells} {side} {overlap}");
            }
        }
    }

    #[test]
    fn a_pointwise_work_is_the_same_in_tiles() {
        let x = picture(23, 41);
        let tiles = Tiles { side: 10, overlap: 3, given: 1, made: 1 };
        let mut sides = Vec::new();
        let found = tiles.map(&x, |tile| {
            sides.push((tile.dims()[1], tile.dims()[2]));
            Ok(tile.affine(2.0, 1.0)?)
        });
        assert_eq!(sides, [(10, 10); 18]);
        let differences = (found.expect("joined") - x.affine(2.0, 1.0).expect("whole")).expect("one size");
        assert!(differences.abs().and_then(|d| d.max_all()?.to_scalar::<f32>()).expect("a number") < 1e-6);
    }

    #[test]
    fn pixels_beyond_the_last_cell_go_to_the_last_tile() {
        let tiles = Tiles { side: 2, overlap: 1, given: 8, made: 1 };
        let mut sides = Vec::new();
        let found = tiles.map(&picture(31, 16), |tile| {
            let (_, height, width, _) = tile.dims4()?;
            sides.push((height, width));
            Ok(Tensor::ones((1, height / 8, width / 8, 5), candle_core::DType::F32, &Device::Cpu)?)
        });
        assert_eq!(sides, [(16, 16), (23, 16)]);
        assert_eq!(found.expect("joined").dims(), [1, 3, 2, 5]);
    }

    #[test]
    fn a_sample_takes_cells_from_everywhere() {
        let tiles = Tiles { side: 16, overlap: 4, given: 2, made: 1 };
        let found = tiles.sample(&picture(61, 90)).expect("a sample");
        // of 30 cells the second of every two, of 45 the second of every three; a cell has two pixels
        assert_eq!(found.dims(), [1, 30, 30, 2]);
        let expected = picture(61, 90).narrow(1, 7, 1).and_then(|row| row.narrow(2, 8, 1)).expect("a pixel");
        let pixel = found.narrow(1, 3, 1).and_then(|row| row.narrow(2, 2, 1)).expect("a pixel");
        let values = |x: &Tensor| x.flatten_all().and_then(|x| x.to_vec1::<f32>()).expect("values");
        assert_eq!(values(&pixel), values(&expected));
    }

    #[test]
    fn a_tile_of_another_size_is_an_error() {
        let tiles = Tiles { side: 10, overlap: 3, given: 1, made: 2 };
        assert!(tiles.map(&picture(12, 12), |tile| Ok(tile.clone())).is_err());
    }
}
