use crate::latent::LatentSize;
use crate::preview::preview;
use crate::{Model, Phase, Picture};

/// One finished step of a generation.
pub struct Step<'a> {
    /// What it was a part of.
    pub phase: Phase,
    /// Which one, counted from 1 over all phases.
    pub step: u32,
    /// How many there will be in all phases together.
    pub steps: u32,
    sight: Sight<'a>,
}

/// What there is to see after a step.
pub(crate) enum Sight<'a> {
    /// The latent as the model sees it.
    Latent { model: &'a Model, denoised: &'a [f32], size: LatentSize },
    /// The picture that is being enlarged.
    Picture(&'a Picture),
}

impl<'a> Step<'a> {
    pub(crate) fn new(phase: Phase, step: u32, steps: u32, sight: Sight<'a>) -> Self {
        Self { phase, step, steps, sight }
    }

    /// The picture as the model sees it now, computed only when asked for: decoded in full where that is quick (up to
    /// 128 x 128 pixels), by a tiny decoder where the model was opened with one, otherwise a rough one at an eighth of
    /// the size. `None` if it cannot be made.
    pub fn preview(&self) -> Option<Picture> {
        match self.sight {
            Sight::Latent { model, denoised, size } => preview(model, denoised, size).ok(),
            Sight::Picture(picture) => Some(picture.clone()),
        }
    }
}
