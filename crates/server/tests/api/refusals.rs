//! Requests that are answered with a refusal.

use std::time::Duration;

use crate::client::Reply;
use crate::running::Running;

fn ask(running: &Running, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    running.connect().request(method, path, headers, b"")
}

#[test]
fn bodies_that_are_wrong_are_refused_by_name() {
    let running = Running::fast();
    for (body, code, part) in [
        ("{", "bad_json", "not JSON"),
        ("[1]", "bad_json", "object"),
        (r#"{"prompt":"a","stepz":1}"#, "unknown_field", "`stepz`"),
        (r#"{"steps":1}"#, "missing_field", "`prompt`"),
        (r#"{"prompt":"a","width":100}"#, "out_of_range", "`width` is 100"),
        (r#"{"prompt":"a","seed":-7}"#, "out_of_range", "`seed` is -7"),
    ] {
        let reply = running.post(body);
        assert_eq!(reply.refusal(), (400, code.to_owned()), "{body}");
        assert!(reply.json()["error"]["message"].as_str().expect("a text").contains(part), "{}", reply.text());
    }
    let deep = "[".repeat(100_000);
    assert_eq!(running.post(&deep).refusal(), (400, "bad_json".to_owned()));
    let bytes = running.connect().request(
        "POST",
        "/api/v1/generate",
        &[("Content-Type", "application/json")],
        b"{\"prompt\":\"\xff\"}",
    );
    assert_eq!(bytes.refusal(), (400, "bad_json".to_owned()));
    assert_eq!(running.get("/api/v1/status").json()["queue"]["waiting"].as_array().map(Vec::len), Some(0));
}

#[test]
fn too_large_bodies_are_refused_announced_or_not() {
    let running = Running::fast();
    let large = format!(r#"{{"prompt":"{}"}}"#, "x".repeat(5 << 20));
    let reply = running.post(&large);
    assert_eq!(reply.refusal(), (413, "too_large".to_owned()));

    let mut client = running.connect();
    client.send(
        format!(
            "POST /api/v1/generate HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Transfer-Encoding: chunked\r\n\r\n5\r\n{{\"pro\r\n9\r\nmpt\":\"a\"}}\r\n0\r\n\r\n",
            running.address
        )
        .as_bytes(),
    );
    assert_eq!(client.reply(false).refusal(), (411, "length_required".to_owned()));
    assert!(client.rest(Duration::from_secs(5)).is_some(), "the unread body is not taken for a request");
    assert_eq!(running.get("/api/v1/healthz").text(), r#"{"ok":true}"#);
}

#[test]
fn a_body_that_waits_to_be_asked_for_is_asked_for() {
    let running = Running::fast();
    let mut client = running.connect();
    client.send(
        format!(
            "POST /api/v1/generate HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Expect: 100-continue\r\nContent-Length: 14\r\n\r\n",
            running.address
        )
        .as_bytes(),
    );
    assert_eq!(client.head().status, 100);
    client.send(br#"{"prompt":"a"}"#);
    assert_eq!(client.reply(false).status, 202);
}

#[test]
fn methods_and_types_are_checked() {
    let running = Running::fast();
    for (method, path, allow) in [
        ("POST", "/", "GET, HEAD"),
        ("DELETE", "/outputs/a.png", "GET, HEAD"),
        ("GET", "/api/v1/generate", "POST"),
        ("PUT", "/api/v1/generate", "POST"),
        ("OPTIONS", "/api/v1/generate", "POST"),
        ("POST", "/api/v1/status", "GET, HEAD"),
        ("HEAD", "/api/v1/events", "GET"),
        ("POST", "/api/v1/jobs/j1", "GET, HEAD, DELETE"),
        ("POST", "/api/v1/pictures/a", "GET, HEAD, PATCH, DELETE"),
        ("GET", "/api/v1/pictures/a/restore", "POST"),
        ("BREW", "/api/v1/seal", "GET, HEAD"),
    ] {
        let reply = ask(&running, method, path, &[]);
        assert_eq!((reply.status, reply.header("allow")), (405, Some(allow)), "{method} {path}");
    }
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""] {
        let reply =
            running.connect().request("POST", "/api/v1/generate", &[("Content-Type", kind)], br#"{"prompt":"a"}"#);
        assert_eq!(reply.refusal(), (415, "wrong_content_type".to_owned()), "{kind}");
    }
    for path in
        ["/nowhere", "/api/v1/nothing", "/api/v2/status", "/api", "/assets/", "/outputs/a.jpg", "/outputs/x.png"]
    {
        assert_eq!(ask(&running, "GET", path, &[]).status, 404, "{path}");
    }
}

#[test]
fn every_reply_carries_the_security_headers() {
    let running = Running::fast();
    for (method, path, headers) in [
        ("GET", "/", &[][..]),
        ("GET", "/api/v1/status", &[]),
        ("GET", "/nowhere", &[]),
        ("PATCH", "/", &[]),
        ("GET", "/", &[("Host", "evil.example")]),
        ("DELETE", "/api/v1/jobs/j1", &[("Origin", "http://evil.example")]),
    ] {
        let reply = ask(&running, method, path, headers);
        let policy = reply.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'self'; img-src 'self' data: blob:;"), "{policy}");
        for part in ["frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'", "script-src 'self'"] {
            assert!(policy.contains(part), "{policy}");
        }
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(reply.header(name), Some(value), "{method} {path}");
        }
        assert_eq!(reply.header("access-control-allow-origin"), None);
    }
}

#[test]
fn other_hosts_and_other_sites_are_refused() {
    let running = Running::fast();
    let port = running.address.port();
    for host in [format!("localhost:{port}"), format!("[::1]:{port}"), format!("127.0.0.1:{port}")] {
        assert_eq!(ask(&running, "GET", "/api/v1/healthz", &[("Host", &host)]).status, 200, "{host}");
    }
    for host in ["evil.example", "evil.example:7860", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example", "0.0.0.0"] {
        let reply = ask(&running, "GET", "/api/v1/healthz", &[("Host", host)]);
        assert_eq!(reply.refusal(), (421, "wrong_host".to_owned()), "{host}");
    }
    let mut client = running.connect();
    client.send(b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(client.reply(false).refusal(), (400, "bad_host".to_owned()));

    let own = format!("http://127.0.0.1:{port}");
    for origin in ["http://evil.example", "null", "https://localhost", "http://127.0.0.1:1", "file://"] {
        for (method, path) in [
            ("POST", "/api/v1/generate"),
            ("DELETE", "/api/v1/jobs/j1"),
            ("DELETE", "/api/v1/pictures/x"),
            ("POST", "/api/v1/pictures/x/restore"),
            ("GET", "/api/v1/events"),
            ("OPTIONS", "/api/v1/generate"),
        ] {
            let reply = ask(&running, method, path, &[("Origin", origin)]);
            assert_eq!(reply.refusal(), (403, "cross_site".to_owned()), "{method} {path} from {origin}");
        }
    }
    let reply = ask(&running, "DELETE", "/api/v1/jobs/j1", &[("Origin", &own), ("Sec-Fetch-Site", "same-origin")]);
    assert_eq!(reply.refusal(), (404, "unknown_job".to_owned()));
    let reply = ask(&running, "POST", "/api/v1/generate", &[("Sec-Fetch-Site", "cross-site")]);
    assert_eq!(reply.refusal(), (403, "cross_site".to_owned()));
}

#[test]
fn no_path_leads_out_of_the_folder() {
    let running = Running::fast();
    fs_err::write(running.outputs.join("../secret.png"), b"secret").expect("written");
    for path in [
        "/outputs/../secret.png",
        "/outputs/..%2fsecret.png",
        "/outputs/%2e%2e/secret.png",
        "/outputs/..%5csecret.png",
        "/outputs/....//secret.png",
        "/outputs//etc/passwd",
        "/outputs/%2fetc%2fpasswd",
        "/outputs/.trash/a.png",
        "/../../etc/passwd",
        "/assets/..%2f..%2fetc%2fpasswd",
        "/outputs/ä.png",
        "/%2e%2e/%2e%2e/etc/passwd",
    ] {
        let reply = ask(&running, "GET", path, &[]);
        assert_eq!(reply.status, 404, "{path}: {}", reply.text());
    }
    for path in ["/outputs/%ff%fe.png", "/outputs/%00.png", "/%c3%28", "/outputs/%zz.png", "/?%80"] {
        assert_eq!(ask(&running, "GET", path, &[]).refusal(), (400, "bad_path".to_owned()), "{path}");
    }
    for path in ["*", "http://127.0.0.1/", "outputs/x.png"] {
        assert_eq!(ask(&running, "GET", path, &[]).refusal(), (400, "bad_path".to_owned()), "{path}");
    }
}
