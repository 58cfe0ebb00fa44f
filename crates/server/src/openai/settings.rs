//! A form's fields as requests to the engine.

use super::form::Form;
use crate::api_error::ApiError;
use crate::check::shown;
use crate::generate_request::{MAX_SEED, MAX_SIDE, MAX_STEPS, MIN_SIDE, SIDE_MULTIPLE};
use crate::order::random_seed;
use crate::studio::Studio;
use crate::{Extend, GenerateRequest, Init, Inpaint, ModelCard};

/// Most pictures of one call.
const MAX_COUNT: u64 = 10;
/// How names of OpenAI's own models begin: clients that can be given no other name mean the default model.
const THEIR_MODELS: [&str; 4] = ["dall-e", "gpt-image", "chatgpt-image", "gpt-4"];

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Generation,
    Edit,
    Variation,
}

fn bad(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "invalid_value", message)
}

/// Reads the requests, one per picture.
///
/// # Errors
/// 400 for wrong values, 404 for a model that is not installed.
pub(crate) fn read(studio: &Studio, form: &Form, kind: Kind) -> Result<Vec<GenerateRequest>, ApiError> {
    let card = model(studio, form.text("model")?)?;
    if form.text("background")? == Some("transparent") {
        return Err(bad("`background` is transparent: pictures here have none; leave it out"));
    }
    if let Some(format) = form.text("output_format")?.filter(|format| *format != "png") {
        return Err(bad(format!("`output_format` is `{}`: pictures are PNG files here", shown(format))));
    }
    let mut request = GenerateRequest {
        model: card.id.clone(),
        prompt: form.text("prompt")?.unwrap_or_default().to_owned(),
        negative_prompt: form.text("negative_prompt")?.unwrap_or_default().to_owned(),
        steps: form
            .integer(&["steps", "num_inference_steps"], 1, u64::from(MAX_STEPS))?
            .and_then(|steps| u32::try_from(steps).ok())
            .unwrap_or(card.steps),
        cfg_scale: single(form, &["cfg_scale", "guidance_scale"])?.unwrap_or(card.cfg_scale),
        seed: match form.number(&["seed"])?.filter(|seed| *seed >= 0.0) {
            Some(_) => form.integer(&["seed"], 0, MAX_SEED)?.unwrap_or_else(random_seed),
            None => random_seed(),
        },
        sampler: card.sampler.clone(),
        scheduler: card.scheduler.clone(),
        ..GenerateRequest::default()
    };
    if kind != Kind::Variation && request.prompt.is_empty() {
        return Err(ApiError::new(400, "missing_required_parameter", "`prompt` is missing"));
    }
    if let Some(name) = form.text("sampler")? {
        let known = || studio.generate.samplers().join(", ");
        let found = studio.generate.read_sampler(name);
        (request.sampler, request.scheduler) =
            found.ok_or_else(|| bad(format!("`sampler` is `{}`; known: {}", shown(name), known())))?;
    }
    let mut own = (card.width, card.height);
    if kind != Kind::Generation {
        own = start(studio, form, kind, &mut request)?;
    }
    (request.width, request.height) = match form.text("size")?.filter(|size| *size != "auto") {
        Some(size) => sides(size)?,
        None => own,
    };
    let count = form.integer(&["n"], 1, MAX_COUNT)?.unwrap_or(1);
    Ok((0..count)
        .map(|index| GenerateRequest { seed: request.seed.saturating_add(index), ..request.clone() })
        .collect())
}

/// The model with this name; none and OpenAI's own names mean the default one.
///
/// # Errors
/// 404 when it is not installed, 503 when none is.
pub(crate) fn model(studio: &Studio, name: Option<&str>) -> Result<ModelCard, ApiError> {
    let models = studio.generate.models();
    let wished = name.filter(|name| !THEIR_MODELS.iter().any(|theirs| name.starts_with(theirs)));
    let found = match wished {
        Some(name) => models.iter().find(|card| card.id == name),
        None => models.iter().find(|card| card.is_default).or(models.first()),
    };
    found.cloned().ok_or_else(|| match wished {
        Some(name) => {
            let installed: Vec<&str> = models.iter().map(|card| card.id.as_str()).collect();
            let message = format!("`model`: `{}` is not installed here", shown(name));
            ApiError::new(404, "model_not_found", message).hint(format!("installed: {}", installed.join(", ")))
        }
        None => {
            ApiError::new(503, "no_model", "no model is installed here").hint("install a bundle that holds a model")
        }
    })
}

fn single(form: &Form, names: &[&str]) -> Result<Option<f32>, ApiError> {
    #[expect(clippy::cast_possible_truncation, reason = "settings are f32 in the engine; bounds come later")]
    Ok(form.number(names)?.map(|number| number as f32))
}

fn sides(size: &str) -> Result<(u32, u32), ApiError> {
    let pair =
        size.split_once(['x', 'X']).and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    pair.ok_or_else(|| bad(format!("`size` is `{}`: write it as 512x512, or auto", shown(size))))
}

/// The picture to change, its mask, and the size that follows from it.
fn start(studio: &Studio, form: &Form, kind: Kind, request: &mut GenerateRequest) -> Result<(u32, u32), ApiError> {
    let bytes = match form.files("image").as_slice() {
        [one] => *one,
        [] => return Err(ApiError::new(400, "missing_required_parameter", "`image` is missing")),
        _ => return Err(bad("`image`: one picture is changed at a time; send one")),
    };
    let picture = studio.keep(bytes)?;
    let facts = studio.generate.read_picture(bytes).unwrap_or_default();
    if kind == Kind::Variation && request.prompt.is_empty() {
        // A picture of ours knows what it shows.
        let told = facts.settings.as_ref().and_then(|settings| settings.get("prompt")?.as_str());
        request.prompt = told.unwrap_or_default().to_owned();
    }
    let masked = match form.files("mask").first() {
        Some(mask) => Some(studio.keep(mask)?),
        // Without a mask, what is transparent in the picture is drawn anew.
        None => crate::sdapi::alpha_of(bytes).map(|_| picture.clone()),
    };
    let strength = match (kind, &masked) {
        (_, Some(_)) => 1.0,
        (Kind::Variation, None) => 0.6,
        _ => 0.75,
    };
    request.init = Some(Init {
        picture,
        strength: single(form, &["strength"])?.unwrap_or(strength),
        resize_mode: "crop".to_owned(),
    });
    request.inpaint = masked.filter(|_| kind == Kind::Edit).map(|mask| Inpaint {
        mask: Some(mask),
        invert: false,
        mask_blur: 4.0,
        fill: "original".to_owned(),
        only_masked: None,
        extend: Extend::default(),
    });
    let fit = |side: u32| {
        let side = side.clamp(MIN_SIDE, MAX_SIDE);
        side - side % SIDE_MULTIPLE
    };
    Ok((fit(facts.width), fit(facts.height)))
}
