//! The system call filter as a value: rules with names, turned into instructions that can be
//! printed, hashed and simulated on any system.

mod assembler;
mod machine;
mod numbers;
mod policy;
#[cfg(test)]
mod simulator;

pub use machine::Machine;
pub use policy::{Policy, Program};
