//! Helpers for tests: sandboxed homes, a misbehaving HTTP server, damaged files.
