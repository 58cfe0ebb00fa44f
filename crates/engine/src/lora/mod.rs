//! LoRAs and their relatives: read from any trainer's file, matched with a model's layers, merged into its weights when
//! these are widened.
//!
//! How it goes: `key` says what a tensor is by its name; [`Lora::open`] puts the tensors of each layer together
//! (`layer`, `change`); `model_names` knows where each layer lies in a model under every name in use;
//! [`crate::Model::set_loras`] (`applied`) matches both and hands the model its patches. What fits nothing is in the
//! [`LoraReport`].

mod applied;
mod base;
mod change;
mod info;
mod key;
mod layer;
mod lora_file;
mod model_names;
mod peft_alpha;
mod report;
mod stored;
mod text_names;
mod unet_names;

pub use applied::AppliedLora;
pub use info::{LoraInfo, TagCount};
pub use lora_file::Lora;
pub use report::LoraReport;
