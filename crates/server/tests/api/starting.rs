//! Ports, folders, facts, the end.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use server::{Facts, Server, ServerConfig, ServerError};

use crate::fake::{Fake, png};
use crate::running::Running;

fn config(port: u16, port_is_fixed: bool, folder: &tempfile::TempDir) -> ServerConfig {
    ServerConfig {
        port,
        port_is_fixed,
        outputs: folder.path().join("a b/Käse"),
        state: folder.path().join("state"),
        version: "1.2.3".into(),
        network: Vec::new(),
        comfy_frontend: None,
    }
}

#[test]
fn a_taken_port_moves_the_server_unless_it_was_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = other.local_addr().expect("an address").port();

    let error = Server::bind(config(port, true, &folder)).expect_err("taken");
    assert!(matches!(error, ServerError::PortTaken { port: found } if found == port));
    assert_eq!(error.to_string(), format!("port {port} on 127.0.0.1 is taken by another program"));
    assert!(error.hint().expect("a hint").contains("--port"));

    // The highest ports have nowhere to move to.
    if port < 65_000 {
        let server = Server::bind(config(port, false, &folder)).expect("another port");
        assert_eq!(server.moved_from(), Some(port));
        assert!(server.address().ip().is_loopback());
        assert!((port + 1..=port + 20).contains(&server.address().port()));
        assert_eq!(server.listener().local_addr().expect("an address"), server.address());
    }
    let server = Server::bind(config(0, true, &folder)).expect("any port");
    assert_eq!(server.moved_from(), None);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    fs_err::write(folder.path().join("a b"), b"a file").expect("written");
    let error = Server::bind(config(0, false, &folder)).expect_err("no folder");
    assert!(matches!(error, ServerError::Outputs { .. }));
    assert!(error.to_string().contains("Käse") && error.hint().is_some(), "{error}");
}

#[test]
fn the_page_learns_what_the_program_knows() {
    let folder = tempfile::tempdir().expect("a folder");
    let facts = Facts {
        seal: json!({"level": "S2", "sentence": "sealed", "mechanisms": []}),
        self_test: Some(json!({"verdict": "passed"})),
        self_test_picture: Some(png(8, 8, None)),
    };
    let running = Running::at(&folder.path().join("outputs"), Arc::new(Fake::default()), facts);
    let status = running.get("/api/v1/status").json();
    assert_eq!(status["seal_level"], "S2");
    assert_eq!(status["samplers"], json!(["Euler", "Euler a"]));
    assert_eq!(status["schedulers"], json!(["Automatic", "Karras"]));
    assert_eq!(status["limits"], json!({"max_side": 2048, "side_multiple": 8, "min_side": 64, "max_steps": 150}));
    assert_eq!(status["models"][0]["id"], "grey");
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(running.get("/api/v1/seal").json()["sentence"], "sealed");
    let report = running.get("/api/v1/self-test").json();
    assert_eq!(report, json!({"verdict": "passed", "picture_url": "/api/v1/self-test/picture.png"}));
    assert_eq!(running.get("/api/v1/self-test/picture.png").body, png(8, 8, None));

    let bare = Running::fast();
    assert_eq!(bare.get("/api/v1/self-test").refusal(), (404, "no_self_test".to_owned()));
    assert_eq!(bare.get("/api/v1/self-test/picture.png").status, 404);
    assert_eq!(bare.get("/api/v1/status").json()["seal_level"], serde_json::Value::Null);
}

#[test]
fn the_page_is_there_and_head_sends_no_body() {
    let running = Running::fast();
    let page = running.get("/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(page.header("cache-control"), Some("no-cache"));
    let mut client = running.connect();
    let head = client.request("HEAD", "/", &[], b"");
    assert_eq!(head.header("content-length"), page.header("content-length"));
    assert_eq!(client.request("GET", "/api/v1/healthz", &[], b"").text(), r#"{"ok":true}"#);
}

#[test]
fn stopping_ends_everything_soon() {
    let mut running = Running::with(Fake::slow());
    let mut events = running.connect().listen();
    let job = running.order(r#"{"prompt":"long","steps":150}"#);
    running.wait_for(&job, &["running"]);
    let started = Instant::now();
    running.stop();
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    while events.next().is_some() {}
    assert_eq!(running.files(), [""; 0]);
    let server = Server::bind(ServerConfig {
        port: running.address.port(),
        port_is_fixed: true,
        outputs: running.outputs.clone(),
        ..ServerConfig::default()
    });
    assert!(server.is_ok(), "the port is free again: {server:?}");
}

/// The files of the page's build output, without the record of its source.
fn built_page() -> Vec<(String, Vec<u8>)> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../frontend/dist");
    let mut folders = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(&root).expect("below the root").to_string_lossy().replace('\\', "/");
                files.push((name, fs_err::read(&path).expect("readable")));
            }
        }
    }
    files.retain(|(name, _)| name != "SOURCE.sha256");
    files
}

#[test]
fn every_file_of_the_built_page_is_served_as_it_is() {
    let running = Running::fast();
    let files = built_page();
    assert!(files.len() >= 3, "the page has {} files", files.len());
    for (name, bytes) in files {
        let reply = running.get(&format!("/{name}"));
        assert_eq!((reply.status, reply.body == bytes), (200, true), "{name}");
        let kind = reply.header("content-type").expect("a type");
        assert_ne!(kind, "application/octet-stream", "{name}");
        let cache = reply.header("cache-control").expect("a rule");
        assert_eq!(cache.contains("immutable"), name.starts_with("assets/"), "{name}");
        let etag = reply.header("etag").expect("a tag").to_owned();
        let again = running.connect().request("GET", &format!("/{name}"), &[("If-None-Match", &etag)], b"");
        assert_eq!((again.status, again.body.len()), (304, 0), "{name}");
        if name == "index.html" {
            assert_eq!(running.get("/").body, bytes);
        }
    }
}
