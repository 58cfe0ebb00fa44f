//! From settings to picture: what happens around the model, and in which order.
//!
//! A [`Job`] is one generation. It prepares what it starts from ([`canvas`]), walks from noise to latent once or twice
//! ([`pass`], asking the model through [`guided`]), enlarges in between, and puts the result back where it belongs.

mod canvas;
mod enlarge;
mod guided;
mod hires_settings;
mod image_settings;
mod inpaint_settings;
mod inputs;
mod job;
mod pass;
mod progress;
mod refiner_settings;

use std::ops::ControlFlow;

use candle_core::Tensor;

use crate::{EngineError, GenerateSettings, Model, Picture, Step};
pub use hires_settings::{HiresSettings, UpscalerName};
pub use image_settings::ImageSettings;
pub use inpaint_settings::{InpaintFill, InpaintSettings};
pub use inputs::Inputs;
use job::Job;
pub use refiner_settings::RefinerSettings;

impl Model {
    /// Draws a picture. `on_step` is called after each step and may end the generation with `Break`.
    ///
    /// # Errors
    /// [`EngineError::Setting`] for settings out of bounds, [`EngineError::Cancelled`] after a `Break`,
    /// [`EngineError::NotANumber`] when the model breaks down.
    pub fn generate(
        &self,
        settings: &GenerateSettings,
        on_step: &mut dyn FnMut(&Step<'_>) -> ControlFlow<()>,
    ) -> Result<Picture, EngineError> {
        self.generate_from(settings, &Inputs::default(), on_step)
    }

    /// Draws a picture from pictures: image to image, inpainting, outpainting.
    ///
    /// # Errors
    /// As [`Model::generate`], and [`EngineError::MissingInput`] where the settings ask for something that `inputs` lack.
    pub fn generate_from(
        &self,
        settings: &GenerateSettings,
        inputs: &Inputs<'_>,
        on_step: &mut dyn FnMut(&Step<'_>) -> ControlFlow<()>,
    ) -> Result<Picture, EngineError> {
        let job = Job::new(self, settings, inputs)?;
        let latent = job.latent(on_step)?;
        Ok(job.finish(self.decode(&latent.values, latent.size)?))
    }

    /// The latent that [`Model::generate`] decodes.
    ///
    /// # Shapes
    /// - result: `[1, 4, height / 8, width / 8]`, scaled to unit variance
    ///
    /// # Errors
    /// As [`Model::generate`].
    pub fn latent(&self, settings: &GenerateSettings) -> Result<Tensor, EngineError> {
        self.latent_from(settings, &Inputs::default())
    }

    /// The latent that [`Model::generate_from`] decodes, of the same shape.
    ///
    /// # Errors
    /// As [`Model::generate_from`].
    pub fn latent_from(&self, settings: &GenerateSettings, inputs: &Inputs<'_>) -> Result<Tensor, EngineError> {
        Job::new(self, settings, inputs)?.latent(&mut |_| ControlFlow::Continue(()))?.tensor()
    }
}
