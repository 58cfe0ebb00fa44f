//! Cuts a process off from the network by the kernel, and proves it.
