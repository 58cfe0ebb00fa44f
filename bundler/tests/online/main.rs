//! Plan, fetch and lock over real TCP on this machine, against servers that misbehave.

#![expect(clippy::print_stderr, reason = "tests tell what they measured and what they skipped")]

mod harness;
mod kill;
mod misbehaviour;
mod nearby;
mod planning;
mod registries;
mod secrets;
mod sources;
mod tls;
