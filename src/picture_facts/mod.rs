//! What a picture file says about how it was made, as the settings of a request that makes it again.
//!
//! Our own chunk says it exactly; else AUTOMATIC1111's text is read, or InvokeAI's metadata as if they were such a text,
//! else a graph of ComfyUI's core nodes.

mod comfy_graph;
mod infotext;
mod installed;
pub(crate) mod invoke;

use crate::models::ModelChoice;
use engine::{EngineError, PictureFile, Recipe};
use serde_json::{Map, Value};
use server::PictureFacts;

/// Settings under the names of a request.
pub(crate) type Settings = Map<String, Value>;

/// The model here that a picture was drawn with: by its hash, else by its name.
pub(crate) fn model_of<'a>(recipe: &Recipe, choices: &'a [ModelChoice]) -> Option<&'a ModelChoice> {
    let model = &recipe.files.model;
    infotext::by_hash(choices, &model.hash).or_else(|| installed::find(choices, &model.name))
}

/// Reads PNG, JPEG and WebP. Without `choices` nothing is said about what is installed.
///
/// # Errors
/// When it is none of these, or damaged.
pub(crate) fn read(bytes: &[u8], choices: &[ModelChoice]) -> Result<PictureFacts, EngineError> {
    let file = PictureFile::read(bytes)?;
    let mut remarks = Vec::new();
    let own = file.text("fieldforge").and_then(|text| match serde_json::from_str(text) {
        Ok(Value::Object(settings)) => Some(settings),
        _ => None,
    });
    let of_invoke = || Some(invoke::infotext(file.text(invoke::KEYWORD)?)?.to_string());
    let text = file.infotext().map(str::to_owned).or_else(of_invoke);
    let mut settings = match (own, &text, file.text("prompt")) {
        (Some(settings), ..) => Some(settings),
        (None, Some(text), _) => infotext::settings(text, choices, &mut remarks),
        (None, None, Some(graph)) => comfy_graph::settings(graph, &mut remarks),
        (None, None, None) => None,
    };
    if let Some(settings) = settings.as_mut().filter(|_| !choices.is_empty()) {
        installed::keep(settings, choices, &mut remarks);
    }
    let (width, height) = (file.picture.width, file.picture.height);
    let settings = settings.map(Value::Object);
    Ok(PictureFacts { width, height, settings, infotext: text, remarks })
}
