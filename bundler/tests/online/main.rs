//! Plan, fetch and lock over real TCP on this machine, against servers that misbehave.

mod harness;
mod kill;
mod misbehaviour;
mod nearby;
mod planning;
mod registries;
mod secrets;
mod sources;
mod tls;
