//! Stable Diffusion on the CPU: checkpoint in, picture out.
