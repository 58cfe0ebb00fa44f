//! ComfyUI's own frontend below `/comfy/`, from a small wheel in its place.

use std::io::{Cursor, Write as _};

use crate::client::Client;
use crate::running::Running;

fn wheel(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, text) in files {
        archive.start_file(format!("comfyui_frontend_package/{name}"), stored).expect("a member");
        archive.write_all(text.as_bytes()).expect("written");
    }
    archive.finish().expect("an archive").into_inner()
}

const PAGE: &str = "<!doctype html><script>let a</script>";

fn running() -> Running {
    Running::with_frontend(&wheel(&[
        ("__init__.py", "print()"),
        ("static/index.html", PAGE),
        ("static/assets/index-1a.js", "let x"),
        ("static/assets/index-1a.js.map", "{}"),
        ("static/assets/favicon.ico", "ico"),
        ("static/assets/images/favicon_progress_16x16/frame_0.png", "png"),
    ]))
}

#[test]
fn the_frontend_comes_out_of_its_wheel_under_a_policy_of_its_own() {
    let running = running();
    let page = running.get("/comfy/");
    assert_eq!((page.status, page.text().as_str()), (200, PAGE));
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.contains("'sha256-") && policy.contains("connect-src 'self'"), "{policy}");
    assert!(!running.get("/").header("content-security-policy").expect("a policy").contains("sha256"));

    let script = running.get("/comfy/assets/index-1a.js");
    assert_eq!(script.header("content-type"), Some("text/javascript; charset=utf-8"));
    assert!(script.header("cache-control").expect("a rule").contains("immutable"));
    let etag = script.header("etag").expect("a tag").to_owned();
    let again = running.connect().request("GET", "/comfy/assets/index-1a.js", &[("If-None-Match", &etag)], b"");
    assert_eq!((again.status, again.body.len()), (304, 0));

    assert_eq!(running.get("/assets/images/favicon_progress_16x16/frame_0.png").text(), "png");
    assert_eq!(running.get("/assets/favicon.ico").text(), "ico");
    assert_eq!(running.get("/comfy").header("location"), Some("/comfy/"));
    for path in ["/comfy/assets/index-1a.js.map", "/comfy/__init__.py", "/comfy/../__init__.py", "/comfy/api/v1/status"]
    {
        assert_eq!(running.get(path).status, 404, "{path}");
    }
    assert_eq!(running.get("/api/v1/system").json()["comfy_frontend"], true);
}

#[test]
fn the_interface_answers_below_the_frontend() {
    let running = running();
    for path in ["/comfy/api/object_info", "/comfy/api/settings", "/comfy/api/jobs", "/comfy/internal/logs"] {
        assert_eq!(running.get(path).status, 200, "{path}");
    }
    let style = running.get("/comfy/api/userdata/user.css");
    assert_eq!((style.status, style.header("content-type")), (200, Some("text/css; charset=utf-8")));
    let foreign = [("Origin", "http://evil.example")];
    assert_eq!(running.connect().request("POST", "/comfy/api/prompt", &foreign, b"{}").status, 403);
    assert_eq!(running.connect().request("GET", "/comfy/ws", &foreign, b"").status, 403);
    assert_eq!(Client::connect(running.network[0]).request("GET", "/comfy/", &[], b"").status, 401);
}

#[test]
fn without_the_frontend_there_is_no_such_address() {
    let running = Running::fast();
    assert_eq!(running.get("/comfy/").status, 404);
    assert_eq!(running.get("/comfy/api/object_info").status, 404);
    assert_eq!(running.get("/api/v1/system").json()["comfy_frontend"], false);
    let broken = Running::with_frontend(b"no archive");
    assert_eq!(broken.get("/comfy/").status, 404);
    assert!(broken.get("/api/v1/system").json()["remarks"][0].as_str().expect("a remark").contains("frontend"));
}
