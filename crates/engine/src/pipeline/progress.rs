use std::ops::ControlFlow;

use crate::latent::LatentSize;
use crate::step::Sight;
use crate::{EngineError, Model, Phase, Picture, Step};

/// Counts the steps of all phases, and asks after each whether to go on.
pub(super) struct Progress<'a> {
    done: u32,
    steps: u32,
    on_step: &'a mut dyn FnMut(&Step<'_>) -> ControlFlow<()>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(steps: usize, on_step: &'a mut dyn FnMut(&Step<'_>) -> ControlFlow<()>) -> Self {
        Self { done: 0, steps: steps as u32, on_step }
    }

    /// One more step, after which the model sees `denoised`.
    ///
    /// # Errors
    /// [`EngineError::NotANumber`], and [`EngineError::Cancelled`] when nobody wants the rest.
    pub(super) fn sampled(
        &mut self,
        phase: Phase,
        model: &Model,
        denoised: &[f32],
        size: LatentSize,
    ) -> Result<(), EngineError> {
        if denoised.iter().any(|value| !value.is_finite()) {
            return Err(EngineError::NotANumber { step: self.done + 1 });
        }
        self.step(phase, Sight::Latent { model, denoised, size })
    }

    /// One more tile of `picture` is enlarged.
    ///
    /// # Errors
    /// [`EngineError::Cancelled`].
    pub(super) fn enlarged(&mut self, picture: &Picture) -> Result<(), EngineError> {
        self.step(Phase::Upscale, Sight::Picture(picture))
    }

    fn step(&mut self, phase: Phase, sight: Sight<'_>) -> Result<(), EngineError> {
        self.done += 1;
        match (self.on_step)(&Step::new(phase, self.done, self.steps.max(self.done), sight)) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(EngineError::Cancelled),
        }
    }
}
