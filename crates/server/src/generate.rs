//! What the server asks of an engine, and what it gets.

use std::ops::ControlFlow;

use serde::Serialize;
use serde_json::Value;

use crate::{AddError, AddReason, Asset, AssetKind, GenerateRequest, NewModel, Style, Verdict};

/// Something that draws pictures. The server calls [`Generate::generate`] from one thread only,
/// one picture after the other; the other methods may be called at any time and answer at once.
pub trait Generate: Send + Sync + 'static {
    /// The models that can be asked for, the default one marked.
    fn models(&self) -> Vec<ModelCard>;

    /// The samplers' names, as people know them ("Euler a"); the first is the fallback.
    fn samplers(&self) -> Vec<String>;

    /// The names of the ways to spread noise levels ("Karras"); the first leaves the choice to the sampler.
    fn schedulers(&self) -> Vec<String>;

    /// The sampler that a person calls `name`, as [`Generate::samplers`] spells it, and the scheduler if the name holds
    /// one ("DPM++ 2M Karras").
    fn read_sampler(&self, name: &str) -> Option<(String, Option<String>)> {
        let known = self.samplers().into_iter().find(|known| known.eq_ignore_ascii_case(name))?;
        Some((known, None))
    }

    /// The scheduler that a person calls `name`, as [`Generate::schedulers`] spells it.
    fn read_scheduler(&self, name: &str) -> Option<String> {
        self.schedulers().into_iter().find(|known| known.eq_ignore_ascii_case(name))
    }

    /// The installed files that requests can name besides checkpoints: LoRAs, embeddings, upscalers, ControlNets, …
    fn assets(&self) -> Vec<Asset> {
        Vec::new()
    }

    /// The installed styles.
    fn styles(&self) -> Vec<Style> {
        Vec::new()
    }

    /// The picture that lies beside an installed file: a PNG, JPEG or WebP file.
    fn preview(&self, kind: AssetKind, name: &str) -> Option<Vec<u8>> {
        let _ = (kind, name);
        None
    }

    /// Whether [`Generate::preview`] has one; asked for every file of a list, so it should not read them.
    fn has_preview(&self, kind: AssetKind, name: &str) -> bool {
        self.preview(kind, name).is_some()
    }

    /// Reads an installed file whole and compares it with what was installed. This takes as long as the disk takes, so
    /// it is called from a thread of its own; `progress` is told how many bytes of how many are read, and may break.
    ///
    /// # Errors
    /// [`GenerateError::Cancelled`] after a break, [`GenerateError::Failed`] when there is no such file or it cannot be
    /// read.
    fn check_file(
        &self,
        kind: AssetKind,
        name: &str,
        progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<Verdict, GenerateError> {
        let (_, _) = (kind, progress);
        Err(GenerateError::Failed { message: format!("there is no file `{name}`"), hint: None })
    }

    /// Adds a model file: written beside, looked into, synced, renamed; it can be used at once. Called from the thread
    /// of the connection that sends it.
    ///
    /// # Errors
    /// [`AddError`]; nothing is left of the file then.
    fn add_model(&self, model: NewModel<'_>) -> Result<Asset, AddError> {
        let _ = model;
        Err(AddError {
            reason: AddReason::Unfit,
            message: "this engine takes no further models".to_owned(),
            hint: "bring it with the next bundle".to_owned(),
        })
    }

    /// What the self-test draws, so that it can be drawn again behind the server's seal.
    ///
    /// # Errors
    /// [`GenerateError::Failed`] when there is nothing to test with.
    fn self_test(&self) -> Result<GenerateRequest, GenerateError> {
        Err(GenerateError::Failed { message: "this engine has no self-test".to_owned(), hint: None })
    }

    /// The report on a picture that was drawn from [`Generate::self_test`]: in the shape of the last one, which it
    /// takes the place of.
    ///
    /// # Errors
    /// [`GenerateError::Failed`] when the picture, or the one to compare it with, cannot be read.
    fn judge_self_test(&self, png: &[u8]) -> Result<Value, GenerateError> {
        let _ = png;
        Err(GenerateError::Failed { message: "this engine has no self-test".to_owned(), hint: None })
    }

    /// What a picture file says about how it was made, as the settings of a request that makes it again.
    ///
    /// # Errors
    /// [`GenerateError::Failed`] when it is no picture.
    fn read_picture(&self, bytes: &[u8]) -> Result<PictureFacts, GenerateError> {
        let _ = bytes;
        Err(GenerateError::Failed { message: "this engine reads no pictures".to_owned(), hint: None })
    }

    /// Facts about the machine and the engine for people, as JSON: memory, processor, kernels, precision.
    fn system(&self) -> Value {
        Value::Null
    }

    /// Draws one picture, or enlarges one ([`GenerateRequest::enlarge`]).
    ///
    /// `progress` is called after every step; [`ControlFlow::Break`] means that nobody wants the
    /// picture any more and the engine answers [`GenerateError::Cancelled`]. A preview costs time,
    /// so it is made only when `request.previews.wanted()` says so at that step.
    ///
    /// # Errors
    /// [`GenerateError::Cancelled`] after a break, otherwise [`GenerateError::Failed`] with a
    /// message for a person.
    fn generate(
        &self,
        request: &GenerateRequest,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Generated, GenerateError>;
}

/// A model as the page shows it, with the settings its makers recommend.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ModelCard {
    /// Short name used in requests, such as `spark`.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Architecture, such as `sd1` or `sdxl`.
    pub family: String,
    /// Licence identifier or name.
    pub licence: String,
    /// Recommended width in pixels.
    pub width: u32,
    /// Recommended height in pixels.
    pub height: u32,
    /// Recommended number of steps.
    pub steps: u32,
    /// Recommended guidance scale.
    pub cfg_scale: f32,
    /// Recommended sampler.
    pub sampler: String,
    /// Recommended scheduler; absent: the sampler's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<String>,
    /// One sentence on what the model is good for.
    pub note: String,
    /// Whether it is used when a request names no model.
    pub is_default: bool,
    /// The file's name; empty for a built-in model.
    pub file: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the file in hex, as it was installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Words that call up what it has learned.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trigger_words: Vec<String>,
}

/// What a picture file says about how it was made.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PictureFacts {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// The settings that were understood, under the names of a request; absent when the file tells nothing.
    pub settings: Option<Value>,
    /// A1111's text, as it stands in the file.
    pub infotext: Option<String>,
    /// What was not understood or is not installed here, one sentence each.
    pub remarks: Vec<String>,
}

/// How far a picture is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Steps done, from 1.
    pub step: u32,
    /// Steps in all.
    pub steps: u32,
    /// A small PNG of the picture so far, if one was wanted.
    pub preview_png: Option<Vec<u8>>,
}

/// A finished picture.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Generated {
    /// A whole PNG file that already holds the text chunks `parameters` (A1111 infotext) and
    /// `fieldforge` (the JSON of [`GenerateRequest::to_json`], further fields allowed).
    pub png: Vec<u8>,
    /// What is perhaps not what the person meant, one sentence each.
    pub remarks: Vec<String>,
}

/// Why there is no picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenerateError {
    /// The progress callback said stop.
    #[error("the generation was stopped")]
    Cancelled,
    /// The engine could not do it.
    #[error("{message}")]
    Failed {
        /// What happened, to which file, why.
        message: String,
        /// What to do now.
        hint: Option<String>,
    },
}

impl GenerateError {
    /// What to do now.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Cancelled => None,
            Self::Failed { hint, .. } => hint.clone(),
        }
    }
}
