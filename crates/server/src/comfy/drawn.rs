//! What flows along the links of a graph.

use super::graph::Link;
use crate::{GenerateRequest, PictureRef};

/// A checkpoint and the LoRAs laid over it, the first one first.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Chain {
    /// The model's id.
    pub(crate) model: String,
    pub(crate) loras: Vec<Lora>,
    /// ComfyUI's `stop_at_clip_layer`, as a positive number; text encoders only.
    pub(crate) skip: Option<u32>,
}

/// A LoRA on its way.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lora {
    pub(crate) node: String,
    pub(crate) name: String,
    pub(crate) strength: f64,
}

/// A ControlNet and its picture.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Guide {
    pub(crate) node: String,
    pub(crate) net: String,
    pub(crate) picture: PictureRef,
    pub(crate) weight: f64,
    pub(crate) start: f64,
    pub(crate) end: f64,
}

/// What a picture is conditioned on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Conditioning {
    /// More than one when they are combined.
    pub(crate) texts: Vec<String>,
    pub(crate) clip: Chain,
    pub(crate) guides: Vec<Guide>,
    /// The sizes that `CLIPTextEncodeSDXL` states.
    pub(crate) size: Option<(u32, u32)>,
}

/// A picture to start from, as it is and as it shall be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Start {
    pub(crate) node: String,
    pub(crate) picture: PictureRef,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// `stretch` or `crop`.
    pub(crate) resize_mode: &'static str,
    /// Where to draw, with what lies there at first.
    pub(crate) mask: Option<(PictureRef, &'static str)>,
}

/// A picture that is drawn.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Drawn {
    pub(crate) request: GenerateRequest,
    pub(crate) batch: u32,
    /// The last node that draws.
    pub(crate) sampler: String,
    /// The model's chain and the texts, for whoever goes on with it.
    pub(crate) chain: Chain,
    /// The step at which noise is left over, if it is.
    pub(crate) stopped: Option<u32>,
    pub(crate) positive: Link,
    pub(crate) negative: Link,
}

/// How a drawn picture is made larger.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Enlarge {
    pub(crate) node: String,
    /// The engine's name.
    pub(crate) upscaler: String,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Whether it is just what the upscaler's network makes.
    pub(crate) plain: bool,
}

/// What an `IMAGE` or a `LATENT` is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Canvas {
    /// Noise alone.
    Empty { width: u32, height: u32, batch: u32 },
    /// A picture that was there before.
    File(Start),
    /// The same, enlarged by an upscaler.
    FileEnlarged { start: Start, upscaler: String },
    /// Drawn by a sampler.
    Drawn(Box<Drawn>),
    /// Drawn and then enlarged.
    Enlarged(Box<Drawn>, Enlarge),
}
