use candle_core::Tensor;

use super::blocks::Norms;
use crate::EngineError;
use crate::tiles::Tiles;

/// When the autoencoder works in tiles, and which.
///
/// What works at the latent's own size (with the attention in it) always sees the whole picture; only the larger sizes,
/// which take the memory, are cut into tiles. There the norms take mean and deviation from a sample as large as one
/// tile, put together from positions all over the picture: nearly those of the whole, and the same for all tiles, so
/// that no tile has colours of its own.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tiling {
    /// Tiles for every picture that is larger than one, instead of above [`Tiling::WHOLE_PIXELS`] only.
    pub(crate) always: bool,
}

impl Tiling {
    /// Pictures of up to this many pixels (1280 x 1280) are worked on as a whole otherwise: 4 GB of memory for the
    /// autoencoder of Stable Diffusion, 2.5 GiB per 2^20 pixels.
    const WHOLE_PIXELS: usize = 1280 * 1280;

    /// Longest side of a tile in latent positions: 512 pixels, 0.7 GB of memory.
    const SIDE: usize = 64;

    /// Positions that neighbouring tiles share.
    const OVERLAP: usize = 12;

    /// The decoder's tiles for a latent of this size, `None` if it is decoded as a whole.
    pub(super) fn of_latent(self, height: usize, width: usize) -> Option<Tiles> {
        let whole =
            if self.always { height.max(width) <= Self::SIDE } else { height * width * 64 <= Self::WHOLE_PIXELS };
        (!whole).then_some(Tiles { side: Self::SIDE, overlap: Self::OVERLAP, given: 1, made: 8 })
    }

    /// The encoder's tiles for a picture of this size, `None` if it is encoded as a whole.
    pub(super) fn of_picture(self, height: usize, width: usize) -> Option<Tiles> {
        Some(Tiles { given: 8, made: 1, ..self.of_latent(height.div_ceil(8), width.div_ceil(8))? })
    }
}

/// `work` on the whole, or in tiles whose norms use the mean and deviation of a sample of the whole picture.
pub(super) fn apply(
    tiles: Option<Tiles>,
    x: &Tensor,
    work: impl Fn(&Tensor, &mut Norms) -> candle_core::Result<Tensor>,
) -> Result<Tensor, EngineError> {
    let Some(tiles) = tiles else { return Ok(work(x, &mut Norms::Own)?) };
    let mut norms = Norms::Note(Vec::new());
    work(&tiles.sample(x)?, &mut norms)?;
    let noted = if let Norms::Note(noted) = norms { noted } else { Vec::new() };
    tiles.map(x, |tile| Ok(work(tile, &mut Norms::Noted(noted.clone().into_iter()))?))
}
