//! Model files: what they are (by content, never by name) and how their tensors are read.

mod diffusers_names;
mod family;
mod file_kind;
mod files;
mod header;
mod inspect;
mod memory;
mod parameter;
mod part;
mod patches;
mod quantization;
mod scope;
mod source;
mod training;
mod unet_inputs;
mod weights;

pub use family::Family;
pub use file_kind::FileKind;
pub use header::{Header, TensorEntry};
pub use inspect::{CheckpointInfo, inspect, inspect_bytes};
pub(crate) use parameter::Parameter;
pub use part::Part;
pub(crate) use patches::Patches;
pub(crate) use scope::Scope;
pub(crate) use training::Training;
pub use unet_inputs::UNetInputs;
pub(crate) use weights::Weights;
