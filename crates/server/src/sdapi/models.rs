//! The names under which A1111's clients know models.

use serde_json::{Value, json};

use super::refusal::Refusal;
use crate::check::shown;
use crate::{Generate, ModelCard};

/// `file.safetensors [0123456789]`, as A1111 writes it.
pub(crate) fn title(card: &ModelCard) -> String {
    let file = if card.file.is_empty() { &card.id } else { &card.file };
    match short_hash(card.sha256.as_deref()) {
        Some(hash) => format!("{file} [{hash}]"),
        None => file.clone(),
    }
}

/// The first ten digits of a digest.
pub(crate) fn short_hash(sha256: Option<&str>) -> Option<&str> {
    sha256.and_then(|sha256| sha256.get(..10))
}

/// An entry of `sd-models`.
pub(crate) fn entry(card: &ModelCard) -> Value {
    json!({
        "title": title(card),
        "model_name": card.id,
        "hash": short_hash(card.sha256.as_deref()),
        "sha256": card.sha256,
        "filename": if card.file.is_empty() { &card.id } else { &card.file },
        "config": null,
    })
}

/// The model that is meant by a title, a name, a file's name or a hash.
///
/// # Errors
/// 404 when none is.
pub(crate) fn find(generate: &dyn Generate, name: &str) -> Result<ModelCard, Refusal> {
    let models = generate.models();
    let bare = name.rsplit_once(" [").map_or(name, |(bare, _)| bare);
    let bare = bare.rsplit(['/', '\\']).next().unwrap_or(bare);
    let stem = bare.strip_suffix(".safetensors").or_else(|| bare.strip_suffix(".ckpt")).unwrap_or(bare);
    let is = |card: &&ModelCard| {
        let names = [card.id.as_str(), &card.name, &card.file, &title(card)];
        let by_name = names
            .iter()
            .any(|known| !known.is_empty() && [name, bare, stem].iter().any(|asked| known.eq_ignore_ascii_case(asked)));
        let by_hash = name.len() >= 8 && card.sha256.as_ref().is_some_and(|hash| hash.starts_with(name));
        by_name || by_hash || card.file.strip_suffix(".safetensors").is_some_and(|file| file == stem)
    };
    if let Some(card) = models.iter().find(is) {
        return Ok(card.clone());
    }
    let installed: Vec<&str> = models.iter().map(|card| card.id.as_str()).collect();
    let message = format!("the model `{}` is not installed here; installed: {}", shown(name), installed.join(", "));
    Err(Refusal::new(404, "unknown_model", message))
}

/// The model that is used when nothing is said.
///
/// # Errors
/// 503 when none is installed.
pub(crate) fn default(generate: &dyn Generate) -> Result<ModelCard, Refusal> {
    let models = generate.models();
    models
        .iter()
        .find(|card| card.is_default)
        .or(models.first())
        .cloned()
        .ok_or_else(|| Refusal::new(503, "no_model", "no model is installed here; install a bundle that holds a model"))
}
