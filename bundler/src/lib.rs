//! The online side: plan, fetch, pack.

mod builtin;
mod content;
mod fetched;
pub mod loopback;

pub use builtin::{Builtin, BuiltinFile};
pub use content::{Content, ContentReader};
pub use fetched::{Fetched, FetchedFile};
