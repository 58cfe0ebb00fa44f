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
//! tiny.rs ─ Call ─▶ gate ─▶ api ─▶ order ─▶ queue ─▶ worker ─▶ Generate
//!    ▲                       │                        │  │
//!    └─ Reply ◀── page, history ◀── store (PNG files) ◀┘  └─▶ events (SSE)
//! ```
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
//! # let config = ServerConfig { port: 0, outputs: outputs.path().to_owned(), ..ServerConfig::default() };
//! let server = Server::bind(config)?;
//! let address = server.address();
//! assert!(address.ip().is_loopback());
//! let stop = Arc::new(AtomicBool::new(false));
//! # stop.store(true, Ordering::Relaxed);
//! server.run(Arc::new(Nothing), Facts::default(), stop)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod api;
mod api_error;
mod clock;
mod connections;
mod error;
mod events;
mod gate;
mod generate;
mod generate_request;
mod history;
mod http;
mod job;
mod lock;
mod order;
mod page;
mod picture;
mod previews;
mod queue;
mod server;
mod socket;
mod store;
mod target;
mod tiny;
mod worker;

pub use error::ServerError;
pub use generate::{Generate, GenerateError, Generated, ModelCard, Progress};
pub use generate_request::GenerateRequest;
pub use previews::Previews;
pub use server::{Facts, Server, ServerConfig};
