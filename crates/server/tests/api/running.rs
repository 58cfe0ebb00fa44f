//! A running server in a folder of its own; it stops when the test ends.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use server::{Facts, Generate, Server, ServerConfig, ServerError};
use tempfile::TempDir;

use crate::client::{Client, Reply};
use crate::fake::Fake;

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) outputs: PathBuf,
    /// Where other devices reach it: another address of loopback, because a test machine has no other that is its own.
    pub(crate) network: Vec<SocketAddr>,
    /// What was said at the door for other devices.
    pub(crate) said: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), ServerError>>>,
    _folder: Option<TempDir>,
}

/// One crowd at a time: each takes hundreds of this process's descriptors.
pub(crate) fn one_crowd() -> MutexGuard<'static, ()> {
    static CROWD: Mutex<()> = Mutex::new(());
    CROWD.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Running {
    /// A server with an empty folder.
    pub(crate) fn with(engine: impl Generate) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut running = Self::at(&folder.path().join("outputs"), Arc::new(engine), Facts::default());
        running._folder = Some(folder);
        running
    }

    /// A server with an engine that takes no time.
    pub(crate) fn fast() -> Self {
        Self::with(Fake::default())
    }

    /// A server that other devices reach at 127.0.0.2.
    pub(crate) fn for_devices() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let outputs = folder.path().join("outputs");
        let network = vec![[127, 0, 0, 2].into()];
        let mut running = Self::start(&outputs, Arc::new(Fake::default()), Facts::default(), network);
        running._folder = Some(folder);
        running
    }

    /// A server on an existing folder.
    pub(crate) fn at(outputs: &Path, engine: Arc<dyn Generate>, facts: Facts) -> Self {
        Self::start(outputs, engine, facts, Vec::new())
    }

    /// A server for devices, too, that has this wheel of ComfyUI's frontend.
    pub(crate) fn with_frontend(wheel: &[u8]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let outputs = folder.path().join("outputs");
        let path = folder.path().join("frontend.whl");
        fs_err::write(&path, wheel).expect("a wheel");
        let config =
            ServerConfig { network: vec![[127, 0, 0, 2].into()], comfy_frontend: Some(path), ..Self::config(&outputs) };
        let mut running = Self::run(config, Arc::new(Fake::default()), Facts::default());
        running._folder = Some(folder);
        running
    }

    fn config(outputs: &Path) -> ServerConfig {
        ServerConfig {
            port: 0,
            outputs: outputs.to_owned(),
            state: outputs.with_file_name("state"),
            ..ServerConfig::default()
        }
    }

    fn start(outputs: &Path, engine: Arc<dyn Generate>, facts: Facts, network: Vec<IpAddr>) -> Self {
        Self::run(ServerConfig { network, ..Self::config(outputs) }, engine, facts)
    }

    fn run(config: ServerConfig, engine: Arc<dyn Generate>, facts: Facts) -> Self {
        let outputs = config.outputs.clone();
        let said = Arc::new(Mutex::new(Vec::new()));
        let saying = Arc::clone(&said);
        let server = Server::bind(config).expect("a port");
        let server = server.on_pairing(move |text| saying.lock().expect("not poisoned").push(text.to_owned()));
        let address = server.address();
        let network = server.network_addresses().to_vec();
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let thread = thread::spawn(move || server.run(engine, facts, stopping));
        Self { address, outputs, network, said, stop, thread: Some(thread), _folder: None }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.connect().request("GET", path, &[], b"")
    }

    pub(crate) fn send(&self, method: &str, path: &str) -> Reply {
        self.connect().request(method, path, &[], b"")
    }

    /// Orders a picture with a JSON body.
    pub(crate) fn post(&self, body: &str) -> Reply {
        self.connect().request("POST", "/api/v1/generate", &[("Content-Type", "application/json")], body.as_bytes())
    }

    /// Orders one picture and gives the job's id.
    pub(crate) fn order(&self, body: &str) -> String {
        let reply = self.post(body);
        assert_eq!(reply.status, 202, "{}", reply.text());
        reply.json()["jobs"][0]["id"].as_str().expect("an id").to_owned()
    }

    /// Waits until a job is over and gives it.
    pub(crate) fn finished(&self, id: &str) -> serde_json::Value {
        self.wait_for(id, &["done", "failed", "cancelled"])
    }

    /// Waits until a job is in one of the states and gives it.
    pub(crate) fn wait_for(&self, id: &str, states: &[&str]) -> serde_json::Value {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let job = self.get(&format!("/api/v1/jobs/{id}")).json();
            if states.iter().any(|state| job["state"] == *state) {
                return job;
            }
            assert!(Instant::now() < deadline, "the job never came to {states:?}: {job}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The names in the folder for pictures, sorted.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = fs_err::read_dir(&self.outputs)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// Stops the server and waits for it.
    pub(crate) fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("no panic").expect("a clean end");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if thread::panicking() {
            self.stop.store(true, Ordering::Relaxed);
        } else {
            self.stop();
        }
    }
}
