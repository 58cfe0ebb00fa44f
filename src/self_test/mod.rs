//! The self-test: a picture drawn with the network shut off by the kernel, and compared.
//!
//! ```text
//! parent (run)                                     child (sealed, one thread at first)
//! ─ (the caller has compared the checkpoint with its manifest)
//! ─ listens as a canary on loopback
//! ─ lets an unsealed child knock: must arrive
//! ─ starts the child, sends the Order ───────────▶ seals itself, tries every way out, draws
//! ─ reads the Answer and the PNG ◀──────────────── answers on stdout
//! ─ counts what the canary heard: must be nothing
//! ─ compares the picture, writes the report
//! ```

mod again;
mod child;
mod compare;
mod parent;
mod report;

pub(crate) use again::SealedTest;
pub(crate) use child::{knock, run as run_child};
pub(crate) use compare::{LEAST_PSNR, machine_class, pixels_sha256};
pub(crate) use parent::{Subject, run};
pub(crate) use report::{SelfTestReport, Verdict};

use crate::failure::Outcome;
use crate::models::{self, ModelChoice};
use engine::{GenerateSettings, Sampler, SamplingSettings};
use manifest::SelfTestSpec;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;

/// What is drawn when the bundle says nothing.
pub(crate) const DEFAULT_PROMPT: &str = "a banana";
/// Its seed.
pub(crate) const DEFAULT_SEED: u64 = 7;

/// The settings that a bundle asks for.
///
/// # Errors
/// For a sampler that this version does not know.
pub(crate) fn settings_of(spec: &SelfTestSpec) -> Outcome<GenerateSettings> {
    let (sampler, scheduler) = Sampler::with_scheduler(&spec.sampler)?;
    Ok(GenerateSettings {
        prompt: spec.prompt.clone(),
        width: spec.width,
        height: spec.height,
        steps: spec.steps,
        cfg_scale: spec.cfg_scale,
        seed: spec.seed,
        sampler,
        sampling: SamplingSettings { scheduler, ..SamplingSettings::default() },
        ..GenerateSettings::default()
    })
}

/// The settings for the built-in model.
///
/// # Errors
/// Only if it cannot be loaded.
pub(crate) fn own_settings() -> Outcome<GenerateSettings> {
    let choice = ModelChoice::embedded();
    let starting = models::starting_settings(Some(choice.load()?.info()), &choice.recommended, "");
    Ok(GenerateSettings { prompt: DEFAULT_PROMPT.to_owned(), seed: DEFAULT_SEED, ..starting })
}

/// What the parent asks of the child: one line of JSON on its stdin.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    /// The checkpoint; absent: the embedded one.
    model: Option<PathBuf>,
    /// The VAE to use in place of its own.
    vae: Option<PathBuf>,
    /// What the UNet predicts, for files that do not tell ("v_prediction").
    prediction: Option<String>,
    /// What to draw.
    settings: engine::GenerateSettings,
    /// The precision to draw it in.
    precision: engine::Precision,
    /// Where a knock would be heard.
    canary: SocketAddr,
}

/// What the child answers: one line of JSON on its stdout, then the PNG if there is one.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    seal: seal::SealReport,
    attempts: Vec<seal::Attempt>,
    picture: Result<DrawnPicture, String>,
}

/// The picture that follows the answer.
#[derive(Debug, Serialize, Deserialize)]
struct DrawnPicture {
    /// Length of the PNG in bytes.
    png_length: usize,
    /// Seconds for loading the model.
    load_seconds: f64,
    /// Seconds for drawing.
    draw_seconds: f64,
    /// The class of this machine.
    machine_class: String,
}
