//! Stable Diffusion on the CPU: checkpoint in, picture out.
//!
//! [`Model::open`] maps a single-file `.safetensors` checkpoint in the layout of the original code (or a diffusers
//! folder) and infers every dimension from its tensors; [`Model::generate`] turns [`GenerateSettings`] into a [`Picture`], reporting a [`Step`]
//! after each one. Tokenizers are built in: nothing is read but the checkpoint, nothing is written, no network is
//! known. [`checkpoint::inspect`] tells what a file is without loading it.
//!
//! How data flows: prompt → [`prompt`] → pieces → `tokenizer` → chunks → `text_encoder` → [`Conditioning`]; seed →
//! `random` → noise → `sampling` ↔ `unet` → latent → `vae` → [`Picture`] → PNG with the settings as text ([`Recipe`]).
//! `layers` binds weights to candle operations, `kernels` holds the loops that take the time.
//!
//! The same model, settings and [`machine_class`] give the same bytes, whatever the number of threads.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//!
//! let model = engine::Model::open("spark.safetensors".as_ref())?;
//! let mut settings = engine::GenerateSettings::recommended(model.info());
//! settings.prompt = "a banana".to_owned();
//! let picture = model.generate(&settings, &mut |_step| ControlFlow::Continue(()))?;
//! let files = engine::UsedFiles { model: engine::UsedFile::new("spark", "dc416b77b1"), ..Default::default() };
//! let text = engine::Recipe::new(settings, files).infotext().to_string();
//! let png = picture.to_png(&[("parameters", &text)])?;
//! # Ok::<(), engine::EngineError>(())
//! ```

mod bench;
pub mod checkpoint;
mod conditioning;
mod controlnet;
mod embedding;
mod embeddings;
mod error;
mod file_hashes;
mod generate_settings;
mod guidance;
pub mod image_ops;
mod infotext;
mod kernels;
mod latent;
mod layers;
mod library;
mod lora;
mod machine;
mod model;
mod model_info;
mod model_prompts;
mod noise_settings;
mod open_options;
mod phase;
mod philox;
mod picture;
mod picture_file;
mod pipeline;
mod prediction;
mod preview;
pub mod prompt;
mod prompt_reader;
mod prompt_report;
mod random;
mod random_source;
mod sampler;
pub mod sampling;
mod sampling_settings;
mod scheduler;
mod step;
mod taesd;
mod text_encoder;
mod text_settings;
mod tiles;
mod tokenizer;
mod unet;
mod upscaler;
mod vae;
mod weighting;

pub use bench::{KernelSpeed, ModelSpeed, kernel_speeds, memory_bandwidth};
pub use conditioning::Conditioning;
pub use controlnet::{Control, ControlNet, Controls, canny};
pub use error::EngineError;
pub use file_hashes::FileHashes;
pub use generate_settings::GenerateSettings;
pub use infotext::{Infotext, Recipe, UsedFile, UsedFiles};
pub use kernels::precision::Precision;
pub use kernels::recycling::Recycling;
pub use library::{Library, Shelf};
pub use lora::{AppliedLora, Lora, LoraInfo, LoraReport, TagCount};
pub use machine::{instructions, machine_class};
pub use model::Model;
pub use model_info::ModelInfo;
pub use noise_settings::{NoiseSettings, StepNoise};
pub use open_options::OpenOptions;
pub use phase::Phase;
pub use philox::PhiloxGenerator;
pub use picture::Picture;
pub use picture_file::PictureFile;
pub use pipeline::{HiresSettings, ImageSettings, InpaintFill, InpaintSettings, Inputs, RefinerSettings, UpscalerName};
pub use prediction::Prediction;
pub use prompt_report::{PromptChunk, PromptReport};
pub use random::TorchGenerator;
pub use random_source::RandomSource;
pub use sampler::Sampler;
pub use sampling::StrengthRule;
pub use sampling_settings::SamplingSettings;
pub use scheduler::Scheduler;
pub use step::Step;
pub use taesd::Taesd;
pub use text_settings::{Emphasis, TextSettings};
pub use upscaler::Upscaler;
