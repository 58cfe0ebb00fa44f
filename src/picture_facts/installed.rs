//! What of the settings of a foreign picture is here.

use super::Settings;
use crate::models::ModelChoice;
use engine::UpscalerName;
use engine::prompt::take_networks;
use serde_json::Value;

/// Puts in the names that things have here, takes out what is not installed, and says so.
pub(super) fn keep(settings: &mut Settings, choices: &[ModelChoice], remarks: &mut Vec<String>) {
    let mut missing = |what: &str, name: &str| remarks.push(format!("the {what} `{name}` is not installed here"));
    if let Some(name) = text(settings, "model") {
        match find(choices, &name) {
            Some(choice) => _ = settings.insert("model".to_owned(), choice.id.clone().into()),
            None => {
                settings.remove("model");
                missing("model", &name);
            }
        }
    }
    if let Some(name) = settings.get("refiner").and_then(|refiner| refiner.get("model")?.as_str()).map(str::to_owned) {
        match (find(choices, &name), settings.get_mut("refiner").and_then(|refiner| refiner.get_mut("model"))) {
            (Some(choice), Some(model)) => *model = choice.id.clone().into(),
            _ => {
                settings.remove("refiner");
                missing("refiner", &name);
            }
        }
    }
    let Some(library) = choices.first().map(|choice| &choice.library) else { return };
    for prompt in [text(settings, "prompt"), text(settings, "negative_prompt")].into_iter().flatten() {
        for tag in take_networks(&prompt).networks.iter().filter(|tag| !library.has_lora(&tag.name)) {
            missing("LoRA", &tag.name);
        }
    }
    if let Some(name) = text(settings, "upscale").filter(|name| library.installed_upscaler(name).is_err()) {
        settings.remove("upscale");
        missing("upscaler", &name);
    }
    if let Some(Value::Object(hires)) = settings.get_mut("hires")
        && let Some(UpscalerName::Model(name)) = text(hires, "upscaler").map(|name| UpscalerName::from(name.as_str()))
        && library.installed_upscaler(&name).is_err()
    {
        hires.insert("upscaler".to_owned(), "Lanczos".into());
        missing("upscaler", &name);
    }
    if let Some(Value::Array(controls)) = settings.get_mut("controls") {
        controls.retain(|control| match control.get("net").and_then(Value::as_str) {
            Some(name) if library.installed_controlnet(name).is_err() => {
                missing("ControlNet", name);
                false
            }
            _ => true,
        });
    }
}

/// By its name here, the name that people know it by, or its file's.
pub(super) fn find<'a>(choices: &'a [ModelChoice], name: &str) -> Option<&'a ModelChoice> {
    let stem = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let stem = stem.strip_suffix(".safetensors").unwrap_or(stem);
    let file = |choice: &ModelChoice| {
        choice.path.as_deref().and_then(|path| path.file_stem()).is_some_and(|file| file.to_string_lossy() == stem)
    };
    let same = |choice: &&ModelChoice| choice.id == name || choice.title == name || file(choice);
    choices.iter().find(same)
}

fn text(settings: &Settings, name: &str) -> Option<String> {
    settings.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}
