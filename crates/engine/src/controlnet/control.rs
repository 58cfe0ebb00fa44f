use std::borrow::Cow;

use candle_core::{Device, Tensor};

use super::ControlNet;
use crate::image_ops::ResizeMode;
use crate::unet::Residuals;
use crate::{EngineError, Model, Picture};

/// A ControlNet with the picture that it shall follow.
#[derive(Clone, Copy)]
pub struct Control<'a> {
    /// The network.
    pub net: &'a ControlNet,
    /// What it follows, for example [`crate::canny`]'s edges; enlarged or shrunk until it covers the picture to be
    /// drawn, then cut, if it has another size.
    pub picture: &'a Picture,
    /// How strongly; 1 is what it was trained for.
    pub weight: f32,
    /// Where it begins, as a share of the way from noise (timestep 999) to picture, as ComfyUI counts.
    pub start: f32,
    /// Where it ends.
    pub end: f32,
}

impl<'a> Control<'a> {
    /// A control of full weight from beginning to end.
    pub fn new(net: &'a ControlNet, picture: &'a Picture) -> Self {
        Self { net, picture, weight: 1.0, start: 0.0, end: 1.0 }
    }
}

/// The controls of one generation, with their pictures encoded.
#[derive(Default)]
pub struct Controls<'a> {
    controls: Vec<(Control<'a>, Tensor)>,
}

impl<'a> Controls<'a> {
    /// Largest timestep.
    const LAST: f32 = 999.0;

    /// Encodes the pictures of `controls` for a picture of `width` x `height` by `model`.
    ///
    /// # Errors
    /// [`EngineError::Setting`] for a ControlNet of another family, a picture without pixels, and numbers out of bounds.
    pub fn new(model: &Model, controls: &[Control<'a>], width: u32, height: u32) -> Result<Self, EngineError> {
        let refused = |setting, found: String, expected: String| Err(EngineError::Setting { setting, found, expected });
        let mut encoded = Vec::new();
        for control in controls {
            let net = control.net;
            control.picture.check()?;
            if net.context != model.info().context_width {
                let found = format!("for models of {} features per word", net.context);
                return refused("ControlNet", found, format!("one for {}", model.info().context_width));
            }
            if !(0.0..=10.0).contains(&control.weight) {
                return refused("ControlNet weight", control.weight.to_string(), "0 to 10".to_owned());
            }
            if !(0.0 <= control.start && control.start <= control.end && control.end <= 1.0) {
                let found = format!("from {} to {}", control.start, control.end);
                return refused("ControlNet range", found, "from 0 to 1 at most".to_owned());
            }
            let picture = match (control.picture.width, control.picture.height) == (width, height) {
                true => Cow::Borrowed(control.picture),
                false => Cow::Owned(control.picture.fit(width, height, ResizeMode::Crop)),
            };
            let values: Vec<f32> = picture.rgb.iter().map(|&byte| f32::from(byte) / 255.0).collect();
            let picture = Tensor::from_vec(values, (1, height as usize, width as usize, 3), &Device::Cpu)?;
            encoded.push((*control, net.hint.forward(&picture)?));
        }
        Ok(Self { controls: encoded })
    }

    /// What all controls together add to the UNet's own, `None` where none is active.
    ///
    /// # Shapes
    /// - latent: `[batch, height / 8, width / 8, channels]`; context and label: as the UNet's
    pub(crate) fn residuals(
        &self,
        latent: &Tensor,
        timestep: f32,
        context: &Tensor,
        label: Option<&Tensor>,
    ) -> candle_core::Result<Option<Residuals>> {
        let mut sum: Option<Residuals> = None;
        for (control, hint) in &self.controls {
            let (first, last) = ((1.0 - control.start) * Self::LAST, (1.0 - control.end) * Self::LAST);
            if control.weight == 0.0 || timestep > first || timestep < last {
                continue;
            }
            let found = control.net.residuals(latent, hint, timestep, context, label)?;
            sum = Some(Residuals::weighted(found, control.weight, sum)?);
        }
        Ok(sum)
    }
}
