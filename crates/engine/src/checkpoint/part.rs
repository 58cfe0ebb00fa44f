use std::fmt;

/// A part of a whole model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The network that predicts noise.
    UNet,
    /// What turns prompts into numbers.
    TextEncoder,
    /// What turns latents into pictures.
    Vae,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UNet => "UNet",
            Self::TextEncoder => "text encoder",
            Self::Vae => "VAE",
        })
    }
}
