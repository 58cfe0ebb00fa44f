//! Reading `multipart/form-data` (RFC 7578), in bounds.

use memchr::memmem;

/// Most parts of one body.
const MAX_PARTS: usize = 64;
/// Most bytes of one part's headers.
const MAX_HEADERS: usize = 8 << 10;
/// Longest boundary (RFC 2046, section 5.1.1).
const MAX_BOUNDARY: usize = 70;

/// One field of a form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    /// The field's name.
    pub(crate) name: String,
    /// The name of the file, if it is one.
    pub(crate) file_name: Option<String>,
    /// What stands in it, a file's bytes or a text's.
    pub(crate) content: &'a [u8],
}

/// The boundary that a `Content-Type` of multipart/form-data names.
pub(crate) fn boundary(content_type: &str) -> Option<&str> {
    let (kind, rest) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let named = |parameter: &'_ str| -> bool { parameter.to_ascii_lowercase().starts_with("boundary=") };
    let parameter = rest.split(';').map(str::trim).find(|parameter| named(parameter))?;
    let boundary = parameter.get("boundary=".len()..)?.trim_matches('"');
    (!boundary.is_empty() && boundary.len() <= MAX_BOUNDARY).then_some(boundary)
}

/// All parts of a body, in order.
///
/// # Errors
/// A sentence: no boundary, a part without a name or an end, too many of them.
pub(crate) fn parts<'a>(body: &'a [u8], boundary: &str) -> Result<Vec<Part<'a>>, &'static str> {
    let line = format!("--{boundary}");
    let between = format!("\r\n--{boundary}");
    let start = memmem::find(body, line.as_bytes()).ok_or("the boundary is nowhere in the body")?;
    let mut rest = body.get(start + line.len()..).unwrap_or_default();
    let mut all = Vec::new();
    while !rest.starts_with(b"--") {
        if all.len() == MAX_PARTS {
            return Err("there are too many parts");
        }
        rest = rest.strip_prefix(b"\r\n").ok_or("a boundary does not end its line")?;
        let window = rest.get(..rest.len().min(MAX_HEADERS)).unwrap_or_default();
        let end = memmem::find(window, b"\r\n\r\n").ok_or("a part's headers do not end")?;
        let (headers, after) = rest.split_at_checked(end + 4).ok_or("a part's headers do not end")?;
        let name = parameter(headers, "name=").ok_or("a part has no name")?;
        let file_name = parameter(headers, "filename=");
        let length = memmem::find(after, between.as_bytes()).ok_or("a part does not end")?;
        all.push(Part { name, file_name, content: after.get(..length).unwrap_or_default() });
        rest = after.get(length + between.len()..).unwrap_or_default();
    }
    Ok(all)
}

/// What a part's headers say of its content: `name=` or `filename=`.
fn parameter(headers: &[u8], which: &str) -> Option<String> {
    let headers = std::str::from_utf8(headers).ok()?;
    let line = headers.lines().find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"))?;
    let value = line.split(';').map(str::trim).find_map(|parameter| parameter.strip_prefix(which))?;
    Some(value.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(parts: &[(&str, &[u8])], boundary: &str) -> Vec<u8> {
        let mut body = Vec::new();
        for (name, content) in parts {
            body.extend(
                format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"x\"\r\n\r\n")
                    .bytes(),
            );
            body.extend_from_slice(content);
            body.extend(b"\r\n");
        }
        body.extend(format!("--{boundary}--\r\n").bytes());
        body
    }

    #[test]
    fn forms_come_back_as_they_were_written() {
        let mut noise = 1_u64;
        for round in 0..200 {
            let mut bytes = || -> Vec<u8> {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (0..noise >> 56)
                    .map(|index| if index % 7 == 0 { b'-' } else { (noise >> (index % 57)) as u8 })
                    .collect()
            };
            let contents: Vec<Vec<u8>> = (0..round % 5).map(|_| bytes()).collect();
            let all: Vec<(&str, &[u8])> = contents.iter().map(|content| ("image[]", content.as_slice())).collect();
            let body = written(&all, "XyZ");
            let found = parts(&body, "XyZ").expect("reads");
            assert_eq!(found.iter().map(|part| (part.name.as_str(), part.content)).collect::<Vec<_>>(), all);
            assert!(found.iter().all(|part| part.file_name.as_deref() == Some("x")));
        }
    }

    #[test]
    fn no_cut_or_changed_body_breaks_the_reader() {
        let body = written(&[("image", &b"\x89PNG\r\n--Xy"[..]), ("prompt", "Käse".as_bytes())], "XyZ");
        for length in 0..body.len() - 4 {
            assert!(parts(&body[..length], "XyZ").is_err(), "{length} bytes pass for a whole form");
        }
        for index in 0..body.len() {
            let mut broken = body.clone();
            broken[index] ^= 0x55;
            // Any answer is right, as long as there is one.
            let _ = parts(&broken, "XyZ").map(|parts| parts.len());
        }
        assert_eq!(parts(&written(&[("a", &b""[..]); 65], "b"), "b"), Err("there are too many parts"));
    }

    #[test]
    fn boundaries_are_found_in_content_types() {
        assert_eq!(boundary("multipart/form-data; boundary=abc"), Some("abc"));
        assert_eq!(boundary("Multipart/Form-Data; charset=utf-8; Boundary=\"a b\""), Some("a b"));
        for wrong in
            ["", "application/json", "multipart/form-data", "multipart/form-data; boundary=", "text/plain; boundary=a"]
        {
            assert_eq!(boundary(wrong), None, "{wrong}");
        }
    }
}
