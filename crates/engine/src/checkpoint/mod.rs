//! Model files: what they are (by content, never by name) and how their tensors are read.

mod family;
mod file_kind;
mod header;
mod inspect;
mod memory;
mod parameter;
mod patches;
mod scope;
mod source;
mod weights;

pub use family::Family;
pub use file_kind::FileKind;
pub use header::{Header, TensorEntry};
pub use inspect::{CheckpointInfo, inspect, inspect_bytes};
pub(crate) use parameter::Parameter;
pub(crate) use patches::Patches;
pub(crate) use scope::Scope;
pub(crate) use weights::Weights;
