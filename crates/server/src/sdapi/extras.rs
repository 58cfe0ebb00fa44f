//! Enlarging finished pictures, and reading what stands in them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::draw::{read, run};
use super::fields::Fields;
use super::refusal::Refusal;
use super::tasks::Tasks;
use super::{image, infotext, options};
use crate::check::shown;
use crate::http::{Call, Reply};
use crate::studio::Studio;
use crate::{AssetKind, GenerateRequest};

/// Most pictures of one call.
const MAX_PICTURES: usize = 100;

/// `extra-single-image` and `extra-batch-images`: an upscaling network enlarges by its own factor.
///
/// # Errors
/// 400 for what is no picture, 404 for an upscaler that is not installed.
pub(crate) fn enlarge(studio: &Studio, tasks: &Tasks, call: &mut Call<'_>, many: bool) -> Result<Reply, Refusal> {
    let fields = Fields::read(call)?;
    let sent = if many { fields.list("imageList") } else { fields.list("image") };
    if sent.is_empty() || sent.len() > MAX_PICTURES {
        let message = format!("from 1 to {MAX_PICTURES} pictures are enlarged at once; {} came", sent.len());
        return Err(Refusal::new(400, "no_picture", message));
    }
    for name in ["gfpgan_visibility", "codeformer_visibility", "extras_upscaler_2_visibility"] {
        if fields.number(name)?.unwrap_or(0.0) > 0.0 {
            return Err(Refusal::new(400, "not_done", format!("`{name}` is not done here: send 0")));
        }
    }
    let files = sent.iter().map(|value| image::decode("image", value)).collect::<Result<Vec<_>, _>>()?;
    let upscaler = fields.text("upscaler_1")?.unwrap_or("None");
    let images = if upscaler == "None" {
        for file in &files {
            studio.keep(file)?;
        }
        files
    } else {
        let assets = studio.generate.assets();
        let known: Vec<_> = assets.iter().filter(|asset| asset.kind == AssetKind::Upscaler).collect();
        let Some(found) = known.iter().find(|asset| asset.name.eq_ignore_ascii_case(upscaler)) else {
            let names: Vec<&str> = known.iter().map(|asset| asset.name.as_str()).collect();
            let message = match names.is_empty() {
                true => format!("the upscaler `{}` is not installed here, nor any other", shown(upscaler)),
                false => {
                    format!("the upscaler `{}` is not installed here; installed: {}", shown(upscaler), names.join(", "))
                }
            };
            return Err(Refusal::new(404, "unknown_asset", message));
        };
        let card = options::model(&tasks.options(), &*studio.generate)?;
        let mut requests = Vec::new();
        for file in &files {
            requests.push(GenerateRequest {
                model: card.id.clone(),
                sampler: card.sampler.clone(),
                upscale: Some(found.name.clone()),
                enlarge: Some(studio.keep(file)?),
                ..GenerateRequest::default()
            });
        }
        let jobs = run(studio, tasks, requests, None, call.gone)?;
        let made = jobs.iter().filter_map(|job| job.picture.as_deref());
        made.map(|id| read(studio, id)).collect::<Result<Vec<_>, _>>()?
    };
    let html =
        format!("<p>Upscaler: {}</p>", if upscaler == "None" { "None" } else { "as installed, by its own factor" });
    let coded: Vec<String> = images.iter().map(|png| STANDARD.encode(png)).collect();
    Ok(match (many, coded.first()) {
        (true, _) => Reply::json(200, &json!({"html_info": html, "images": coded})),
        (false, Some(image)) => Reply::json(200, &json!({"html_info": html, "image": image})),
        (false, None) => {
            return Err(Refusal::new(409, "interrupted", "the picture was interrupted before it was done"));
        }
    })
}

/// `png-info`: what a picture says about itself.
///
/// # Errors
/// 400 for what is no picture.
pub(crate) fn png_info(studio: &Studio, call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let fields = Fields::read(call)?;
    let value =
        fields.get("image").ok_or_else(|| Refusal::field(&["image"], "missing", "Field required", &Value::Null))?;
    let bytes = image::decode("image", value)?;
    let facts = studio
        .generate
        .read_picture(&bytes)
        .map_err(|error| Refusal::new(400, "no_picture", format!("Invalid encoded image: {error}")))?;
    let info = facts.infotext.unwrap_or_default();
    let parameters = if info.is_empty() { serde_json::Map::new() } else { infotext::parameters(&info) };
    let items = if info.is_empty() { json!({}) } else { json!({ "parameters": info }) };
    Ok(Reply::json(200, &json!({"info": info, "items": items, "parameters": parameters})))
}
