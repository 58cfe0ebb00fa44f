//! The nouns of Fieldforge.
//!
//! Everything that has a name on both sides of the air gap is defined here, once: what can be chosen
//! ([`Catalog`]), what somebody chose ([`Request`], the file `forge.toml`), exactly which bytes that means
//! ([`Lock`], the file `forge.lock`) and what a bundle holds ([`BundleManifest`], the file `MANIFEST.json`).
//! Every file name inside a bundle or a home is spelt in [`layout`] and nowhere else.
//!
//! This crate parses and checks. It never writes a file, never reads a clock and never touches the network.
//!
//! ```text
//! Catalog + Request ──plan──▶ Lock ──pack──▶ BundleManifest ──carry, install──▶ home
//! ```
//!
//! # Example
//! ```
//! use manifest::{Catalog, Request};
//!
//! let catalog = Catalog::parse("models.toml", r#"
//!     [[entry]]
//!     id = "spark"
//!     kind = "checkpoint"
//!     family = "sd1"
//!     title = "spark"
//!     licence = "MIT AND Apache-2.0"
//!     sources = [{ kind = "builtin", name = "spark" }]
//! "#).unwrap();
//! let request = Request::parse("forge.toml", "name = 'field-kit'\ninclude = ['spark']").unwrap();
//! assert_eq!(catalog.get(&request.include[0]).unwrap().title, "spark");
//! ```

#[cfg(test)]
mod any;
mod archive_plan;
mod bundle_manifest;
mod bundle_path;
mod byte_size;
mod catalog;
mod codec;
mod component;
mod digest;
mod error;
mod file_entry;
mod finding;
pub mod frame;
mod frozen;
mod inventory;
pub mod layout;
mod licence;
mod lock;
mod report;
mod request;
mod settings;
mod signature;
mod source;
mod tree;

pub use archive_plan::{ArchivePlan, Segment, manifest_header, parse_manifest_header, parse_signature_header};
pub use bundle_manifest::{BundleManifest, Needs, Program, SelfTestSpec};
pub use bundle_path::{BundlePath, BundlePathError};
pub use byte_size::{ByteSize, ByteSizeError};
pub use catalog::{Catalog, CatalogEntry};
pub use codec::Codec;
pub use component::{Component, ComponentId, ComponentKind};
pub use digest::{ChunkDigest, DigestError, Sha256};
pub use error::ManifestError;
pub use file_entry::FileEntry;
pub use finding::{Finding, Problem};
pub use frozen::{Edition, FileMark, Frozen, FrozenInventory, FrozenKind, SeenFile};
pub use inventory::Inventory;
pub use licence::{LicenceTerms, spdx_identifiers};
pub use lock::{Confirmation, Lock, LockedComponent, LockedFile};
pub use report::{Event, Reporter, Silent, StickRequest, Stopped};
pub use request::{OwnComponent, Request, SelfTestRequest};
pub use settings::RecommendedSettings;
pub use signature::{PublicKey, PublicKeyError, Signature, SignatureError};
pub use source::Source;
pub use tree::{LeftOut, Mode, Tree, TreeEntry, TreeKind, TreePath};
