//! AUTOMATIC1111's text as settings.

use super::Settings;
use crate::models::ModelChoice;
use engine::{GenerateSettings, HiresSettings, Infotext, RandomSource, Recipe, Scheduler};
use serde_json::{Value, json};

/// Entries that need no remark: they say the same as others, or nothing that a picture depends on.
const SILENT: [&str; 10] = [
    "Version",
    "Hashes",
    "VAE",
    "VAE hash",
    "Civitai resources",
    "Civitai metadata",
    "User",
    "Template",
    "Negative Template",
    "Model hash",
];

/// What a text says; what it leaves open is not in the result. `None` if it has no entries at all.
pub(super) fn settings(text: &str, choices: &[ModelChoice], remarks: &mut Vec<String>) -> Option<Settings> {
    let text = Infotext::parse(text);
    let Recipe { settings: found, files, other, .. } = Recipe::understand(&text, &GenerateSettings::default());
    if text.entries.is_empty() && text.prompt.is_empty() {
        return None;
    }
    let mut settings = Settings::new();
    let mut put = |name: &str, value: Value| settings.insert(name.to_owned(), value);
    put("prompt", found.prompt.clone().into());
    put("negative_prompt", found.negative_prompt.clone().into());
    let says = |keys: &[&str]| keys.iter().any(|key| text.get(key).is_some());
    if says(&["Size", "Resolution"]) {
        put("width", found.width.into());
        put("height", found.height.into());
    }
    if says(&["Steps"]) {
        put("steps", found.steps.into());
    }
    if says(&["CFG scale"]) {
        put("cfg_scale", number(found.cfg_scale));
    }
    if says(&["Seed"]) {
        put("seed", found.seed.into());
    }
    if says(&["Sampler"]) {
        put("sampler", found.sampler.to_string().into());
        if found.sampling.scheduler != Scheduler::Automatic {
            put("scheduler", found.sampling.scheduler.to_string().into());
        }
    }
    if found.text.clip_skip != 1 {
        put("clip_skip", found.text.clip_skip.into());
    }
    let noise = &found.sampling.noise;
    if noise.source != RandomSource::default() {
        put("noise", noise.source.to_string().into());
    }
    if let Some(eta) = found.sampling.eta {
        put("eta", number(eta));
    }
    if noise.variation_strength > 0.0 {
        put("variation", json!({ "seed": noise.variation_seed, "strength": number(noise.variation_strength) }));
    }
    if let Some(found) = &found.hires {
        put("hires", hires(found));
    }
    if let Some(refiner) = &found.refiner {
        let model = files.refiner.as_ref().and_then(|file| by_hash(choices, &file.hash));
        let model = model.map_or_else(|| refiner.model.clone(), |choice| choice.id.clone());
        put("refiner", json!({ "model": model, "switch_at": number(refiner.switch_at) }));
    }
    let model = by_hash(choices, &files.model.hash).map(|choice| choice.id.clone());
    let model = model.or_else(|| (!files.model.name.is_empty()).then(|| files.model.name.clone()));
    if let Some(model) = model {
        put("model", model.into());
    }
    if let Some((_, upscaler)) = other.iter().find(|(key, _)| key == "Postprocess upscaler") {
        put("upscale", upscaler.as_str().into());
    }
    if found.image.is_some() || found.inpaint.is_some() {
        remarks.push(
            "it was drawn from another picture, which is not in the file: choose that one to draw it again".to_owned(),
        );
    }
    let controls = other.iter().filter(|(key, _)| key.starts_with("ControlNet")).count();
    if controls > 0 {
        remarks.push(format!("it followed {controls} picture(s) by ControlNet, which are not in the file"));
    }
    let strange: Vec<&str> = other
        .iter()
        .map(|(key, _)| key.as_str())
        .filter(|key| !SILENT.contains(key) && !key.starts_with("ControlNet") && !key.starts_with("Postprocess"))
        .take(12)
        .collect();
    if !strange.is_empty() {
        remarks.push(format!("not understood: {}", strange.join(", ")));
    }
    Some(settings)
}

fn hires(found: &HiresSettings) -> Value {
    let mut hires = Settings::new();
    let mut put = |name: &str, value: Value| hires.insert(name.to_owned(), value);
    put("upscaler", found.upscaler.to_string().into());
    put("strength", number(found.strength));
    match found.size {
        Some((width, height)) => put("size", json!([width, height])),
        None => put("scale", number(found.scale)),
    };
    if let Some(steps) = found.steps.filter(|steps| *steps > 0) {
        put("steps", steps.into());
    }
    if let Some(scale) = found.cfg_scale {
        put("cfg_scale", number(scale));
    }
    if let Some(sampler) = found.sampler {
        put("sampler", sampler.to_string().into());
    }
    if let Some(sampling) = &found.sampling {
        put("scheduler", sampling.scheduler.to_string().into());
    }
    for (name, text) in [("prompt", &found.prompt), ("negative_prompt", &found.negative_prompt)] {
        if !text.is_empty() {
            put(name, text.as_str().into());
        }
    }
    Value::Object(hires)
}

/// The model whose file has that digest.
pub(super) fn by_hash<'a>(choices: &'a [ModelChoice], hash: &str) -> Option<&'a ModelChoice> {
    let file = engine::UsedFile::new("", hash);
    choices.iter().find(|choice| choice.sha256.is_some_and(|sha256| file.has_sha256(&sha256.to_string())))
}

/// The number that a person wrote: 0.7, not the 0.699999988 of its 32 bits.
fn number(value: f32) -> Value {
    serde_json::from_str(&value.to_string()).unwrap_or(Value::Null)
}
