//! Request targets: splitting, percent-decoding, percent-encoding.

use crate::api_error::ApiError;

/// A request target, taken apart and decoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The decoded parts between the slashes; `/` gives one empty part.
    pub(crate) parts: Vec<String>,
    query: Vec<(String, String)>,
}

impl Target {
    /// # Errors
    /// 400 for a target that does not start with `/`, for a wrong escape, for bytes that are not
    /// UTF-8 and for control characters.
    pub(crate) fn parse(raw: &str) -> Result<Self, ApiError> {
        let bad = |why: &str| ApiError::new(400, "bad_path", format!("the path cannot be read: {why}"));
        let path = raw.strip_prefix('/').ok_or_else(|| bad("it does not begin with `/`"))?;
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let decode_all = |text: &str| {
            decode(text).ok_or_else(|| bad("it holds a wrong escape, a control character or bytes that are not UTF-8"))
        };
        let parts = path.split('/').map(decode_all).collect::<Result<Vec<_>, _>>()?;
        let query = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Ok((decode_all(name)?, decode_all(value)?))
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { parts, query })
    }

    /// The first value of a query parameter.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control))
}

/// Percent-encodes everything but unreserved characters (RFC 3986, section 2.3).
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_come_apart() {
        let target = Target::parse("/outputs/a%20cat%2F.png?download=1&x&y=%C3%A4").expect("parses");
        assert_eq!(target.parts, ["outputs", "a cat/.png"]);
        assert_eq!(
            (target.query("download"), target.query("x"), target.query("y"), target.query("z")),
            (Some("1"), Some(""), Some("ä"), None)
        );
        assert_eq!(Target::parse("/").expect("parses").parts, [""]);
    }

    #[test]
    fn unreadable_paths_are_refused() {
        for raw in ["", "*", "http://evil.example/", "/%", "/%4", "/%zz", "/%ff%fe", "/a%00b", "/?a=%0a", "/é%c3"] {
            assert_eq!(Target::parse(raw).expect_err(raw).status, 400);
        }
    }

    #[test]
    fn encoding_turns_back() {
        for name in ["20261123-141502-0001", "ein Käse 🧀", "a/b?c#d%e"] {
            let target = Target::parse(&format!("/{}", encode(name))).expect("parses");
            assert_eq!(target.parts, [name]);
        }
    }
}
