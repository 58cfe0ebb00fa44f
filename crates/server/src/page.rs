//! The page's files, embedded when the crate was built.

use crate::api_error::ApiError;
use crate::http::{Body, Call, Reply};

/// `(path, bytes, etag)` of every file of the page's build output, made by `build.rs`.
static FILES: &[(&str, &[u8], &str)] = include!(concat!(env!("OUT_DIR"), "/page_files.rs"));

/// Shown at `/` by a program that was built without the page.
const NO_PAGE: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Fieldforge</title>\
<h1>Fieldforge is running</h1><p>This program was built without its page. \
The interface for programs answers at <a href=\"/api/v1/status\">/api/v1/status</a>.</p></html>";

/// Answers GET for a decoded path such as `assets/index-1a2b.js`; the empty path is the page.
pub(crate) fn serve(path: &str, call: &Call<'_>) -> Reply {
    serve_from(FILES, path, call)
}

fn serve_from(files: &'static [(&str, &[u8], &str)], path: &str, call: &Call<'_>) -> Reply {
    let name = if path.is_empty() { "index.html" } else { path };
    let Some((_, bytes, etag)) = files.iter().find(|(known, _, _)| *known == name) else {
        if path.is_empty() {
            return Reply::new(200, "text/html; charset=utf-8", Body::Static(NO_PAGE.as_bytes()))
                .header("Cache-Control", "no-cache");
        }
        return ApiError::not_found(&format!("/{path}")).into();
    };
    // Names below assets/ carry a hash of their content: a changed file has another name.
    let cache = if name.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    if matches(call, etag) {
        return Reply::empty(304).header("ETag", *etag).header("Cache-Control", cache);
    }
    Reply::new(200, content_type(name), Body::Static(bytes)).header("ETag", *etag).header("Cache-Control", cache)
}

/// Whether the client already has this version.
pub(crate) fn matches(call: &Call<'_>, etag: &str) -> bool {
    call.header_values("if-none-match")
        .flat_map(|value| value.split(','))
        .any(|tag| tag.trim() == "*" || tag.trim().trim_start_matches("W/") == etag)
}

pub(crate) fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json; charset=utf-8",
        "webmanifest" => "application/manifest+json; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "webp" => "image/webp",
        "webm" => "video/webm",
        "woff" => "font/woff",
        "ttf" => "font/ttf",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::Door;

    static SAMPLE: &[(&str, &[u8], &str)] =
        &[("index.html", b"<!doctype html>", "\"a\""), ("assets/index-1a2b.js", b"let x", "\"b\"")];

    fn get(files: &'static [(&str, &[u8], &str)], path: &str, have: Option<&str>) -> (u16, Vec<String>) {
        let headers = have.map(|tag| ("If-None-Match".to_owned(), tag.to_owned())).into_iter().collect();
        let call = Call {
            method: "GET".into(),
            target: String::new(),
            headers,
            length: 0,
            body: &mut std::io::empty(),
            gone: &|| false,
            door: &Door::new(([127, 0, 0, 1], 7860).into(), [127, 0, 0, 1].into(), false),
        };
        let reply = serve_from(files, path, &call);
        (reply.status, reply.headers.into_iter().map(|(_, value)| value).collect())
    }

    #[test]
    fn hashed_files_are_kept_and_the_page_is_asked_for_again() {
        assert_eq!(
            get(SAMPLE, "", None),
            (200, vec!["text/html; charset=utf-8".into(), "\"a\"".into(), "no-cache".into()])
        );
        let (status, headers) = get(SAMPLE, "assets/index-1a2b.js", None);
        assert_eq!((status, headers[0].as_str()), (200, "text/javascript; charset=utf-8"));
        assert!(headers[2].contains("immutable"));
        assert_eq!(get(SAMPLE, "", Some("\"x\", W/\"a\"")).0, 304);
        assert_eq!(get(SAMPLE, "", Some("\"x\"")).0, 200);
        assert_eq!(get(SAMPLE, "assets/../index.html", None).0, 404);
    }

    #[test]
    fn without_a_page_the_server_says_so() {
        assert_eq!(get(&[], "", None).0, 200);
        assert_eq!(get(&[], "index.html", None).0, 404);
    }
}
