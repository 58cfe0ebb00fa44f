//! The head of a request: its limits and its meaning.

use crate::api_error::ApiError;

/// Most bytes of a head.
pub(crate) const MAX_HEAD: usize = 16 * 1024;
/// Most headers of a request.
const MAX_HEADERS: usize = 100;

/// A request's first line and headers, and what they say about the connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    /// Bytes of the body.
    pub(crate) length: u64,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub(crate) expects_continue: bool,
    /// Whether the connection ends after the answer.
    pub(crate) last: bool,
    /// Whether the client speaks HTTP/1.1, not 1.0.
    pub(crate) modern: bool,
}

/// Where a head ends in `bytes`, searching from `from`; the empty line belongs to it.
pub(crate) fn end_of_head(bytes: &[u8], from: usize) -> Option<usize> {
    let start = from.saturating_sub(3);
    let tail = bytes.get(start..)?;
    let long = tail.windows(3).position(|window| window == b"\n\r\n").map(|at| at + 3);
    let short = tail.windows(2).position(|window| window == b"\n\n").map(|at| at + 2);
    match (long, short) {
        (Some(long), Some(short)) => Some(start + long.min(short)),
        (long, short) => long.or(short).map(|end| start + end),
    }
}

impl Head {
    /// Reads a whole head.
    ///
    /// # Errors
    /// 400 for anything that is not HTTP/1, 411, 417, 431 for what this server does not do.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, ApiError> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut fields);
        match request.parse(bytes) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) => return Err(bad("the head is not complete")),
            Err(httparse::Error::TooManyHeaders) => return Err(too_large()),
            Err(error) => return Err(bad(&error.to_string())),
        }
        let headers: Vec<(String, String)> = request
            .headers
            .iter()
            .map(|field| (field.name.to_owned(), String::from_utf8_lossy(field.value).into_owned()))
            .collect();
        let modern = request.version == Some(1);
        let values = |name: &str| {
            let name = name.to_owned();
            headers.iter().filter(move |(field, _)| field.eq_ignore_ascii_case(&name)).map(|(_, value)| value.trim())
        };
        let length = length(values("content-length"))?;
        if values("transfer-encoding").next().is_some() {
            return Err(ApiError::new(
                411,
                "length_required",
                "a body needs a Content-Length, not a Transfer-Encoding",
            ));
        }
        let expects_continue = match values("expect").next() {
            None => false,
            Some(value) if value.eq_ignore_ascii_case("100-continue") => modern,
            Some(_) => return Err(ApiError::new(417, "unknown_expectation", "only `Expect: 100-continue` is known")),
        };
        let closes = values("connection")
            .flat_map(|value| value.split(','))
            .any(|token| token.trim().eq_ignore_ascii_case("close"));
        Ok(Self {
            method: request.method.unwrap_or_default().to_owned(),
            target: request.path.unwrap_or_default().to_owned(),
            length,
            expects_continue,
            last: closes || !modern,
            modern,
            headers,
        })
    }
}

/// The one length that all `Content-Length` headers agree on; 0 without one.
fn length<'a>(values: impl Iterator<Item = &'a str>) -> Result<u64, ApiError> {
    let mut length = None;
    for value in values {
        let number = value.parse::<u64>().ok().filter(|_| value.bytes().all(|byte| byte.is_ascii_digit()));
        let Some(number) = number else {
            return Err(ApiError::new(400, "bad_content_length", "the Content-Length header is not a length"));
        };
        if length.is_some_and(|earlier| earlier != number) {
            return Err(ApiError::new(400, "bad_content_length", "two Content-Length headers contradict each other"));
        }
        length = Some(number);
    }
    Ok(length.unwrap_or(0))
}

fn bad(why: &str) -> ApiError {
    ApiError::new(400, "bad_request", format!("this is not an HTTP/1.1 request: {why}"))
}

/// The refusal of a head that is too long.
pub(crate) fn too_large() -> ApiError {
    ApiError::new(431, "head_too_large", format!("the head is larger than {MAX_HEAD} bytes or {MAX_HEADERS} headers"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> u16 {
        Head::parse(text.as_bytes()).expect_err(text).status
    }

    #[test]
    fn a_head_is_read() {
        let text = "POST /a%20b?c HTTP/1.1\r\nHost: x\r\ncontent-length: 12\r\nExpect: 100-Continue\r\n\r\n";
        let head = Head::parse(text.as_bytes()).expect("reads");
        assert_eq!((head.method.as_str(), head.target.as_str(), head.length), ("POST", "/a%20b?c", 12));
        assert!(head.expects_continue && head.modern && !head.last);
        assert_eq!(head.headers[0], ("Host".to_owned(), "x".to_owned()));
        assert!(Head::parse(b"GET / HTTP/1.1\r\nConnection: Upgrade, Close\r\n\r\n").expect("reads").last);
        assert!(Head::parse(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").expect("reads").last);
        assert_eq!(Head::parse("GET /ä HTTP/1.1\r\nX: ä\r\n\r\n".as_bytes()).expect("reads").target, "/ä");
    }

    #[test]
    fn wrong_heads_are_refused() {
        for text in [
            "GET / HTTP/1.1\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "GET / HTTP/2.0\r\n\r\n",
            "GET / HTTP/1.1\r\nno colon\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            "\r\n\r\n",
        ] {
            assert_eq!(refusal(text), 400);
        }
        assert_eq!(refusal("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"), 411);
        assert_eq!(refusal("POST / HTTP/1.1\r\nExpect: magic\r\n\r\n"), 417);
        assert_eq!(refusal(&format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(MAX_HEADERS + 1))), 431);
    }

    #[test]
    fn the_end_of_a_head_is_found_wherever_the_pieces_break() {
        let text = b"GET / HTTP/1.1\r\nA: b\r\n\r\nrest";
        for first in 0..text.len() {
            let found = end_of_head(&text[..first], 0).or_else(|| end_of_head(text, first));
            assert_eq!(found, Some(24), "{first}");
        }
        assert_eq!(end_of_head(b"GET / HTTP/1.1\n\nx\r\n\r\n", 0), Some(16));
        assert_eq!(end_of_head(b"", 0), None);
    }

    #[test]
    fn no_wrong_byte_and_no_cut_makes_the_reader_panic() {
        let text = b"POST /a%20b?c HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\nExpect: 100-continue\r\n\r\n";
        let mut read = 0;
        for at in 0..text.len() {
            for byte in [0, b'\n', b' ', b':', b'9', 0x7f, 0x80, 0xff] {
                let mut wrong = text.to_vec();
                wrong[at] = byte;
                read += usize::from(Head::parse(&wrong).is_ok());
            }
            assert!(Head::parse(&text[..at]).is_err());
        }
        assert!(read > 0);
    }
}
