//! The engine against diffusers, transformers and torch: the numbers in `tests/golden/` are made by
//! `scripts/reference/make_goldens.py`.

mod control;
mod families;
mod folders;
mod hostile;
mod lora;
mod networks;
mod noise;
mod pictures;
mod pipelines;
mod precision;
mod procedural;
mod prompt_states;
mod prompts;
mod random;
mod samplers;
mod spark;
mod support;
mod tiny;
mod vae;
