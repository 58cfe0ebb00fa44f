//! The online side: plan, fetch, pack.
//!
//! A [`Request`](manifest::Request) and the [`Catalog`](manifest::Catalog) become a [`BundlePlan`], a value that can
//! be printed before anything happens. [`fetch`] carries it out and gives [`Fetched`]: every file verified, and the
//! [`Lock`](manifest::Lock) that pins them. [`pack`] makes a bundle folder of it.
//!
//! ```text
//! Catalog + Request (+ Lock) ──plan──▶ BundlePlan ──fetch──▶ Fetched ──pack──▶ bundle folder
//!                                                     │
//!            built in → cache → hand-carried → sources in turn; the digest decides
//! ```
//!
//! How a download works: `offer` turns a source into an address and the digests that vouch for it, `download` asks
//! for the first segment and looks at it, `ranges` fetches the others side by side, journals them in `partial` and
//! hashes them as they arrive, and only a complete, verified file gets its name in the `cache`. A kill costs at most
//! 8 MiB. Secrets ([`Credential`]) are chosen anew for every request by the server it goes to, so a redirect cannot
//! carry one away.
//!
//! This is the only crate that talks to the network.
//!
//! # Example
//! ```
//! use bundler::{Content, FetchOptions, PlanInput, Policy, loopback};
//! use manifest::{Catalog, Request, Sha256, Silent};
//!
//! let server = loopback::Server::start(vec![("/notes.txt".into(), Content::Memory(b"hello"))])?;
//! let request = Request::parse("forge.toml", &format!(
//!     "name = 'kit'\n[[component]]\nid = 'notes'\nkind = 'part'\ntitle = 'Notes'\nlicence = 'MIT'\n\
//!      file = 'notes.txt'\nsha256 = '{}'\nsources = [{{ kind = 'https', url = '{}' }}]",
//!     Sha256::of(b"hello"), server.url("/notes.txt"),
//! ))?;
//! let plan = bundler::plan(PlanInput {
//!     catalog: &Catalog::default(),
//!     request: &request,
//!     request_folder: std::path::Path::new("."),
//!     lock: None,
//!     builtins: &[],
//!     policy: Policy::default(),
//! })?;
//! println!("{plan}");
//!
//! let cache = tempfile::tempdir()?;
//! let fetched = bundler::fetch(&plan, &FetchOptions::new(cache.path()), &Silent)?;
//! assert_eq!(fetched.files[0].file.path.as_str(), "parts/notes/notes.txt");
//! assert_eq!(fetched.lock.size(), 5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod builtin;
mod bundle_plan;
mod cache;
mod content;
mod credentials;
mod download;
mod endpoints;
mod fetch;
mod fetch_error;
mod fetch_options;
mod fetched;
mod gate;
mod hasher;
mod local_files;
pub mod loopback;
mod npmrc;
mod offer;
mod pack;
mod partial;
mod pip_conf;
mod plan;
mod plan_error;
mod progress;
mod ranges;
mod readings;
mod registries;
mod signing_key;
mod simple_index;
mod sniff;
mod tokens;
mod trouble;
mod urls;
mod web;

pub use builtin::{Builtin, BuiltinFile};
pub use bundle_plan::{BundlePlan, PlannedComponent, PlannedFile};
pub use content::{Content, ContentReader};
pub use credentials::Credential;
pub use endpoints::Endpoints;
pub use fetch::fetch;
pub use fetch_error::{FetchError, FileFailure, Tried};
pub use fetch_options::{FetchOptions, Timeouts};
pub use fetched::{Fetched, FetchedFile};
pub use pack::{
    PackError, PackFile, PackFrozen, PackInput, PackOptions, PackReport, ReadBack, Stick, SurveyedFile, add_decoders,
    default_volume_size, pack, survey_unknown,
};
pub use plan::{PlanInput, Policy, plan, request_digest};
pub use plan_error::PlanError;
pub use signing_key::{NewKey, SigningKey, SigningKeyError};
pub use tokens::Tokens;
pub use trouble::Trouble;
pub use urls::urls;
