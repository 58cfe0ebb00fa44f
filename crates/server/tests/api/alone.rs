//! The server alone in a process that is short of descriptors, or sealed by the kernel.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use server::{Facts, Server, ServerConfig};

use crate::client::Client;
use crate::fake::Fake;

const FOLDER: &str = "FIELDFORGE_TEST_FOLDER";
const SEALED: &str = "FIELDFORGE_TEST_SEALED";

/// The server of the other tests, in a process of its own; does nothing in an ordinary run.
#[test]
fn the_other_process() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let config = ServerConfig {
        port: 0,
        outputs: folder.join("outputs"),
        state: folder.join("state"),
        network: vec![[127, 0, 0, 2].into()],
        ..ServerConfig::default()
    };
    let outputs = config.outputs.clone();
    let server = Server::bind(config).expect("a port");
    let tell = |name: &str, text: &str| {
        fs_err::write(folder.join("part"), text).expect("written");
        fs_err::rename(folder.join("part"), folder.join(name)).expect("renamed");
    };
    if std::env::var_os(SEALED).is_some() {
        let rules = seal::FileRules { read_write: vec![folder.to_owned(), outputs], read_only: Vec::new() };
        let report = seal::seal_network_server(server.listener(), server.network_listeners(), &rules)
            .expect("a listener on loopback");
        tell("level", &format!("{:?}", report.level));
    }
    if std::env::var_os(SEALED).is_some() {
        let out = seal::probe(server.address(), seal::Level::S2).into_iter().filter(|attempt| !attempt.refused);
        tell("out", &out.map(|attempt| attempt.what).collect::<Vec<_>>().join("\n"));
    }
    tell("address", &server.address().to_string());
    let stop = Arc::new(AtomicBool::new(false));
    let ending = Arc::clone(&stop);
    thread::spawn(move || {
        // The parent ends this process; without one it ends by itself.
        thread::sleep(Duration::from_secs(60));
        ending.store(true, Ordering::Relaxed);
    });
    server.run(Arc::new(Fake::default()), Facts::default(), stop).expect("a clean end");
}

struct Alone {
    child: Child,
    address: SocketAddr,
}

impl Alone {
    /// Starts it through a shell that first runs `before`.
    fn start(folder: &Path, before: &str, sealed: bool) -> Self {
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("{before} exec \"$0\" --exact alone::the_other_process")])
            .arg(std::env::current_exe().expect("a name"))
            .env(FOLDER, folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if sealed {
            command.env(SEALED, "1");
        }
        let mut alone =
            Self { child: command.spawn().expect("a shell"), address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Ok(address) = fs_err::read_to_string(folder.join("address")) {
                alone.address = address.parse().expect("an address");
                return alone;
            }
            assert!(Instant::now() < deadline, "the server never listened");
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn get(&self, path: &str) -> crate::client::Reply {
        Client::connect(self.address).request("GET", path, &[], b"")
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(unix)]
#[test]
fn the_server_comes_back_after_running_out_of_descriptors() {
    let folder = tempfile::tempdir().expect("a folder");
    let alone = Alone::start(folder.path(), "ulimit -n 40 &&", false);
    assert_eq!(alone.get("/api/v1/healthz").status, 200);
    // More connections than there are descriptors.
    let crowd: Vec<TcpStream> = (0..60).filter_map(|_| TcpStream::connect(alone.address).ok()).collect();
    assert!(crowd.len() > 40);
    thread::sleep(Duration::from_millis(500));
    drop(crowd);
    let started = Instant::now();
    assert_eq!(alone.get("/api/v1/healthz").status, 200);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[cfg(unix)]
#[test]
fn a_crowd_that_holds_every_descriptor_has_to_let_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let alone = Alone::start(folder.path(), "ulimit -n 40 &&", false);
    let crowd: Vec<TcpStream> = (0..60).filter_map(|_| TcpStream::connect(alone.address).ok()).collect();
    assert!(crowd.len() > 40);
    let started = Instant::now();
    assert_eq!(alone.get("/api/v1/healthz").status, 200);
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    drop(crowd);
}

#[cfg(target_os = "linux")]
#[test]
fn a_sealed_server_on_the_network_gets_nowhere_and_pairs_devices() {
    let folder = tempfile::tempdir().expect("a folder");
    let alone = Alone::start(folder.path(), "", true);
    if fs_err::read_to_string(folder.path().join("level")).expect("a level") == "S2" {
        assert_eq!(fs_err::read_to_string(folder.path().join("out")).expect("what got out"), "");
    }
    let code = alone.get("/api/v1/lan").json()["code"].as_str().expect("a code").to_owned();
    let door = SocketAddr::new([127, 0, 0, 2].into(), alone.address.port());
    let ask = |path: &str, headers: &[(&str, &str)], body: &str| {
        Client::connect(door).request(if body.is_empty() { "GET" } else { "POST" }, path, headers, body.as_bytes())
    };
    assert_eq!(ask("/api/v1/status", &[], "").status, 401);
    let reply = ask("/pair", &[("Content-Type", "application/json")], &format!(r#"{{"code":"{code}"}}"#));
    let token = reply.json()["token"].as_str().expect("a token").to_owned();
    assert_eq!(ask("/api/v1/status", &[("Authorization", &format!("Bearer {token}"))], "").status, 200);
}

#[cfg(target_os = "linux")]
#[test]
fn a_sealed_process_serves_draws_saves_deletes_and_restores() {
    let folder = tempfile::tempdir().expect("a folder");
    let alone = Alone::start(folder.path(), "", true);
    let level = fs_err::read_to_string(folder.path().join("level")).expect("a level");
    // Where the kernel refuses to seal, the server must work all the same.
    assert!(["S0", "S1", "S2", "S3"].contains(&level.as_str()), "{level}");
    let mut events = Client::connect(alone.address).listen();
    let body = br#"{"prompt":"a cat"}"#;
    let reply = Client::connect(alone.address).request(
        "POST",
        "/api/v1/generate",
        &[("Content-Type", "application/json")],
        body,
    );
    assert_eq!(reply.status, 202, "{}", reply.text());
    let picture = events.until("picture");
    let id = picture["id"].as_str().expect("an id");
    assert_eq!(alone.get(picture["url"].as_str().expect("an address")).status, 200);
    let ask = |method: &str, path: String| Client::connect(alone.address).request(method, &path, &[], b"").status;
    assert_eq!(ask("DELETE", format!("/api/v1/pictures/{id}")), 204);
    assert_eq!(ask("POST", format!("/api/v1/pictures/{id}/restore")), 200);
    // A refused body is read away with calls that the seal must know.
    let large = vec![b' '; 5 << 20];
    let reply = Client::connect(alone.address).request(
        "POST",
        "/api/v1/generate",
        &[("Content-Type", "application/json")],
        &large,
    );
    assert_eq!(reply.status, 413);
}
