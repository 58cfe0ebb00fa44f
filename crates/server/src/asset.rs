//! Installed files that requests can name besides checkpoints.

use serde::{Deserialize, Serialize};

/// What a model file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AssetKind {
    /// A whole model.
    Checkpoint,
    /// A small change to a model, called in a prompt: `<lora:NAME:WEIGHT>`.
    Lora,
    /// A word that a text encoder learns, called in a prompt by its name.
    Embedding,
    /// Another decoder from latents to pixels.
    Vae,
    /// A network that enlarges pictures.
    Upscaler,
    /// A network that makes a picture follow another one.
    Controlnet,
    /// Any other kind of file.
    Other,
}

impl AssetKind {
    /// The field's word for it.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Checkpoint => "checkpoint",
            Self::Lora => "LoRA",
            Self::Embedding => "embedding",
            Self::Vae => "VAE",
            Self::Upscaler => "upscaler",
            Self::Controlnet => "ControlNet",
            Self::Other => "file",
        }
    }
}

/// One installed model file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Asset {
    /// What it is for.
    pub kind: AssetKind,
    /// What requests and prompts call it.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// The file's name.
    pub file: String,
    /// The model family it fits ("sd1", "sdxl"), when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// Licence identifier or name.
    pub licence: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the file in hex, as it was installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Words that call up what it has learned.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trigger_words: Vec<String>,
    /// How much larger an upscaler makes a picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<u32>,
    /// One sentence on what it is good for; may be empty.
    pub note: String,
}

/// Words that are put around a prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Style {
    /// What people call it.
    pub name: String,
    /// `{prompt}` stands for the prompt; without it the words are put behind it.
    pub prompt: String,
    /// The same for the negative prompt.
    pub negative_prompt: String,
}
