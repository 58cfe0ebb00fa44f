//! Pictures as A1111's clients send them: base64, with or without `data:image/png;base64,` before it.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

use super::refusal::Refusal;

/// Padding is optional: some clients leave it out.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The bytes of a picture file; nothing is decoded yet.
///
/// # Errors
/// 422 when it is no text, 400 for an address and for what is no base64.
pub(crate) fn decode(name: &str, value: &Value) -> Result<Vec<u8>, Refusal> {
    let text = match value {
        Value::String(text) => text,
        Value::Object(fields) => match fields.get("image").or_else(|| fields.get("data")) {
            Some(Value::String(text)) => text,
            _ => return Err(not_a_text(name, value)),
        },
        _ => return Err(not_a_text(name, value)),
    };
    if text.starts_with("http://") || text.starts_with("https://") {
        let message = format!("`{name}` is an address: this server fetches nothing. Send the picture itself as base64");
        return Err(Refusal::new(400, "no_fetching", message));
    }
    let base64 = match text.strip_prefix("data:").and_then(|rest| rest.split_once(',')) {
        Some((_, rest)) => rest,
        None => text,
    };
    let dense: Vec<u8> = base64.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    LENIENT.decode(&dense).ok().filter(|bytes| !bytes.is_empty()).ok_or_else(|| {
        Refusal::new(400, "bad_base64", format!("Invalid encoded image: `{name}` is not a picture in base64"))
    })
}

fn not_a_text(name: &str, value: &Value) -> Refusal {
    Refusal::field(&[name], "string_type", "Input should be a valid string", value)
}
