//! Helpers for tests: sandboxed homes, a misbehaving HTTP server, damaged files.

pub mod damage;
pub mod sandbox;
#[cfg(feature = "server")]
pub mod server;
