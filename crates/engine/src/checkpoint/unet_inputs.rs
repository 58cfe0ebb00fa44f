use serde::{Deserialize, Serialize};

/// What a UNet takes besides the latent that it cleans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UNetInputs {
    /// Nothing: 4 channels.
    #[default]
    Latent,
    /// An inpainting model: 4 channels of the latent, 1 of the mask (1 is drawn anew), 4 of the masked picture's latent.
    Inpaint,
    /// A model that follows instructions: 4 channels of the latent, 4 of the given picture's latent.
    Edit,
}

impl UNetInputs {
    /// By the number of input channels.
    pub(crate) fn of_channels(channels: usize) -> Option<Self> {
        match channels {
            4 => Some(Self::Latent),
            8 => Some(Self::Edit),
            9 => Some(Self::Inpaint),
            _ => None,
        }
    }

    /// Input channels of the UNet.
    pub fn channels(self) -> usize {
        match self {
            Self::Latent => 4,
            Self::Edit => 8,
            Self::Inpaint => 9,
        }
    }
}
