//! Installed model files: lists, previews, checks, additions.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::{Api, content_type, json_body, parse, shown};
use crate::api_error::ApiError;
use crate::http::{Body, Call, Reply};
use crate::lan::only_here;
use crate::route::Ask;
use crate::{AddError, AddReason, Asset, AssetKind, ModelCard, ModelSource, NewModel, Style};

#[derive(Serialize)]
struct Lists {
    models: Vec<Listed<ModelCard>>,
    assets: Vec<Listed<Asset>>,
    styles: Vec<Style>,
}

/// A file in a list.
#[derive(Serialize)]
struct Listed<T> {
    #[serde(flatten)]
    file: T,
    /// Whether its `…/preview` answers with a picture.
    has_preview: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FromPath {
    path: PathBuf,
    #[serde(default)]
    kind: Option<AssetKind>,
}

pub(crate) fn list(api: &Api, _: &Ask<'_>, _: &mut Call<'_>) -> Result<Reply, ApiError> {
    let generate = &api.studio.generate;
    let model = |card: ModelCard| {
        let has_preview = generate.has_preview(AssetKind::Checkpoint, &card.id);
        Listed { file: card, has_preview }
    };
    let asset = |asset: Asset| {
        let has_preview = generate.has_preview(asset.kind, &asset.name);
        Listed { file: asset, has_preview }
    };
    let lists = Lists {
        models: generate.models().into_iter().map(model).collect(),
        assets: generate.assets().into_iter().map(asset).collect(),
        styles: generate.styles(),
    };
    Ok(Reply::json(200, &lists))
}

/// Adds a file that is sent, or one that lies on this machine.
pub(crate) fn add(api: &Api, ask: &Ask<'_>, call: &mut Call<'_>) -> Result<Reply, ApiError> {
    only_here(call, "adding a model file")?;
    let added = if content_type(call).eq_ignore_ascii_case("application/json") {
        let FromPath { path, kind } = parse(&json_body(call, 64 << 10)?)?;
        api.studio.generate.add_model(NewModel { kind, from: ModelSource::File(&path) })
    } else {
        let kind = ask.target.query("kind").filter(|word| !word.is_empty()).map(kind).transpose()?;
        let name = ask.target.query("name").filter(|name| !name.is_empty()).ok_or_else(|| {
            ApiError::new(400, "missing_field", "`name` is missing: the name of the file that is sent")
                .hint("for example POST /api/v1/models?kind=lora&name=ink.safetensors")
        })?;
        if call.length == 0 {
            return Err(ApiError::new(400, "missing_body", format!("`{}` is empty: nothing was sent", shown(name)))
                .hint("send the file as the body, with its length"));
        }
        api.studio.generate.add_model(NewModel { kind, from: ModelSource::Sent { name, body: &mut *call.body } })
    };
    let asset = added.map_err(|AddError { reason, message, hint }| {
        let (status, code) = match reason {
            AddReason::Exists => (409, "already_there"),
            AddReason::Unfit => (400, "no_model"),
            AddReason::Unreadable => (404, "unreadable"),
            AddReason::NotKept => (507, "not_saved"),
        };
        ApiError::new(status, code, message).hint(hint)
    })?;
    Ok(Reply::json(201, &asset))
}

pub(crate) fn preview(api: &Api, ask: &Ask<'_>, _: &mut Call<'_>) -> Result<Reply, ApiError> {
    let kind = kind(ask.name())?;
    let bytes = api.studio.generate.preview(kind, ask.second()).ok_or_else(|| {
        let message = format!("no picture lies beside the {} `{}`", kind.noun(), shown(ask.second()));
        ApiError::new(404, "no_preview", message)
    })?;
    let media = match bytes.as_slice() {
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [0xff, 0xd8, ..] => "image/jpeg",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        _ => "application/octet-stream",
    };
    Ok(Reply::new(200, media, Body::Bytes(bytes)).header("Cache-Control", "private, max-age=600"))
}

pub(crate) fn check(api: &Api, ask: &Ask<'_>, _: &mut Call<'_>) -> Result<Reply, ApiError> {
    let (kind, name) = (kind(ask.name())?, ask.second());
    let generate = &api.studio.generate;
    let known = match kind {
        AssetKind::Checkpoint => generate.models().iter().any(|card| card.id == name),
        _ => false,
    };
    if !known && !generate.assets().iter().any(|asset| asset.kind == kind && asset.name == name) {
        let message = format!("the {} `{}` is not installed here", kind.noun(), shown(name));
        return Err(ApiError::new(404, "unknown_asset", message));
    }
    let task = api.studio.tasks.check(kind, name, std::sync::Arc::clone(generate))?;
    Ok(Reply::json(202, &json!({ "task": task.id })))
}

pub(crate) fn task(api: &Api, ask: &Ask<'_>, _: &mut Call<'_>) -> Result<Reply, ApiError> {
    let task = api
        .studio
        .tasks
        .find(ask.name())
        .ok_or_else(|| ApiError::new(404, "unknown_task", format!("there is no task `{}`", shown(ask.name()))))?;
    Ok(Reply::json(200, &task))
}

fn kind(word: &str) -> Result<AssetKind, ApiError> {
    serde_json::from_value(Value::from(word)).map_err(|_| {
        ApiError::new(400, "out_of_range", format!("`{}` is no kind of model file", shown(word)))
            .hint("known: checkpoint, lora, embedding, vae, upscaler, controlnet, other")
    })
}
