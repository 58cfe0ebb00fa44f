//! Files that prompts and settings call by name.

mod near;
mod shelf;

pub use shelf::Shelf;

/// What there is besides checkpoints, by name.
///
/// The engine reads no folder on its own account: the program says what there is, usually with [`Shelf::of_folder`].
#[derive(Clone, Debug)]
pub struct Library {
    /// LoRAs and their relatives: `<lora:name:1>` in a prompt.
    pub loras: Shelf,
    /// Textual inversions: their bare name in a prompt.
    pub embeddings: Shelf,
    /// VAEs to use in place of a checkpoint's own.
    pub vaes: Shelf,
    /// Models that enlarge pictures.
    pub upscalers: Shelf,
    /// ControlNets.
    pub controlnets: Shelf,
}

impl Library {
    /// A library with nothing in it.
    pub fn new() -> Self {
        Self {
            loras: Shelf::new("LoRA"),
            embeddings: Shelf::new("embedding"),
            vaes: Shelf::new("VAE"),
            upscalers: Shelf::new("upscaler"),
            controlnets: Shelf::new("ControlNet"),
        }
    }
}

impl Default for Library {
    fn default() -> Self {
        Self::new()
    }
}
