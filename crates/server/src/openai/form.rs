//! The fields of a request, whether they came as JSON or as a form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::api_error::ApiError;
use crate::check::shown;
use crate::http::Call;
use crate::multipart;

/// Most bytes of a body.
const MAX_BODY: u64 = 128 << 20;

/// Texts and files of one request.
pub(crate) struct Form {
    fields: Map<String, Value>,
    files: Vec<(String, Vec<u8>)>,
}

fn bad(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "invalid_value", message)
}

impl Form {
    /// Reads the body.
    ///
    /// # Errors
    /// 400 when it is neither a JSON object nor a whole form; what [`Call::read_body`] refuses.
    pub(crate) fn read(call: &mut Call<'_>) -> Result<Self, ApiError> {
        let body = call.read_body(MAX_BODY)?;
        let kind = call.header("content-type").unwrap_or_default();
        let mut form = Self { fields: Map::new(), files: Vec::new() };
        let Some(boundary) = multipart::boundary(kind) else {
            form.fields = match serde_json::from_slice(&body) {
                Ok(Value::Object(fields)) => fields,
                Ok(_) => return Err(bad("the body must be a JSON object or a form")),
                Err(error) => return Err(bad(format!("the body is neither JSON nor a form: {error}"))),
            };
            for name in ["image", "mask"] {
                if let Some(Value::String(text)) = form.fields.get(name) {
                    let base64 = text.rsplit_once("base64,").map_or(text.as_str(), |(_, base64)| base64);
                    let bytes =
                        STANDARD.decode(base64).map_err(|_| bad(format!("`{name}` is no picture in base64")))?;
                    form.files.push((name.to_owned(), bytes));
                }
            }
            return Ok(form);
        };
        for part in multipart::parts(&body, boundary).map_err(|why| bad(format!("the form cannot be read: {why}")))? {
            let name = part.name.trim_end_matches("[]");
            if matches!(name, "image" | "mask") {
                form.files.push((name.to_owned(), part.content.to_vec()));
            } else {
                let text =
                    std::str::from_utf8(part.content).map_err(|_| bad(format!("`{}` is not UTF-8", shown(name))))?;
                form.fields.insert(name.to_owned(), text.into());
            }
        }
        Ok(form)
    }

    /// The files of this name.
    pub(crate) fn files(&self, name: &str) -> Vec<&[u8]> {
        self.files.iter().filter(|(file, _)| file == name).map(|(_, bytes)| bytes.as_slice()).collect()
    }

    /// A text; an empty one counts as absent.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, ApiError> {
        match self.fields.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(other) => Err(bad(format!("`{name}` is {}: it must be a text", shown(&other.to_string())))),
        }
    }

    /// A number, under the first of these names that is there.
    pub(crate) fn number(&self, names: &[&str]) -> Result<Option<f64>, ApiError> {
        for name in names {
            let found = match self.fields.get(*name) {
                None | Some(Value::Null) => continue,
                Some(Value::Number(number)) => number.as_f64(),
                Some(Value::String(text)) => text.trim().parse().ok(),
                Some(_) => None,
            };
            return match found.filter(|found| found.is_finite()) {
                Some(found) => Ok(Some(found)),
                None => Err(bad(format!("`{name}` is not a number"))),
            };
        }
        Ok(None)
    }

    /// A whole number from `least` to `most`.
    pub(crate) fn integer(&self, names: &[&str], least: u64, most: u64) -> Result<Option<u64>, ApiError> {
        let Some(found) = self.number(names)? else { return Ok(None) };
        #[expect(clippy::cast_precision_loss, reason = "bounds are at most 2^53 - 1")]
        let inside = found.fract() == 0.0 && found >= least as f64 && found <= most as f64;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "inside the bounds")]
        match inside {
            true => Ok(Some(found as u64)),
            false => {
                let name = names.first().copied().unwrap_or_default();
                Err(bad(format!("`{name}` is {found}: it must be a whole number from {least} to {most}")))
            }
        }
    }

    /// Yes or no.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.fields.get(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(_) => Err(bad(format!("`{name}` must be true or false"))),
        }
    }
}
