//! Pictures in and out.

use serde_json::{Value, json};

use super::pictures::Named;
use super::userdata::is_name;
use super::{Comfy, file, wrong_method};
use crate::api::MAX_UPLOAD;
use crate::api_error::ApiError;
use crate::check::shown;
use crate::http::{Call, Reply};
use crate::studio::Studio;
use crate::target::Target;
use crate::{PictureRef, multipart};

pub(crate) fn answer(
    comfy: &Comfy,
    studio: &Studio,
    parts: &[&str],
    target: &Target,
    call: &mut Call<'_>,
) -> Result<Reply, ApiError> {
    match (parts, call.method.as_str()) {
        (["view"], "GET" | "HEAD") => view(comfy, studio, target),
        (["view_metadata", ..], "GET" | "HEAD") => {
            Err(ApiError::new(404, "not_found", "files of models are not read for this"))
        }
        (["upload", kind @ ("image" | "mask")], "POST") => {
            let is_mask = *kind == "mask";
            upload(comfy, studio, is_mask, call)
        }
        (["view" | "view_metadata", ..], _) => Err(wrong_method(call, "GET, HEAD")),
        (["upload", "image" | "mask"], _) => Err(wrong_method(call, "POST")),
        _ => Err(ApiError::not_found(&parts.join("/"))),
    }
}

fn view(comfy: &Comfy, studio: &Studio, target: &Target) -> Result<Reply, ApiError> {
    let name = target.query("filename").unwrap_or_default();
    let kind = match target.query("type").unwrap_or("output") {
        kind @ ("output" | "temp" | "input") => kind,
        _ => return Err(ApiError::new(400, "out_of_range", "`type` must be output, input or temp")),
    };
    let subfolder = target.query("subfolder").unwrap_or_default();
    let whole = if subfolder.is_empty() { name.to_owned() } else { format!("{subfolder}/{name}") };
    let unknown = || ApiError::new(404, "unknown_picture", format!("there is no picture `{}`", shown(name)));
    let named = comfy.inputs.read(&format!("{whole} [{kind}]")).ok_or_else(unknown)?;
    let bytes = match &named.picture {
        PictureRef::Upload(digest) => studio.uploads.read(digest),
        PictureRef::Output(id) => studio.output(id),
    };
    let bytes = bytes.map_err(|_| unknown())?;
    let content_type = match bytes.get(..4) {
        Some([0x89, b'P', ..]) => "image/png",
        Some([0xff, 0xd8, ..]) => "image/jpeg",
        Some(b"RIFF") => "image/webp",
        _ => "application/octet-stream",
    };
    let plain: String =
        name.chars().map(|letter| if letter.is_ascii_graphic() && letter != '"' { letter } else { '_' }).collect();
    Ok(file(content_type, bytes).header("Content-Disposition", format!("filename=\"{plain}\"")))
}

fn upload(comfy: &Comfy, studio: &Studio, is_mask: bool, call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let bytes = call.read_body(MAX_UPLOAD)?;
    let bad = |message: &str| ApiError::new(400, "bad_form", message);
    let boundary = multipart::boundary(call.header("content-type").unwrap_or_default())
        .ok_or_else(|| bad("the body must be a form: multipart/form-data"))?;
    let parts = multipart::parts(&bytes, boundary).map_err(|why| bad(&format!("the form cannot be read: {why}")))?;
    let field = |name: &str| {
        let part = parts.iter().find(|part| part.name == name);
        part.map(|part| String::from_utf8_lossy(part.content).into_owned())
    };
    let image = parts.iter().find(|part| part.name == "image").ok_or_else(|| bad("the form has no field `image`"))?;
    let name = image.file_name.clone().unwrap_or_default();
    let subfolder = field("subfolder").unwrap_or_default();
    let subfolder = subfolder.trim_matches('/');
    if !is_name(&name) || !(subfolder.is_empty() || subfolder.split('/').all(is_name)) {
        return Err(bad("the picture's name cannot be used for a file"));
    }
    let overwrite = field("overwrite").is_some_and(|text| text == "true" || text == "1");
    let picture = studio.keep(image.content)?;
    let named = if is_mask {
        // The mask editor sends the mask alone and names the picture that it belongs to.
        let original = field("original_ref").and_then(|text| serde_json::from_str::<Value>(&text).ok());
        let original = original.ok_or_else(|| bad("`original_ref` must name the picture that is masked"))?;
        let of = |name: &str| original.get(name).and_then(Value::as_str).unwrap_or_default();
        let below = of("subfolder");
        let whole = if below.is_empty() { of("filename").to_owned() } else { format!("{below}/{}", of("filename")) };
        let kind = if of("type").is_empty() { "output" } else { of("type") };
        let masked = comfy.inputs.read(&format!("{whole} [{kind}]"));
        let masked =
            masked.ok_or_else(|| ApiError::new(404, "unknown_picture", "the picture that is masked is not there"))?;
        Named { picture: masked.picture, mask: Some(picture) }
    } else {
        Named { picture, mask: None }
    };
    let kept = comfy
        .inputs
        .keep(subfolder, &name, &named, overwrite)
        .map_err(|error| ApiError::new(507, "not_saved", format!("the picture cannot be kept: {error}")))?;
    Ok(Reply::json(200, &json!({ "name": kept, "subfolder": subfolder, "type": "input" })))
}
