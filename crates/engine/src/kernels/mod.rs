//! The CPU hot loops: plain functions over `f32` slices, with rayon inside.
//!
//! Every result is the same for every number of threads and on every run: work is split only over independent
//! outputs, in pieces whose size depends on the shapes alone, and sums run in one fixed order. Elementwise loops are
//! compiled for several instruction sets (`pulp`) but use no fused multiply-add, so their bits do not depend on the
//! CPU; the matrix product does use it (see [`crate::machine_class`]).
//!
//! Pictures are channels-last here (`[batch, height, width, channels]`): a 1x1 convolution is then a matrix product
//! as it stands, and a 3x3 convolution copies whole pixels.

pub(crate) mod activation;
pub(crate) mod attention;
pub(crate) mod convolution;
pub(crate) mod math;
pub(crate) mod matrix;
pub(crate) mod normalization;
