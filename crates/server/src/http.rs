//! The boundary between what is asked and how it travels.
//!
//! [`Handler`] turns a [`Call`] into a [`Reply`] and knows nothing of sockets; `accept.rs`,
//! `connection.rs`, `head.rs` and `respond.rs` carry both and know nothing of pictures.

use std::io::{self, Read};
use std::net::TcpStream;
use std::sync::atomic::AtomicBool;

use crate::api_error::ApiError;
use crate::door::Door;
use crate::events::EventStream;

/// Answers requests; called from several threads at once.
pub(crate) trait Handler: Send + Sync + 'static {
    /// Answers one request. Never panics on any input.
    fn handle(&self, call: &mut Call<'_>) -> Reply;
}

/// One request, as it came.
pub(crate) struct Call<'a> {
    pub(crate) method: String,
    /// The raw request target, such as `/outputs/a%20cat.png?download=1`.
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    /// The announced length of the body in bytes.
    pub(crate) length: u64,
    /// Reads the body, no further than its length; a slow client makes this wait and then fail.
    pub(crate) body: &'a mut dyn Read,
    /// Whether the client has hung up; for answers that take long. Asking costs a millisecond.
    pub(crate) gone: &'a dyn Fn() -> bool,
    /// Which way the request came in.
    pub(crate) door: &'a Door,
}

impl Call<'_> {
    /// All values of a header, in order; the name in any case.
    pub(crate) fn header_values<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s str> {
        self.headers.iter().filter(move |(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The first value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Reads the whole body.
    ///
    /// # Errors
    /// 413 for a body of more than `limit` bytes, which is not read at all; 408 when it takes too
    /// long; 400 when the client hangs up in the middle.
    pub(crate) fn read_body(&mut self, limit: u64) -> Result<Vec<u8>, ApiError> {
        if self.length > limit {
            return Err(ApiError::new(
                413,
                "too_large",
                format!("the body has {} bytes: at most {limit} are read", self.length),
            )
            .hint("send less at once"));
        }
        let mut body = Vec::new();
        match self.body.take(self.length).read_to_end(&mut body) {
            Ok(_) if (body.len() as u64) < self.length => {
                Err(ApiError::new(400, "cut_body", "the body is shorter than announced"))
            }
            Ok(_) => Ok(body),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Err(ApiError::new(408, "too_slow", "the body did not arrive in time"))
            }
            Err(error) => Err(ApiError::new(400, "cut_body", format!("the body broke off: {error}"))),
        }
    }
}

/// What goes back.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Body,
}

/// The body of a reply.
pub(crate) enum Body {
    Empty,
    Bytes(Vec<u8>),
    Static(&'static [u8]),
    /// An open file and its length in bytes.
    File(fs_err::File, u64),
    /// Server-sent events until the stream ends or the client goes.
    Events(EventStream),
    /// The connection itself, after the head: another protocol (a WebSocket), or events in another dialect's words. Ends
    /// the connection when it returns, which it does soon after the flag is set or the client has gone.
    Socket(Talk),
}

/// Talks over the connection until either side ends it.
pub(crate) type Talk = Box<dyn FnOnce(&TcpStream, &AtomicBool) + Send>;

impl Reply {
    pub(crate) fn new(status: u16, content_type: &str, body: Body) -> Self {
        Self { status, headers: vec![("Content-Type", content_type.to_owned())], body }
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Body::Empty }
    }

    pub(crate) fn json(status: u16, value: &impl serde::Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(text) => Self::new(status, "application/json; charset=utf-8", Body::Bytes(text))
                .header("Cache-Control", "no-store"),
            Err(error) => Self::from(ApiError::new(500, "internal", format!("the answer cannot be written: {error}"))),
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl From<ApiError> for Reply {
    fn from(error: ApiError) -> Self {
        let reply = Self::new(error.status, "application/json; charset=utf-8", Body::Bytes(error.json()))
            .header("Cache-Control", "no-store");
        match error.allow {
            Some(allow) => reply.header("Allow", allow),
            None => reply,
        }
    }
}
