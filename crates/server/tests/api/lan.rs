//! Other devices: paired, let in, kept out. 127.0.0.2 stands for the address on the network.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::client::{Client, Reply};
use crate::running::{Running, one_crowd};

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("Content-Type", "application/json");

fn door(running: &Running) -> SocketAddr {
    running.network[0]
}

/// One request from another device.
fn ask(running: &Running, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    Client::connect(door(running)).request(method, path, headers, body.as_bytes())
}

/// The code, as the page on the computer shows it.
fn code(running: &Running) -> String {
    running.get("/api/v1/lan").json()["code"].as_str().expect("a code").to_owned()
}

/// Pairs and gives the cookie to send.
fn paired(running: &Running) -> String {
    let reply = ask(running, "POST", "/pair", &[FORM], &format!("code={}", code(running).replace(' ', "+")));
    assert_eq!((reply.status, reply.header("location")), (303, Some("/")), "{}", reply.text());
    let cookie = reply.header("set-cookie").expect("a cookie");
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict; Max-Age=2592000"), "{cookie}");
    cookie.split(';').next().expect("a pair").to_owned()
}

#[test]
fn a_lan_address_is_refused_unless_it_was_asked_for() {
    let running = Running::fast();
    let elsewhere = SocketAddr::new([127, 0, 0, 2].into(), running.address.port());
    assert!(TcpStream::connect_timeout(&elsewhere, Duration::from_secs(2)).is_err(), "nothing listens there");
    let host = elsewhere.to_string();
    let reply = running.connect().request("GET", "/api/v1/status", &[("Host", &host)], b"");
    assert_eq!(reply.refusal(), (421, "wrong_host".to_owned()));
    let origin = format!("http://{host}");
    let reply = running.connect().request("POST", "/api/v1/queue/pause", &[("Origin", &origin)], b"");
    assert_eq!(reply.refusal(), (403, "cross_site".to_owned()));
    let state = running.get("/api/v1/lan").json();
    assert_eq!((&state["on"], &state["here"], &state["code"]), (&false.into(), &true.into(), &serde_json::Value::Null));
    assert_eq!(state["command"], "fieldforge serve --lan");
    assert_eq!(running.get("/pair").refusal(), (404, "lan_off".to_owned()));
    assert_eq!(running.send("POST", "/api/v1/lan/code").refusal(), (409, "lan_off".to_owned()));
}

#[test]
fn a_device_that_is_not_paired_gets_the_way_to_pair_and_nothing_else() {
    let running = Running::for_devices();
    for (method, path) in [
        ("GET", "/api/v1/status"),
        ("GET", "/api/v1/lan"),
        ("GET", "/api/v1/healthz"),
        ("GET", "/api/v1/events"),
        ("GET", "/assets/index.js"),
        ("POST", "/api/v1/queue/pause"),
        ("DELETE", "/api/v1/lan/devices/x"),
        ("GET", "/sdapi/v1/options"),
        ("GET", "/v1/models"),
        ("GET", "/ws"),
        ("GET", "/pair/"),
        ("GET", "/pair/../api/v1/status"),
        ("OPTIONS", "/"),
    ] {
        let reply = ask(&running, method, path, &[], "");
        assert_eq!(reply.refusal(), (401, "not_paired".to_owned()), "{method} {path}");
        assert_eq!(reply.header("www-authenticate"), Some("Bearer realm=\"fieldforge\""));
    }
    let hint = ask(&running, "GET", "/api/v1/status", &[], "").json()["error"]["hint"].to_string();
    assert!(hint.contains(&format!("open http://{}/pair on it", door(&running))), "{hint}");

    // A person sees the form at whatever address, and the computer shows the code.
    for (path, status, language) in [("/", 401, "en"), ("/pair", 200, "de-DE,en"), ("/gallery", 401, "fr")] {
        let page = ask(&running, "GET", path, &[("Accept", "text/html,*/*"), ("Accept-Language", language)], "");
        assert_eq!((page.status, page.header("content-type")), (status, Some("text/html; charset=utf-8")), "{path}");
        let text = page.text();
        assert!(text.contains("<form method=\"post\" action=\"/pair\">"), "{text}");
        assert!(text.contains(if language.starts_with("de") { "<html lang=\"de\">" } else { "<html lang=\"en\">" }));
        let policy = page.header("content-security-policy").expect("a policy");
        assert!(policy.contains("form-action 'self'") && policy.contains("default-src 'none'"), "{policy}");
        assert_eq!(page.header("referrer-policy"), Some("same-origin"));
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert!(!text.contains(&code(&running)));
    }
    let said = running.said.lock().expect("not poisoned").clone();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("A device at 127.0.0.1 asks to be paired") && said[0].contains(&code(&running)));
    // What the QR code says fills the form in, and only with digits.
    let page = ask(&running, "GET", "/pair?code=12%2234<b>5678999", &[("Accept", "text/html")], "").text();
    assert!(page.contains("value=\"12345678\""), "{page}");
}

