//! A refused or failed request, as the page gets it.

use serde::Serialize;

/// An error with its HTTP status; written as `{"error":{"code","message","hint"}}`.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) body: ErrorBody,
    /// Methods that the path answers, for 405.
    pub(crate) allow: Option<String>,
}

/// The part of an error that the page sees, also inside a failed job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ErrorBody {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: &'a ErrorBody,
}

impl ApiError {
    pub(crate) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, body: ErrorBody { code, message: message.into(), hint: None }, allow: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.body.hint = Some(hint.into());
        self
    }

    pub(crate) fn wrong_method(method: &str, path: &str, allow: impl Into<String>) -> Self {
        let allow = allow.into();
        let mut error =
            Self::new(405, "wrong_method", format!("`{path}` does not answer {method}")).hint(format!("use {allow}"));
        error.allow = Some(allow);
        error
    }

    pub(crate) fn not_found(path: &str) -> Self {
        Self::new(404, "not_found", format!("there is nothing at `{path}`"))
    }

    /// The JSON text.
    pub(crate) fn json(&self) -> Vec<u8> {
        // A struct of strings always serialises; an empty body would still carry the status.
        serde_json::to_vec(&Envelope { error: &self.body }).unwrap_or_default()
    }
}
