//! ControlNet (Zhang et al. 2023): a copy of the UNet's way down that also sees a picture and corrects the UNet.

mod canny;
mod control;
mod hint;

use std::path::Path;

use candle_core::{Result, Tensor};

use crate::EngineError;
use crate::checkpoint::{Family, Scope, Weights};
use crate::layers::Linear;
use crate::unet::{Residuals, Trunk};
pub use canny::canny;
pub use control::{Control, Controls};
use hint::HintEncoder;

/// A ControlNet for Stable Diffusion 1.x, 2.x or XL.
pub struct ControlNet {
    trunk: Trunk,
    hint: HintEncoder,
    skips: Vec<Linear>,
    middle: Linear,
    context: usize,
    family: Family,
}

impl ControlNet {
    /// Loads a `.safetensors` file with the names of the original code (`control_model.`) or of diffusers, or the folder
    /// that diffusers saves.
    ///
    /// # Errors
    /// Every kind of unusable file has its own error; see [`EngineError`].
    pub fn open(path: &Path) -> std::result::Result<Self, EngineError> {
        let weights = Weights::open_control(path)?;
        let scope = weights.scope("control_model");
        if !scope.contains("zero_convs.0.0.weight") {
            let file = weights.file().to_owned();
            let found = Family::of(weights.header());
            return Err(EngineError::WrongKind { file, found, expected: "a ControlNet" });
        }
        Self::load(&scope)
    }

    fn load(scope: &Scope<'_>) -> std::result::Result<Self, EngineError> {
        let (family, context) = Self::family_of(scope)?;
        let trunk = Trunk::load_for(scope, family, context)?;
        let zero = |name: &str, width: usize| {
            let layer = Linear::load_for(&scope.scope(name), width)?;
            match layer.outputs() == width {
                true => Ok(layer),
                false => Err(scope.unfit(&format!("{name}.weight"), &format!("a layer with {width} outputs"))),
            }
        };
        let skips = trunk.widths().iter().enumerate().map(|(i, width)| zero(&format!("zero_convs.{i}.0"), *width));
        let first = trunk.widths().first().copied().unwrap_or_default();
        Ok(Self {
            skips: skips.collect::<std::result::Result<_, _>>()?,
            middle: zero("middle_block_out.0", trunk.outputs())?,
            hint: HintEncoder::load(&scope.scope("input_hint_block"), first)?,
            trunk,
            context,
            family,
        })
    }

    /// The family of models that the tensors are for, and the width of their text encoders.
    fn family_of(scope: &Scope<'_>) -> std::result::Result<(Family, usize), EngineError> {
        // the first transformer that there is
        let places = (1..16).map(|block| format!("input_blocks.{block}.1")).chain(["middle_block.1".to_owned()]);
        let named = |place: &String| scope.contains(&format!("{place}.norm.weight"));
        let place = places.into_iter().find(named).unwrap_or_else(|| "middle_block.1".to_owned());
        let name = format!("{place}.transformer_blocks.0.attn2.to_k.weight");
        let context = match *scope.shape(&name)? {
            [_, context] => context,
            _ => return Err(scope.unfit(&name, "a matrix")),
        };
        let family = if scope.contains("label_emb.0.0.weight") {
            Family::Sdxl
        } else if scope.shape(&format!("{place}.proj_in.weight"))?.len() == 2 {
            Family::Sd2
        } else {
            Family::Sd1
        };
        Ok((family, context))
    }

    /// The family of models that it was made for.
    pub fn family(&self) -> Family {
        self.family
    }

    /// What is to be added to the UNet's own.
    ///
    /// # Shapes
    /// - latent, context, label: as the UNet's; of the latent, as many channels as the ControlNet takes count
    /// - hint: what its `HintEncoder` made
    fn residuals(
        &self,
        latent: &Tensor,
        hint: &Tensor,
        timestep: f32,
        context: &Tensor,
        label: Option<&Tensor>,
    ) -> Result<Residuals> {
        let latent = latent.narrow(3, 0, self.trunk.inputs())?.contiguous()?;
        let descent = self.trunk.forward(&latent, Some(hint), timestep, context, label)?;
        let skipped = descent.skipped.iter().zip(&self.skips).map(|(x, layer)| layer.forward(x));
        Ok(Residuals { skipped: skipped.collect::<Result<_>>()?, middle: self.middle.forward(&descent.middle)? })
    }
}