#[test]
fn a_paired_device_uses_the_server_by_cookie_or_by_token() {
    let running = Running::for_devices();
    let cookie = paired(&running);
    let with = [("Cookie", &*format!("other=1; {cookie}"))];
    assert_eq!(ask(&running, "GET", "/api/v1/status", &with, "").status, 200);
    assert_eq!(ask(&running, "GET", "/", &with, "").status, 200);
    assert_eq!(ask(&running, "GET", "/pair", &with, "").status, 303);
    let drawn = ask(&running, "POST", "/api/v1/generate", &[with[0], JSON], r#"{"prompt":"from the sofa"}"#);
    assert_eq!(drawn.status, 202, "{}", drawn.text());

    // What would steer a terminal is left out of the name.
    let body = format!(r#"{{"code":"{}","name":"Kri\u001b\u202e\u0007ta"}}"#, code(&running));
    let reply = ask(&running, "POST", "/pair", &[JSON], &body);
    assert_eq!((reply.status, &reply.json()["device"]["name"]), (200, &"Krita".into()), "{}", reply.text());
    let token = reply.json()["token"].as_str().expect("a token").to_owned();
    assert_eq!(token.len(), 64);
    let login = base64(&format!("anybody:{token}"));
    for authorization in [format!("Bearer {token}"), format!("bearer {token}"), format!("Basic {login}")] {
        let reply = ask(&running, "GET", "/v1/models", &[("Authorization", &authorization)], "");
        assert_eq!(reply.status, 200, "{authorization}");
    }
    for wrong in [token.get(1..).expect("a token"), "", &token.to_uppercase()] {
        let reply = ask(&running, "GET", "/v1/models", &[("Authorization", &format!("Bearer {wrong}"))], "");
        assert_eq!(reply.status, 401, "{wrong}");
    }
    let devices = running.get("/api/v1/lan").json()["devices"].clone();
    let names: Vec<_> = devices.as_array().expect("a list").iter().map(|device| &device["name"]).collect();
    assert_eq!(names, ["Krita", "a program"]);
    assert!(!devices.to_string().contains(&token));
}

/// RFC 4648, so that the test does not use what it tests.
fn base64(text: &str) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in text.as_bytes().chunks(3) {
        let number = three.iter().fold(0_u32, |all, byte| all << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for at in 0..4 {
            let sign = SIGNS[(number >> (18 - 6 * at) & 63) as usize];
            out.push(if at <= three.len() { char::from(sign) } else { '=' });
        }
    }
    out
}

#[test]
fn codes_are_used_once_and_wrong_ones_cost_time() {
    let running = Running::for_devices();
    let first = code(&running);
    let pair = |code: &str| ask(&running, "POST", "/pair", &[JSON], &format!(r#"{{"code":"{code}"}}"#));
    assert_eq!(pair(&first).status, 200);
    let second = code(&running);
    assert_ne!(first, second);
    let wrong = if second == "0000 0000" { "0000 0001" } else { "0000 0000" };
    assert_eq!(pair(wrong).refusal(), (403, "wrong_code".to_owned()));
    // The right one has to wait as well.
    assert_eq!(pair(&second).refusal(), (429, "too_many_tries".to_owned()));
    let page = ask(&running, "POST", "/pair", &[FORM], "code=1");
    assert_eq!(page.status, 429);
    assert!(page.text().contains("Too many wrong codes came. Try again in 1 s."), "{}", page.text());
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(pair(&second).status, 200);
    let third = code(&running);
    assert_eq!(running.send("POST", "/api/v1/lan/code").status, 200);
    assert_ne!(third, code(&running));
    for body in ["", "{", "[]", r#"{"code":1}"#, r#"{"code":"1","token":"x"}"#] {
        assert_eq!(ask(&running, "POST", "/pair", &[JSON], body).status, 400, "{body}");
    }
    assert_eq!(ask(&running, "POST", "/pair", &[("Content-Type", "text/plain")], "code=1").status, 415);
    assert_eq!(ask(&running, "DELETE", "/pair", &[], "").status, 405);
}

#[test]
fn a_forgotten_device_is_out_at_once_with_all_that_it_has_open() {
    let running = Running::for_devices();
    let cookie = paired(&running);
    let device = running.get("/api/v1/lan").json()["devices"][0].clone();
    assert_eq!(device["address"], "127.0.0.1");
    let mut listening = Client::connect(door(&running));
    listening.send(
        format!("GET /api/v1/events HTTP/1.1\r\nHost: {}\r\nCookie: {cookie}\r\n\r\n", door(&running)).as_bytes(),
    );
    assert_eq!(listening.head().status, 200);
    let path = format!("/api/v1/lan/devices/{}", device["id"].as_str().expect("an id"));
    assert_eq!(running.send("DELETE", &path).status, 204);
    assert_eq!(running.send("DELETE", &path).refusal(), (404, "unknown_device".to_owned()));
    assert!(listening.rest(Duration::from_secs(5)).is_some(), "the event stream ends");
    assert_eq!(ask(&running, "GET", "/api/v1/status", &[("Cookie", &cookie)], "").status, 401);
}

#[test]
fn a_paired_device_does_not_look_after_the_computer() {
    let running = Running::for_devices();
    let cookie = paired(&running);
    for (method, path, kind, body) in [
        ("POST", "/api/v1/models", "application/json", r#"{"path":"/etc/passwd"}"#),
        ("POST", "/api/v1/models?name=a.safetensors", "application/octet-stream", "x"),
        ("DELETE", "/api/v1/trash", "text/plain", ""),
        ("POST", "/api/v1/lan/code", "text/plain", ""),
        ("DELETE", "/api/v1/lan/devices/x", "text/plain", ""),
    ] {
        let reply = ask(&running, method, path, &[("Cookie", &cookie), ("Content-Type", kind)], body);
        assert_eq!(reply.refusal(), (403, "only_here".to_owned()), "{method} {path}");
    }
    let state = ask(&running, "GET", "/api/v1/lan", &[("Cookie", &cookie)], "").json();
    assert_eq!((&state["on"], &state["here"], &state["code"]), (&true.into(), &false.into(), &serde_json::Value::Null));
    assert_eq!(state["devices"], serde_json::json!([]));
    assert_eq!(state["addresses"][0]["qr"], serde_json::Value::Null);
}

#[test]
fn foreign_names_and_foreign_pages_are_refused_at_every_door() {
    let running = Running::for_devices();
    let cookie = paired(&running);
    let port = running.address.port();
    for host in ["evil.example", &format!("127.0.0.1:{port}"), &format!("localhost:{port}"), "127.0.0.2", "127.0.0.2:1"]
    {
        for headers in [&[("Host", host)][..], &[("Host", host), ("Cookie", &cookie)]] {
            let reply = ask(&running, "GET", "/pair", headers, "");
            assert_eq!(reply.refusal(), (421, "wrong_host".to_owned()), "{host}");
        }
    }
    for host in [format!("127.0.0.2:{port}"), format!("127.0.0.2.evil.example:{port}")] {
        let reply = running.connect().request("GET", "/", &[("Host", &host)], b"");
        assert_eq!(reply.refusal(), (421, "wrong_host".to_owned()), "{host}");
    }
    // A page of another site, also the one of the computer itself, cannot make a device pair or draw.
    for origin in
        ["http://evil.example", "null", &format!("http://127.0.0.1:{port}"), &format!("https://127.0.0.2:{port}")]
    {
        for (path, kind, body) in [("/pair", FORM, "code=12345678"), ("/api/v1/generate", JSON, r#"{"prompt":"a"}"#)] {
            let headers = [("Origin", origin), ("Cookie", cookie.as_str()), kind];
            assert_eq!(
                ask(&running, "POST", path, &headers, body).refusal(),
                (403, "cross_site".to_owned()),
                "{origin}"
            );
        }
    }
    let own = format!("http://{}", door(&running));
    let reply = ask(&running, "POST", "/api/v1/queue/pause", &[("Origin", &own), ("Cookie", &cookie)], "");
    assert!(reply.status < 300, "{}", reply.text());
}

#[test]
fn the_qr_code_and_the_page_of_the_computer_show_the_same() {
    let running = Running::for_devices();
    let state = running.get("/api/v1/lan").json();
    assert_eq!(state["addresses"][0]["url"], format!("http://{}/", door(&running)));
    let qr = &state["addresses"][0]["qr"];
    assert!(qr["side"].as_i64().is_some_and(|side| side > 21), "{qr}");
    assert!(qr["path"].as_str().is_some_and(|path| path.starts_with("M4 4h7v1h-7z")), "{qr}");
    assert!(state["expires_in"].as_u64().is_some_and(|seconds| (590..=600).contains(&seconds)));
    assert_eq!(running.get("/pair").header("location"), Some("/"));
}

#[test]
fn a_crowd_from_the_network_leaves_places_for_this_computer() {
    let _alone = one_crowd();
    let running = Running::for_devices();
    let cookie = paired(&running);
    let silent: Vec<Client> = (0..300).map(|_| Client::connect(door(&running))).collect();
    assert_eq!(running.get("/api/v1/healthz").status, 200);
    assert_eq!(ask(&running, "GET", "/api/v1/healthz", &[("Cookie", &cookie)], "").status, 200);
    drop(silent);
}
