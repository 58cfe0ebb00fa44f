//! What a bundle is made of: checkpoints, LoRAs, frontends, parts of one's own.

use crate::{RecommendedSettings, Source};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// The short name of a component: lower-case letters, digits, `.`, `_` and `-`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ComponentId(String);

impl ComponentId {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ComponentId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
        let begins = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        if begins && text.len() <= 64 && text.chars().all(fits) && !text.ends_with('.') {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "`{}` is not a component name: use up to 64 lower-case letters, digits, `.`, `_` and `-`, beginning with a letter or digit",
            text.escape_debug().take(80).collect::<String>()
        ))
    }
}

impl fmt::Display for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl Serialize for ComponentId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ComponentId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What a component is for. It decides the folder that its files get (see [`crate::layout::folder_of`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ComponentKind {
    /// A whole model: text encoder, UNet and VAE in one file.
    Checkpoint,
    /// A second checkpoint for the last steps (SDXL).
    Refiner,
    /// A low-rank change of a checkpoint.
    Lora,
    /// A variational autoencoder on its own.
    Vae,
    /// A small VAE for fast previews.
    Taesd,
    /// A textual-inversion embedding.
    Embedding,
    /// A network that enlarges pictures.
    Upscaler,
    /// A network that steers a checkpoint by an edge map, pose, depth….
    Controlnet,
    /// A web page for generating.
    Frontend,
    /// Anything else that should travel along, carried as it is.
    Part,
}

impl ComponentKind {
    /// Every kind, in the order in which lists show them.
    pub const ALL: [Self; 10] = [
        Self::Checkpoint,
        Self::Refiner,
        Self::Lora,
        Self::Vae,
        Self::Taesd,
        Self::Embedding,
        Self::Upscaler,
        Self::Controlnet,
        Self::Frontend,
        Self::Part,
    ];

    /// Holds model weights, which must be `.safetensors` (never a pickle).
    #[must_use]
    pub const fn is_weights(self) -> bool {
        !matches!(self, Self::Frontend | Self::Part)
    }
}

impl fmt::Display for ComponentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Checkpoint => "checkpoint",
            Self::Refiner => "refiner",
            Self::Lora => "lora",
            Self::Vae => "vae",
            Self::Taesd => "taesd",
            Self::Embedding => "embedding",
            Self::Upscaler => "upscaler",
            Self::Controlnet => "controlnet",
            Self::Frontend => "frontend",
            Self::Part => "part",
        })
    }
}

/// A component as the bundle's manifest describes it to the offline side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// Its short name.
    pub id: ComponentId,
    /// What it is for.
    pub kind: ComponentKind,
    /// The model family ("sd1", "sdxl"), for weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// Its name for people.
    pub title: String,
    /// SPDX expression or the licence's own name.
    pub licence: String,
    /// Where its bytes came from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
    /// What to generate with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<RecommendedSettings>,
}
