use std::ops::ControlFlow;

use crate::image_ops::Filter;
use crate::{EngineError, Picture, Upscaler};

/// How often a network may be applied to reach a size.
const ROUNDS: usize = 3;

impl Upscaler {
    /// Enlarges a picture to `width` x `height`: with the network as often as it takes (three times at most), then by
    /// Lanczos to the exact size. A picture that is large enough goes through the network once all the same. `on_tile` is
    /// called after each tile with how many are done and how many there are; it may end the work with `Break`.
    ///
    /// # Errors
    /// As [`Upscaler::upscale`].
    pub fn enlarge(
        &self,
        picture: &Picture,
        (width, height): (u32, u32),
        on_tile: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Picture, EngineError> {
        let sizes = self.rounds((picture.width, picture.height), (width, height));
        let tiles = |(width, height): &(u32, u32)| self.tiles(*width, *height);
        let all = sizes.iter().map(tiles).sum();
        let (mut made, mut before) = (picture.clone(), 0);
        for size in &sizes {
            made = self.upscale(&made, &mut |done, _| on_tile(before + done, all))?;
            before += tiles(size);
        }
        Ok(match (made.width, made.height) == (width, height) {
            true => made,
            false => made.resized(width, height, Filter::Lanczos),
        })
    }

    /// How many tiles [`Upscaler::enlarge`] works on.
    pub(crate) fn tiles_to(&self, from: (u32, u32), to: (u32, u32)) -> usize {
        self.rounds(from, to).iter().map(|(width, height)| self.tiles(*width, *height)).sum()
    }

    /// The size of the picture before each round.
    fn rounds(&self, from: (u32, u32), to: (u32, u32)) -> Vec<(u32, u32)> {
        let factor = self.factor();
        let mut sizes = vec![from];
        let next = |(width, height): (u32, u32)| (width.saturating_mul(factor), height.saturating_mul(factor));
        while let Some(&last) = sizes.last()
            && sizes.len() < ROUNDS
            && factor > 1
            && (next(last).0 < to.0 || next(last).1 < to.1)
        {
            sizes.push(next(last));
        }
        sizes
    }
}
