//! Helpers for tests, of the libraries and of the program. Never part of the product.
//!
//! - [`sandbox::Sandbox`]: a folder of a test's own, with weights that compress as real ones do
//! - [`damage::Damage`]: what happens to bytes on a stick: flipped, cut off, missing, swapped, foreign
//! - `server::Server` (feature `server`): a loopback HTTP server that misbehaves as told and remembers every request,
//!   so that a test can count what was fetched again
//!
//! Everything here is loopback and temporary folders only.

pub mod damage;
pub mod sandbox;
#[cfg(feature = "server")]
pub mod server;
