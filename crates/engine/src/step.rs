use crate::model::LatentSize;
use crate::{Model, Picture, preview};

/// One finished step of a generation.
pub struct Step<'a> {
    /// Which one, counted from 1.
    pub step: u32,
    /// How many there will be.
    pub steps: u32,
    model: &'a Model,
    denoised: &'a [f32],
    size: LatentSize,
}

impl<'a> Step<'a> {
    /// Latents up to this many positions a side are decoded for a preview.
    const DECODED_SIDE: usize = 16;

    pub(crate) fn new(step: u32, steps: u32, model: &'a Model, denoised: &'a [f32], size: LatentSize) -> Self {
        Self { step, steps, model, denoised, size }
    }

    /// The picture as the model sees it now, computed only when asked for: decoded in full where that is quick (up to
    /// 128 x 128 pixels), otherwise a rough one at an eighth of the size. `None` if it cannot be made.
    pub fn preview(&self) -> Option<Picture> {
        let LatentSize { height, width } = self.size;
        if height.max(width) <= Self::DECODED_SIDE {
            return self.model.decode(self.denoised, self.size).ok();
        }
        Some(preview::rough(self.denoised, height, width))
    }
}
