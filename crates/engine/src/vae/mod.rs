//! Stable Diffusion's autoencoder (Rombach et al. 2022): from picture to latent and back.

mod blocks;
mod decoder;
mod encoder;
mod tiling;

use candle_core::Tensor;

use crate::EngineError;
use crate::checkpoint::Scope;
use decoder::Decoder;
use encoder::Encoder;
pub(crate) use tiling::Tiling;

/// Channels of a latent.
pub(crate) const LATENT_CHANNELS: usize = 4;

/// Encoder and decoder. Latents are scaled here: outside they have unit variance.
pub(crate) struct Vae {
    encoder: Option<Encoder>,
    decoder: Decoder,
    scale: f64,
    tiling: Tiling,
}

impl Vae {
    /// Loads `encoder`, `decoder` and the 1x1 convolutions between them; the encoder may be missing. `scale` is the
    /// factor by which latents are multiplied: 0.18215 for Stable Diffusion 1.x and 2.x, 0.13025 for XL.
    pub(crate) fn load(scope: &Scope<'_>, scale: f64) -> Result<Self, EngineError> {
        let encoder = match scope.contains("encoder.conv_in.weight") {
            true => Some(Encoder::load(scope)?),
            false => None,
        };
        Ok(Self { encoder, decoder: Decoder::load(scope)?, scale, tiling: Tiling::default() })
    }

    /// Decides about tiles from now on.
    pub(crate) fn set_tiling(&mut self, tiling: Tiling) {
        self.tiling = tiling;
    }

    /// The picture of a latent.
    ///
    /// # Shapes
    /// - latent: `[batch, height / 8, width / 8, 4]`; result: `[batch, height, width, 3]`, roughly within -1 to 1
    pub(crate) fn decode(&self, latent: &Tensor) -> Result<Tensor, EngineError> {
        let (_, height, width, _) = latent.dims4()?;
        let begun = self.decoder.begin(&latent.affine(1.0 / self.scale, 0.0)?)?;
        tiling::apply(self.tiling.of_latent(height, width), &begun, |tile, norms| self.decoder.finish(tile, norms))
    }

    /// The latent of a picture: the mean of its distribution, or with `noise` of unit variance a sample of it. `None`
    /// if the file had no encoder.
    ///
    /// # Shapes
    /// - picture: `[batch, height, width, 3]`, -1 to 1; noise and result: `[batch, height / 8, width / 8, 4]`
    pub(crate) fn encode(&self, picture: &Tensor, noise: Option<&Tensor>) -> Result<Option<Tensor>, EngineError> {
        let Some(encoder) = &self.encoder else { return Ok(None) };
        let (_, height, width, _) = picture.dims4()?;
        let begun =
            tiling::apply(self.tiling.of_picture(height, width), picture, |tile, norms| encoder.begin(tile, norms))?;
        let moments = encoder.finish(&begun)?;
        let mean = moments.narrow(3, 0, LATENT_CHANNELS)?;
        let latent = match noise {
            None => mean,
            Some(noise) => {
                // the bounds of the original code's DiagonalGaussianDistribution
                let deviation =
                    (moments.narrow(3, LATENT_CHANNELS, LATENT_CHANNELS)?.clamp(-30.0, 20.0)? * 0.5)?.exp()?;
                (mean + (deviation * noise)?)?
            }
        };
        Ok(Some((latent * self.scale)?))
    }
}
