//! `/sdapi/v1/options`: what clients keep there and read back. Four of them count here; any other key is only kept.

use serde_json::{Map, Value, json};

use super::fields::Fields;
use super::models;
use super::refusal::Refusal;
use crate::{Generate, ModelCard};

/// Most options that are kept.
const MAX_OPTIONS: usize = 4096;
/// Most bytes of one option's JSON.
const MAX_OPTION: usize = 64 << 10;

/// Everything that clients read, with what they have set.
///
/// # Errors
/// 503 when no model is installed.
pub(crate) fn all(set: &Map<String, Value>, generate: &dyn Generate) -> Result<Value, Refusal> {
    let card = model(set, generate)?;
    let mut all = json!({
        "samples_save": true, "samples_format": "png", "grid_save": false, "return_grid": false,
        "enable_pnginfo": true, "save_txt": false, "sd_vae": "Automatic", "CLIP_stop_at_last_layers": 1,
        "randn_source": "CPU", "eta_noise_seed_delta": 0, "upscaler_for_img2img": null,
        "show_progressbar": true, "live_previews_enable": true, "live_previews_image_format": "png",
        "show_progress_every_n_steps": 1, "show_progress_type": "Approx NN", "face_restoration": false,
        "face_restoration_model": null, "code_former_weight": 0.5, "img2img_fix_steps": false,
        "img2img_color_correction": false, "initial_noise_multiplier": 1.0, "inpainting_mask_weight": 1.0,
        "sd_hypernetwork": "None", "hide_samplers": [], "quicksettings_list": ["sd_model_checkpoint"],
        "disabled_extensions": [], "samples_filename_pattern": "", "jpeg_quality": 80,
    });
    if let Value::Object(fields) = &mut all {
        fields.extend(set.clone());
        fields.insert("sd_model_checkpoint".to_owned(), models::title(&card).into());
        fields.insert("sd_checkpoint_hash".to_owned(), json!(card.sha256));
    }
    Ok(all)
}

/// Takes over what a client set. Nothing changes when the model is unknown.
///
/// # Errors
/// 404 for a model that is not installed, 422 for wrong types of what counts, 413 for too much.
pub(crate) fn set(kept: &mut Map<String, Value>, new: &Fields, generate: &dyn Generate) -> Result<(), Refusal> {
    if let Some(name) = new.text("sd_model_checkpoint")? {
        models::find(generate, name)?;
    }
    new.integer("CLIP_stop_at_last_layers")?;
    new.text("randn_source")?;
    new.number("eta_ancestral")?;
    let too_much = new.0.values().any(|value| value.to_string().len() > MAX_OPTION);
    let added = new.0.keys().filter(|name| !kept.contains_key(*name)).count();
    if too_much || kept.len() + added > MAX_OPTIONS {
        let message = format!("at most {MAX_OPTIONS} options of {MAX_OPTION} bytes are kept");
        return Err(Refusal::new(413, "too_large", message));
    }
    kept.extend(new.0.clone());
    Ok(())
}

/// The model that these options name.
///
/// # Errors
/// 404 when it is not installed, 503 when none is.
pub(crate) fn model(set: &Map<String, Value>, generate: &dyn Generate) -> Result<ModelCard, Refusal> {
    match set.get("sd_model_checkpoint").and_then(Value::as_str) {
        Some(name) if !name.is_empty() => models::find(generate, name),
        _ => models::default(generate),
    }
}
