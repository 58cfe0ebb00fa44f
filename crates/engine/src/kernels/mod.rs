//! The CPU hot loops: plain functions over `f32` slices, with rayon inside.
//!
//! Every result is the same for every number of threads and on every run: work is split only over independent
//! outputs, and sums run in one fixed order. Loops are compiled for several instruction sets, one of which is chosen
//! when the program runs (`instruction_set`). A sum is one chain of fused multiply-adds from its first summand to its last
//! whatever the width of the registers, and elementwise loops use no fused ones, so that all processors that can fuse
//! give the same bits (see [`crate::machine_class`]).
//!
//! Where bf16 is asked for ([`precision`]), large products and attention round their factors to it (`bf16`); 3x3 convolutions
//! stay in f32, in which minimal filtering is faster than bf16 without it and far more exact than bf16 with it.
//!
//! Pictures are channels-last here (`[batch, height, width, channels]`): a 1x1 convolution is then a matrix product
//! as it stands, and a window of a 3x3 convolution is nine whole pixels. Weights stay in the precision and the order
//! of their file; each task widens the few columns that it multiplies by.

pub(crate) mod activation;
pub(crate) mod attention;
mod bf16;
pub(crate) mod convolution;
mod instruction_set;
pub(crate) mod math;
pub(crate) mod normalization;
pub(crate) mod precision;
pub(crate) mod product;
pub(crate) mod recycling;
mod scratch;
mod shared;
mod tile;
pub(crate) mod weight;
mod winograd;

pub(crate) use instruction_set::{description, dispatch, fuses, has_bf16};

#[cfg(test)]
mod tests {
    /// Runs the tests of all kernels once more with each instruction set, in a process of its own because the choice
    /// is made once per process.
    #[test]
    fn every_instruction_set_passes_every_test() {
        const VARIABLE: &str = "FIELDFORGE_KERNELS";
        if std::env::var_os(VARIABLE).is_some() {
            return; // this is such a process
        }
        let tests = std::env::current_exe().expect("this program");
        for set in ["portable", "avx2", "avx512", "best"] {
            let mut run = std::process::Command::new(&tests);
            let output = run.arg("kernels::").env(VARIABLE, set).output().expect("the tests again");
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "with {set}:\n{said}");
            assert!(said.contains("products_equal_their_definition ... ok"), "with {set}:\n{said}");
        }
    }
}
