//! Whether a request is within bounds, wherever it came from.

use crate::api_error::ApiError;
use crate::generate_request::{
    MAX_CFG_SCALE, MAX_CONTROLS, MAX_PROMPT_CHARS, MAX_SEED, MAX_SIDE, MAX_STEPS, MIN_CFG_SCALE, MIN_SIDE,
    SIDE_MULTIPLE,
};
use crate::{AssetKind, Generate, GenerateRequest};

/// How a picture of another shape is fitted.
pub(crate) const RESIZE_MODES: [&str; 4] = ["stretch", "crop", "fill", "latent"];
/// What lies under a mask at first.
pub(crate) const FILLS: [&str; 4] = ["fill", "original", "noise", "nothing"];
/// What is made of a ControlNet's picture first.
pub(crate) const PREPROCESSORS: [&str; 2] = ["none", "canny"];
/// Where noise comes from.
pub(crate) const NOISES: [&str; 2] = ["CPU", "NV"];

/// Checks numbers and names; whether pictures exist is seen when they are read.
///
/// # Errors
/// 400 with a code and a message that names the field, the value found and the bounds.
pub(crate) fn check(request: &GenerateRequest, generate: &dyn Generate) -> Result<(), ApiError> {
    for (name, text) in [("prompt", &request.prompt), ("negative_prompt", &request.negative_prompt)] {
        let length = text.chars().count();
        if length > MAX_PROMPT_CHARS {
            let message = format!("`{name}` has {length} characters: at most {MAX_PROMPT_CHARS} are read");
            return Err(ApiError::new(400, "too_long", message));
        }
    }
    for (name, side) in [("width", request.width), ("height", request.height)] {
        within(name, side, MIN_SIDE, MAX_SIDE)?;
        if !side.is_multiple_of(SIDE_MULTIPLE) {
            let lower = side - side % SIDE_MULTIPLE;
            let message = format!("`{name}` is {side}: it must be a multiple of {SIDE_MULTIPLE}");
            return Err(
                ApiError::new(400, "out_of_range", message).hint(format!("{lower} and {} are", lower + SIDE_MULTIPLE))
            );
        }
    }
    within("steps", request.steps, 1, MAX_STEPS)?;
    within("cfg_scale", request.cfg_scale, MIN_CFG_SCALE, MAX_CFG_SCALE)?;
    within("seed", request.seed, 0, MAX_SEED)?;
    within("clip_skip", request.clip_skip.unwrap_or(1), 1, 12)?;
    within("eta", request.eta.unwrap_or(0.0), 0.0, 1.0)?;
    known("noise", request.noise.as_deref(), &NOISES)?;
    if let Some(variation) = &request.variation {
        within("variation.seed", variation.seed, 0, MAX_SEED)?;
        within("variation.strength", variation.strength, 0.0, 1.0)?;
    }
    if let Some(init) = &request.init {
        within("init.strength", init.strength, 0.0, 1.0)?;
        known("init.resize_mode", Some(&init.resize_mode), &RESIZE_MODES)?;
    }
    if let Some(inpaint) = &request.inpaint {
        if request.init.is_none() {
            return Err(ApiError::new(400, "missing_field", "`inpaint` needs `init`: the picture to change"));
        }
        if request.hires.is_some() {
            let message = "`hires` and `inpaint` exclude each other";
            return Err(ApiError::new(400, "out_of_range", message).hint("change the picture first, then enlarge it"));
        }
        within("inpaint.mask_blur", inpaint.mask_blur, 0.0, 64.0)?;
        within("inpaint.only_masked", inpaint.only_masked.unwrap_or(0), 0, 256)?;
        known("inpaint.fill", Some(&inpaint.fill), &FILLS)?;
        let extend = &inpaint.extend;
        for (name, edge) in [
            ("inpaint.extend.left", extend.left),
            ("inpaint.extend.right", extend.right),
            ("inpaint.extend.top", extend.top),
            ("inpaint.extend.bottom", extend.bottom),
        ] {
            within(name, edge, 0, MAX_SIDE)?;
        }
    }
    if let Some(hires) = &request.hires {
        within("hires.scale", hires.scale, 1.0, 8.0)?;
        within("hires.strength", hires.strength, 0.0, 1.0)?;
        within("hires.steps", hires.steps.unwrap_or(0), 0, MAX_STEPS)?;
        within("hires.cfg_scale", hires.cfg_scale.unwrap_or(MIN_CFG_SCALE), MIN_CFG_SCALE, MAX_CFG_SCALE)?;
    }
    if let Some(refiner) = &request.refiner {
        within("refiner.switch_at", refiner.switch_at, 0.0, 1.0)?;
        model(&refiner.model, generate)?;
    }
    if request.controls.len() > MAX_CONTROLS {
        let message = format!("`controls` has {} entries: at most {MAX_CONTROLS} are used", request.controls.len());
        return Err(ApiError::new(400, "out_of_range", message));
    }
    for control in &request.controls {
        known("controls.preprocess", Some(&control.preprocess), &PREPROCESSORS)?;
        within("controls.weight", control.weight, 0.0, 2.0)?;
        within("controls.start", control.start, 0.0, 1.0)?;
        within("controls.end", control.end, 0.0, 1.0)?;
        asset(AssetKind::Controlnet, &control.net, generate)?;
    }
    if let Some(upscaler) = &request.upscale {
        asset(AssetKind::Upscaler, upscaler, generate)?;
    }
    if request.enlarge.is_some() && request.upscale.is_none() {
        return Err(ApiError::new(400, "missing_field", "`enlarge` needs `upscale`: the upscaler to enlarge it with"));
    }
    model(&request.model, generate)
}

