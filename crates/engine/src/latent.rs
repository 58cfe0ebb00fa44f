use candle_core::{Device, Tensor};

use crate::EngineError;
use crate::image_ops::{LatentUpscale, interpolate};
use crate::vae::LATENT_CHANNELS;

/// The size of one latent channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LatentSize {
    pub(crate) height: usize,
    pub(crate) width: usize,
}

impl LatentSize {
    /// The size for a picture of `width` x `height` pixels.
    pub(crate) fn of(width: u32, height: u32) -> Self {
        Self { height: height as usize / 8, width: width as usize / 8 }
    }

    /// Positions in one channel.
    pub(crate) fn positions(self) -> usize {
        self.height * self.width
    }

    /// Numbers in all channels.
    pub(crate) fn elements(self) -> usize {
        LATENT_CHANNELS * self.positions()
    }
}

/// A picture as the UNet knows it, scaled to unit variance.
///
/// # Shapes
/// - values: `[4, height, width]` of its size
#[derive(Clone)]
pub(crate) struct Latent {
    pub(crate) values: Vec<f32>,
    pub(crate) size: LatentSize,
}

impl Latent {
    /// From a tensor `[1, 4, height, width]`.
    pub(crate) fn of(tensor: &Tensor) -> Result<Self, EngineError> {
        let (_, _, height, width) = tensor.dims4()?;
        Ok(Self { values: tensor.flatten_all()?.to_vec1()?, size: LatentSize { height, width } })
    }

    /// As a tensor `[1, 4, height, width]`.
    pub(crate) fn tensor(self) -> Result<Tensor, EngineError> {
        let shape = (1, LATENT_CHANNELS, self.size.height, self.size.width);
        Ok(Tensor::from_vec(self.values, shape, &Device::Cpu)?)
    }

    /// At another size.
    pub(crate) fn resized(&self, to: LatentSize, how: LatentUpscale) -> Self {
        let (from, size) = ((self.size.height, self.size.width), (to.height, to.width));
        Self { values: interpolate(&self.values, from, size, how), size: to }
    }

    /// Without `columns` and `rows`, half of them from each side, the odd one from the right and the bottom.
    pub(crate) fn cut(self, columns: usize, rows: usize) -> Self {
        let size = LatentSize {
            height: self.size.height.saturating_sub(rows),
            width: self.size.width.saturating_sub(columns),
        };
        let channels = self.values.chunks_exact(self.size.positions().max(1));
        let rows =
            channels.flat_map(|channel| channel.chunks_exact(self.size.width.max(1)).skip(rows / 2).take(size.height));
        Self { values: rows.flat_map(|row| &row[columns / 2..columns / 2 + size.width]).copied().collect(), size }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_odd_row_is_cut_from_the_bottom() {
        let size = LatentSize { height: 4, width: 5 };
        let latent = Latent { values: (0..80).map(|i| i as f32).collect(), size };
        let cut = latent.cut(2, 3);
        assert_eq!(cut.size, LatentSize { height: 1, width: 3 });
        assert_eq!(cut.values, [6.0, 7.0, 8.0, 26.0, 27.0, 28.0, 46.0, 47.0, 48.0, 66.0, 67.0, 68.0]);
    }
}
