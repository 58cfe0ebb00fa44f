//! Everything that is tested through the real program, and the invariants of the source tree.
//!
//! - `tidy`: the rules of ARCHITECTURE.md, each a test
//! - `help`: what `--help` prints, word for word
//! - `journey`: bundle → carry → install → self-test → generate → serve, as a user types it
//! - `import`: folders of other programs become part of a home
//! - `library`: LoRAs and embeddings, carried, listed and called by name
//! - `faults`: killed, refused and damaged at every point, and what is left afterwards
//! - `bad_input`: every refusal: its words, its exit status, and that nothing half-written stays
//! - `papers`: bill of materials and licence texts
//! - `pictures`: pictures from pictures, drawn with the built-in model
//! - `sticks`: a bundle that fills several sticks, asked for on a terminal
//! - `served`: everything that the engine can do, asked of the server
//! - `sealed`: what the kernel saw of a sealed run
//! - `events`: what `--json` prints, number for number
//! - `stop`: Ctrl-C at various moments, and how it goes on

mod bad_input;
mod events;
mod faults;
mod help;
mod import;
mod journey;
mod library;
mod papers;
mod pictures;
mod run;
mod sealed;
mod served;
mod sticks;
mod stop;
mod tidy;