fn within<T: PartialOrd + std::fmt::Display>(name: &str, found: T, least: T, most: T) -> Result<(), ApiError> {
    if found >= least && found <= most {
        return Ok(());
    }
    Err(ApiError::new(400, "out_of_range", format!("`{name}` is {found}: it must be from {least} to {most}")))
}

fn known(name: &str, found: Option<&str>, names: &[&str]) -> Result<(), ApiError> {
    match found {
        Some(found) if !names.contains(&found) => {
            let message = format!("`{name}` is `{}`, which is not known here", shown(found));
            Err(ApiError::new(400, "out_of_range", message).hint(format!("known: {}", names.join(", "))))
        }
        _ => Ok(()),
    }
}

fn model(id: &str, generate: &dyn Generate) -> Result<(), ApiError> {
    let models = generate.models();
    if models.iter().any(|card| card.id == id) {
        return Ok(());
    }
    let installed: Vec<&str> = models.iter().map(|card| card.id.as_str()).collect();
    Err(ApiError::new(400, "unknown_model", format!("the model `{}` is not installed here", shown(id)))
        .hint(format!("installed: {}", installed.join(", "))))
}

fn asset(kind: AssetKind, name: &str, generate: &dyn Generate) -> Result<(), ApiError> {
    let assets = generate.assets();
    if assets.iter().any(|asset| asset.kind == kind && asset.name == name) {
        return Ok(());
    }
    let installed: Vec<&str> =
        assets.iter().filter(|asset| asset.kind == kind).map(|asset| asset.name.as_str()).collect();
    let hint = if installed.is_empty() {
        "none is installed: bring one with the next bundle".to_owned()
    } else {
        format!("installed: {}", installed.join(", "))
    };
    Err(ApiError::new(400, "unknown_asset", format!("the {} `{}` is not installed here", kind.noun(), shown(name)))
        .hint(hint))
}

/// A foreign text made short and printable for a message.
pub(crate) fn shown(text: &str) -> String {
    let mut short: String = text.chars().filter(|letter| !letter.is_control()).take(40).collect();
    if text.chars().count() > 40 {
        short.push('…');
    }
    short
}
