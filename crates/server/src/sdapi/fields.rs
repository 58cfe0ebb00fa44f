//! Reading a JSON object as FastAPI does: numbers may come as text, `null` counts as absent, wrong types are 422.

use serde_json::{Map, Value};

use super::refusal::Refusal;
use crate::http::Call;

/// Most bytes of a request body: a few pictures in base64.
const MAX_BODY: u64 = 128 << 20;

/// The fields of one request.
pub(crate) struct Fields(pub(crate) Map<String, Value>);

impl Fields {
    /// Reads the body; an empty one is an object without fields.
    ///
    /// # Errors
    /// 422 when it is no JSON object; what [`Call::read_body`] refuses.
    pub(crate) fn read(call: &mut Call<'_>) -> Result<Self, Refusal> {
        let body = call.read_body(MAX_BODY)?;
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self(Map::new()));
        }
        match serde_json::from_slice(&body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(other) => Err(Refusal::field(&[], "dict_type", "Input should be a valid dictionary", &other)),
            Err(error) => {
                Err(Refusal::field(&[], "json_invalid", &format!("JSON decode error: {error}"), &Value::Null))
            }
        }
    }

    /// The field's value; `null` counts as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A text; an empty one counts as absent.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(other) => Err(Refusal::field(&[name], "string_type", "Input should be a valid string", other)),
        }
    }

    /// A whole number; `5.0` and `"5"` are ones.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let found = match value {
            Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        match found {
            Some(found) => Ok(Some(found)),
            None => Err(Refusal::field(&[name], "int_parsing", "Input should be a valid integer", value)),
        }
    }

    /// A whole number that cannot be negative; negative ones are 422.
    pub(crate) fn size(&self, name: &str) -> Result<Option<u32>, Refusal> {
        let Some(found) = self.integer(name)? else { return Ok(None) };
        match u32::try_from(found) {
            Ok(found) => Ok(Some(found)),
            Err(_) => {
                let message = "Input should be greater than or equal to 0 and fit into 32 bits";
                Err(Refusal::field(&[name], "out_of_range", message, &Value::from(found)))
            }
        }
    }

    /// Any finite number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<f32>, Refusal> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let found = match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        match found.filter(|found: &f64| found.is_finite()) {
            #[expect(clippy::cast_possible_truncation, reason = "settings are f32 in the engine; bounds come later")]
            Some(found) => Ok(Some(found as f32)),
            None => Err(Refusal::field(&[name], "float_parsing", "Input should be a valid number", value)),
        }
    }

    /// Yes or no; 0, 1, "true" and "false" are understood.
    pub(crate) fn flag(&self, name: &str, otherwise: bool) -> Result<bool, Refusal> {
        let Some(value) = self.get(name) else { return Ok(otherwise) };
        match value {
            Value::Bool(flag) => Ok(*flag),
            Value::Number(number) if number.as_f64() == Some(0.0) => Ok(false),
            Value::Number(number) if number.as_f64() == Some(1.0) => Ok(true),
            Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            other => Err(Refusal::field(&[name], "bool_parsing", "Input should be a valid boolean", other)),
        }
    }

    /// A list; a single value counts as a list of one.
    pub(crate) fn list(&self, name: &str) -> &[Value] {
        match self.get(name) {
            None => &[],
            Some(Value::Array(list)) => list,
            Some(one) => std::slice::from_ref(one),
        }
    }

    /// An object inside; anything else counts as absent.
    pub(crate) fn object(&self, name: &str) -> Option<&Map<String, Value>> {
        self.get(name).and_then(Value::as_object)
    }
}

fn whole(number: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and exact just before")]
    (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)
}
