//! Refusals in A1111's words.

use serde_json::{Value, json};

use crate::api_error::ApiError;
use crate::http::Reply;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Fields of a wrong type: FastAPI's list, status 422.
    Fields(Vec<Value>),
    /// Anything else.
    Other(ApiError),
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::Other(error)
    }
}

impl Refusal {
    /// A refusal in one sentence.
    pub(crate) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self::Other(ApiError::new(status, code, message))
    }

    /// One field of a wrong type.
    pub(crate) fn field(path: &[&str], kind: &str, message: &str, input: &Value) -> Self {
        let place: Vec<&str> = std::iter::once("body").chain(path.iter().copied()).collect();
        // A whole picture need not come back.
        let input = if input.to_string().len() > 200 { Value::Null } else { input.clone() };
        Self::Fields(vec![json!({"type": kind, "loc": place, "msg": message, "input": input})])
    }

    /// The answer: `{"detail": [...]}` for wrong types, `{"detail": "Not Found"}` for an unknown address, and A1111's four
    /// fields for everything else.
    pub(crate) fn reply(self) -> Reply {
        let error = match self {
            Self::Fields(fields) => return Reply::json(422, &json!({ "detail": fields })),
            Self::Other(error) => error,
        };
        if error.body.code == "not_found" {
            return Reply::json(404, &json!({"detail": "Not Found"}));
        }
        let text = match &error.body.hint {
            Some(hint) => format!("{}; {hint}", error.body.message),
            None => error.body.message.clone(),
        };
        // What the engine met stands in `errors`, as an exception's text does there; what was wrong in the request in
        // `detail`.
        let (kind, detail, errors) = if error.status == 500 {
            ("RuntimeError", "", text.as_str())
        } else {
            ("HTTPException", text.as_str(), "")
        };
        let reply = Reply::json(error.status, &json!({"error": kind, "detail": detail, "body": "", "errors": errors}));
        match error.allow {
            Some(allow) => reply.header("Allow", allow),
            None => reply,
        }
    }
}
