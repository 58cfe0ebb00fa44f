//! ControlNet's extension: `alwayson_scripts.ControlNet.args` and `/controlnet/…`.

use serde_json::{Map, Value, json};

use super::fields::Fields;
use super::image;
use super::refusal::Refusal;
use crate::check::{PREPROCESSORS, shown};
use crate::studio::Studio;
use crate::{Asset, AssetKind, ControlRequest};

/// The ControlNets of one call; units that are switched off are left out.
///
/// # Errors
/// 422 for wrong types, 400 for a preprocessor that is not done here, 404 for a network that is not installed.
pub(crate) fn read(studio: &Studio, fields: &Fields) -> Result<Vec<ControlRequest>, Refusal> {
    let Some(scripts) = fields.object("alwayson_scripts") else { return Ok(Vec::new()) };
    let script = scripts.iter().find(|(name, _)| name.eq_ignore_ascii_case("controlnet"));
    let units = script.and_then(|(_, script)| script.get("args")).and_then(Value::as_array);
    let mut all = Vec::new();
    for unit in units.into_iter().flatten() {
        // Some clients send `false` for a unit that is off.
        if let Value::Object(unit) = unit
            && let Some(control) = one(studio, &Fields(unit.clone()), fields)?
        {
            all.push(control);
        }
    }
    Ok(all)
}

fn one(studio: &Studio, unit: &Fields, whole: &Fields) -> Result<Option<ControlRequest>, Refusal> {
    if !unit.flag("enabled", true)? {
        return Ok(None);
    }
    let Some(name) = unit.text("model")?.filter(|name| !name.eq_ignore_ascii_case("none")) else { return Ok(None) };
    // A unit without a picture follows the one that is changed.
    let own = unit.get("image").or_else(|| unit.get("input_image")).filter(|value| value.as_str() != Some(""));
    let Some(value) = own.or_else(|| whole.list("init_images").first()) else {
        return Err(Refusal::new(400, "missing_field", "`alwayson_scripts.ControlNet.args`: a unit has no `image`"));
    };
    let picture = studio.keep(&image::decode("image", value)?)?;
    let module = unit.text("module")?.unwrap_or("none").to_ascii_lowercase();
    if !PREPROCESSORS.contains(&module.as_str()) {
        let known = PREPROCESSORS.join(", ");
        let message = format!("the preprocessor `{}` is not installed here; known: {known}", shown(&module));
        return Err(Refusal::new(400, "not_done", message));
    }
    Ok(Some(ControlRequest {
        net: find(studio, name)?,
        picture,
        preprocess: module,
        weight: unit.number("weight")?.unwrap_or(1.0),
        start: unit.number("guidance_start")?.unwrap_or(0.0),
        end: unit.number("guidance_end")?.unwrap_or(1.0),
    }))
}

fn nets(studio: &Studio) -> Vec<Asset> {
    studio.generate.assets().into_iter().filter(|asset| asset.kind == AssetKind::Controlnet).collect()
}

/// `name [0123abcd]`, as the extension writes it.
fn title(asset: &Asset) -> String {
    match asset.sha256.as_deref().and_then(|hash| hash.get(..8)) {
        Some(hash) => format!("{} [{hash}]", asset.name),
        None => asset.name.clone(),
    }
}

fn find(studio: &Studio, name: &str) -> Result<String, Refusal> {
    let bare = name.rsplit_once(" [").map_or(name, |(bare, _)| bare);
    let nets = nets(studio);
    let found = nets.iter().find(|net| net.name.eq_ignore_ascii_case(bare) || net.file.eq_ignore_ascii_case(bare));
    found.map(|net| net.name.clone()).ok_or_else(|| {
        let installed: Vec<&str> = nets.iter().map(|net| net.name.as_str()).collect();
        let message = match installed.is_empty() {
            true => format!("the ControlNet `{}` is not installed here, nor any other", shown(name)),
            false => {
                format!("the ControlNet `{}` is not installed here; installed: {}", shown(name), installed.join(", "))
            }
        };
        Refusal::new(404, "unknown_asset", message)
    })
}

/// What `GET /controlnet/NAME` answers; `None` for an unknown name.
pub(crate) fn list(studio: &Studio, name: &str) -> Option<Value> {
    let titles: Vec<String> = nets(studio).iter().map(title).collect();
    Some(match name {
        "version" => json!({"version": 3}),
        "model_list" => json!({ "model_list": titles }),
        "module_list" => json!({
            "module_list": PREPROCESSORS,
            "module_detail": {"none": {"model_free": false, "sliders": []}, "canny": {"model_free": false, "sliders": []}},
        }),
        "control_types" => {
            let of = |word: &str| -> Vec<&String> { titles.iter().filter(|title| title.contains(word)).collect() };
            let mut types = Map::new();
            let all = json!({
                "module_list": PREPROCESSORS, "model_list": titles,
                "default_option": "none", "default_model": titles.first().map_or("None", String::as_str),
            });
            types.insert("All".to_owned(), all);
            let canny = of("canny");
            let default = canny.first().map_or("None", |title| title.as_str());
            types.insert("Canny".to_owned(), json!({
                "module_list": PREPROCESSORS, "model_list": canny, "default_option": "canny", "default_model": default,
            }));
            json!({ "control_types": types })
        }
        "settings" => json!({"control_net_unit_count": crate::generate_request::MAX_CONTROLS}),
        _ => return None,
    })
}
