//! Forms with files: `multipart/form-data` (RFC 7578), read from memory.

/// Most parts of a form.
const MAX_PARTS: usize = 64;

/// One field of a form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    pub(crate) name: String,
    /// The name of the file, if it is one.
    pub(crate) file_name: Option<String>,
    pub(crate) bytes: &'a [u8],
}

/// Splits a body by the boundary that its content type names; `None` when it is no such form.
pub(crate) fn read<'a>(content_type: &str, body: &'a [u8]) -> Option<Vec<Part<'a>>> {
    let (kind, _) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameter(content_type, "boundary")?;
    let delimiter = format!("--{boundary}");
    let first = find(body, delimiter.as_bytes())?;
    let mut rest = body.get(first + delimiter.len()..)?;
    let next = format!("\r\n{delimiter}");
    let mut parts = Vec::new();
    while !rest.starts_with(b"--") && parts.len() < MAX_PARTS {
        let end = find(rest, next.as_bytes())?;
        let part = rest.get(..end)?;
        rest = rest.get(end + next.len()..)?;
        let head = find(part, b"\r\n\r\n")?;
        let bytes = part.get(head + 4..)?;
        let head = String::from_utf8_lossy(part.get(..head)?).into_owned();
        let disposition = head.lines().find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"))?;
        parts.push(Part {
            name: parameter(disposition, "name")?,
            file_name: parameter(disposition, "filename"),
            bytes,
        });
    }
    Some(parts)
}

/// A parameter of a header: `name="value"` or `name=value`.
fn parameter(header: &str, name: &str) -> Option<String> {
    header.split(';').skip(1).find_map(|part| {
        let (key, value) = part.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
    })
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_files_come_apart() {
        let body = b"--xy\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n\x89P\r\nNG\r\n--xy\r\ncontent-disposition: form-data; name=overwrite\r\n\r\ntrue\r\n--xy--\r\n";
        let parts = read("multipart/form-data; boundary=xy", body).expect("a form");
        assert_eq!(parts[0], Part { name: "image".into(), file_name: Some("a.png".into()), bytes: b"\x89P\r\nNG" });
        assert_eq!(parts[1], Part { name: "overwrite".into(), file_name: None, bytes: b"true" });
        for end in 0..body.len() - 6 {
            assert_eq!(read("multipart/form-data; boundary=xy", &body[..end]), None, "{end}");
        }
        assert_eq!(read("application/json", body), None);
    }
}
