use std::path::PathBuf;

use crate::Prediction;

/// How a model is opened, besides which.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct OpenOptions {
    /// Bytes that weights widened to f32 may occupy. Without it: half of the memory that is free at that time.
    /// The pictures are the same, only the time they take is not.
    pub memory: Option<u64>,
    /// A VAE to use in place of the model's own, or where it has none.
    pub vae: Option<PathBuf>,
    /// What the UNet predicts, for files that do not tell ([`crate::ModelInfo::prediction`] is what was found).
    pub prediction: Option<Prediction>,
    /// Whether the model was trained with zero terminal signal-to-noise ratio, for files that do not tell.
    pub zero_snr: Option<bool>,
    /// The tiny decoder for previews ([`crate::Taesd`]); without it they are rough.
    pub taesd: Option<PathBuf>,
    /// Cut pictures of any size into tiles for the autoencoder, which then needs little memory; without it only those
    /// of more than 1280 x 1280 pixels. Pictures change by a little.
    pub vae_tiles: bool,
}
