//! Refusals in OpenAI's words: `{"error":{"message","type","param","code"}}`.

use serde_json::{Value, json};

use crate::api_error::ApiError;
use crate::http::Reply;

/// The error's body. A message that begins with a field's name in backquotes is about that field.
pub(crate) fn body(error: &ApiError) -> Value {
    let message = &error.body.message;
    let named = message.strip_prefix('`').and_then(|rest| rest.split_once('`')).map(|(name, _)| name);
    let param = named.filter(|_| error.status < 500);
    let text = match &error.body.hint {
        Some(hint) => format!("{message}; {hint}"),
        None => message.clone(),
    };
    let kind = if error.status < 500 { "invalid_request_error" } else { "server_error" };
    json!({"error": {"message": text, "type": kind, "param": param, "code": error.body.code}})
}

/// The whole answer.
pub(crate) fn reply(error: &ApiError) -> Reply {
    let reply = Reply::json(error.status, &body(error));
    match &error.allow {
        Some(allow) => reply.header("Allow", allow.clone()),
        None => reply,
    }
}
