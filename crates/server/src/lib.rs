//! The local web page and the HTTP interface behind it.
//!
//! A [`Server`] is bound first ([`Server::bind`]: one socket, no thread), so that the program can
//! seal itself, and then runs ([`Server::run`]) with something that draws: an implementation of
//! [`Generate`]. A request body becomes a checked [`GenerateRequest`], waits in a first-in
//! first-out queue, goes to the engine on the one drawing thread, and comes back as a [`Generated`]
//! PNG that is saved, announced to every listening page and found again after a restart, because
//! the PNG file itself is the only record.
//!
//! ```text
//! accept ─▶ connection ─ Call ─▶ gate ─▶ api ─▶ order ─▶ queue ─▶ worker ─▶ Generate
//!               ▲                          │                       │  │
//!               └── Reply ◀─ page, history ◀── store (PNG files) ◀─┘  └─▶ events (SSE)
//! ```
//!
//! Without [`ServerConfig::network`] only this computer can connect. With it other devices can, once they are paired with
//! the code of the [`Server::invitation`].
//!
//! The crate owns its sockets: heads are parsed by `httparse` and answers printed by `tiny_http`'s
//! types, but accepting and waiting are ours. tiny_http's own server was tried first and measured:
//! it hands a new connection to a thread that is already busy with a silent one, reads an
//! announced petabyte into one buffer, has no time limits, and stops accepting for good when
//! descriptors run out.
//!
//! ```
//! use std::ops::ControlFlow;
//! use std::sync::{Arc, atomic::{AtomicBool, Ordering}};
//! use server::{Facts, Generate, GenerateError, GenerateRequest, Generated, ModelCard, Progress, Server, ServerConfig};
//!
//! struct Nothing;
//! impl Generate for Nothing {
//!     fn models(&self) -> Vec<ModelCard> { Vec::new() }
//!     fn samplers(&self) -> Vec<String> { Vec::new() }
//!     fn schedulers(&self) -> Vec<String> { Vec::new() }
//!     fn generate(
//!         &self,
//!         _: &GenerateRequest,
//!         _: &mut dyn FnMut(Progress) -> ControlFlow<()>,
//!     ) -> Result<Generated, GenerateError> {
//!         Err(GenerateError::Failed { message: "no engine here".to_owned(), hint: None })
//!     }
//! }
//!
//! # let outputs = tempfile::tempdir()?;
//! # let config = ServerConfig {
//! #     port: 0,
//! #     outputs: outputs.path().join("outputs"),
//! #     state: outputs.path().join("state"),
//! #     ..ServerConfig::default()
//! # };
//! let server = Server::bind(config)?;
//! let address = server.address();
//! assert!(address.ip().is_loopback());
//! let stop = Arc::new(AtomicBool::new(false));
//! # stop.store(true, Ordering::Relaxed);
//! server.run(Arc::new(Nothing), Facts::default(), stop)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod accept;
mod api;
mod api_error;
mod api_jobs;
mod api_models;
mod api_pictures;
mod asset;
mod check;
mod clock;
mod comfy;
mod connection;
mod database;
mod device_name;
mod door;
mod error;
mod events;
mod gate;
mod generate;
mod generate_request;
mod happening;
mod head;
mod history;
mod http;
mod invitation;
mod job;
mod job_table;
mod lan;
mod lock;
mod multipart;
mod new_model;
mod openai;
mod order;
mod page;
mod pair_page;
mod pairing;
mod picture;
mod picture_ref;
mod picture_table;
mod pictures;
mod previews;
mod qr;
mod queue;
mod remarks;
mod request_parts;
mod respond;
mod route;
mod sdapi;
mod seats;
mod secret;
mod self_test;
mod server;
mod socket;
mod store;
mod studio;
mod target;
mod tasks;
mod thumbnail;
mod thumbnails;
mod tries;
mod uploads;
mod whole_numbers;
mod worker;

pub use asset::{Asset, AssetKind, Style};
pub use clock::iso;
pub use comfy::with_texts;
pub use error::ServerError;
pub use generate::{Generate, GenerateError, Generated, ModelCard, PictureFacts, Progress};
pub use generate_request::GenerateRequest;
pub use invitation::Invitation;
pub use new_model::{AddError, AddReason, ModelSource, NewModel, Verdict};
pub use picture_ref::{PictureRef, PictureRefError};
pub use pictures::Pictures;
pub use previews::Previews;
pub use request_parts::{ControlRequest, Extend, Hires, Init, Inpaint, Refiner, Variation};
pub use server::{Facts, Server, ServerConfig};
