//! The server: binding, running, stopping.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fs_err as fs;
use serde_json::Value;

use crate::accept::{self, Listeners};
use crate::api::Api;
use crate::comfy::Comfy;
use crate::database::Database;
use crate::events::Events;
use crate::history::History;
use crate::http::Handler;
use crate::lan::Lan;
use crate::queue::Queue;
use crate::remarks::Remarks;
use crate::self_test::SelfTest;
use crate::studio::{self, Studio};
use crate::tasks::Tasks;
use crate::thumbnails::Thumbnails;
use crate::uploads::Uploads;
use crate::worker::Worker;
use crate::{Generate, Invitation, ServerError};

/// Ports that are tried after a taken one.
const NEXT_PORTS: u16 = 20;
/// The folder of pictures that were sent, inside the folder of what the server keeps.
const UPLOADS: &str = "uploads";
/// The folder of small pictures, beside it.
const THUMBNAILS: &str = "thumbnails";
/// The folder of what ComfyUI's frontend keeps, beside it.
const COMFY: &str = "comfy";
/// How often uploads that nobody needs are removed.
const SWEEP_EVERY: Duration = Duration::from_secs(6 * 3600);
/// How long a stopping server waits for the picture under way.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// Where to listen and where pictures go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// The wished port; 0 lets the system choose.
    pub port: u16,
    /// Whether a taken port is an error instead of a reason to try the next 20.
    pub port_is_fixed: bool,
    /// The folder of finished pictures; made when it is missing.
    pub outputs: PathBuf,
    /// The folder of what the server keeps besides pictures; made when it is missing.
    pub state: PathBuf,
    /// The program's version, for the page.
    pub version: String,
    /// Addresses of this computer where other devices reach the server as well, once they are paired; none for this
    /// computer alone.
    pub network: Vec<IpAddr>,
    /// The wheel with ComfyUI's own frontend, served below `/comfy/`; none where it is not installed.
    pub comfy_frontend: Option<PathBuf>,
}

impl Default for ServerConfig {
    /// Port 7860, not fixed, pictures in `outputs`, everything else in `state`, this crate's version, this computer alone.
    fn default() -> Self {
        Self {
            port: 7860,
            port_is_fixed: false,
            outputs: PathBuf::from("outputs"),
            state: PathBuf::from("state"),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            network: Vec::new(),
            comfy_frontend: None,
        }
    }
}

/// What the program knows about its own confinement; shown to the page as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// The seal report; its `level` also stands in the status.
    pub seal: Value,
    /// The last self-test's report, if one was made. The server sets its `picture_url`.
    pub self_test: Option<Value>,
    /// The self-test's picture, a PNG file.
    pub self_test_picture: Option<Vec<u8>>,
}

/// A bound server that does not answer yet: no thread runs, so the process can still be sealed.
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    listeners: Listeners,
    address: SocketAddr,
    lan: Lan,
    remarks: Remarks,
}

impl Server {
    /// Takes a port on 127.0.0.1, and the same one at each address of the network that the configuration names.
    ///
    /// # Errors
    /// [`ServerError::PortTaken`] or [`ServerError::NoFreePort`] when others have it,
    /// [`ServerError::Listen`] when the system refuses, [`ServerError::Outputs`] when the folder
    /// for pictures cannot be made.
    pub fn bind(config: ServerConfig) -> Result<Self, ServerError> {
        fs::create_dir_all(&config.outputs)
            .map_err(|source| ServerError::Outputs { path: config.outputs.clone(), source })?;
        let first = config.port;
        let last = if config.port_is_fixed || first == 0 { first } else { first.saturating_add(NEXT_PORTS) };
        // What the system chooses for one address may be taken at another: it chooses again.
        let again = if first == 0 { NEXT_PORTS } else { 0 };
        for port in (first..=last).chain((0..again).map(|_| 0)) {
            match listen_everywhere(port, &config.network) {
                Ok((listeners, address)) => {
                    let at = config.network.iter().map(|network| SocketAddr::new(*network, address.port())).collect();
                    return Ok(Self { config, listeners, address, lan: Lan::new(at), remarks: Remarks::default() });
                }
                Err(ServerError::Listen { source, .. }) if source.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(error),
            }
        }
        Err(if config.port_is_fixed {
            ServerError::PortTaken { port: first }
        } else {
            ServerError::NoFreePort { first, last }
        })
    }

    /// The listening socket, for the program's seal.
    pub fn listener(&self) -> &TcpListener {
        &self.listeners.own
    }

    /// The listening sockets for other devices, for the program's seal; none unless the configuration named addresses.
    pub fn network_listeners(&self) -> &[TcpListener] {
        &self.listeners.network
    }

    /// Where other devices reach the server.
    pub fn network_addresses(&self) -> &[SocketAddr] {
        self.lan.addresses()
    }

    /// What a person needs in order to pair a device; `None` when no other device can reach the server.
    pub fn invitation(&self) -> Option<Invitation> {
        self.lan.invitation().map(|(code, links)| Invitation { code, links })
    }

    /// Passes on what happens at the door for other devices, one sentence each: somebody asks to be paired and needs this
    /// code, somebody was paired. Only the person at the computer may see it.
    #[must_use]
    pub fn on_pairing(mut self, tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.lan.told_to(tell);
        self
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The wished port, if it was taken and another one is used.
    pub fn moved_from(&self) -> Option<u16> {
        let wished = self.config.port;
        (wished != 0 && wished != self.address.port()).then_some(wished)
    }

    /// Passes on what a person should know while the server runs, one sentence each: a database that was set aside, a full
    /// disk. The page shows the same.
    #[must_use]
    pub fn on_remark(mut self, tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.remarks = Remarks::told_to(tell);
        self
    }

    /// Answers until `stop` is set, then lets the picture under way end (at most 10 s).
    ///
    /// From here on no socket is made: connections are accepted on the bound one. Files are
    /// touched only in the folder for pictures and in the one for what the server keeps.
    ///
    /// # Errors
    /// [`ServerError::Run`] when the system gives no thread or no descriptor at the start, [`ServerError::Database`] when
    /// there is not even memory for the database.
    pub fn run(self, generate: Arc<dyn Generate>, facts: Facts, stop: Arc<AtomicBool>) -> Result<(), ServerError> {
        let failed = |source| ServerError::Run { source };
        let events = Arc::new(Events::default());
        let unusable = |source: rusqlite::Error| ServerError::Database { reason: source.to_string() };
        let remarks = self.remarks;
        let database = Arc::new(Database::open(&self.config.state, &remarks).map_err(unusable)?);
        let queue = Queue::new(Arc::clone(&events), Arc::clone(&database), remarks.clone()).map_err(unusable)?;
        let queue = Arc::new(queue);
        let history = Arc::new(History::new(self.config.outputs, Arc::clone(&database), Arc::clone(&events)));
        let uploads = Arc::new(Uploads::new(self.config.state.join(UPLOADS)));
        let keeping = (Arc::clone(&history), Arc::clone(&uploads), Arc::clone(&queue), Arc::clone(&stop));
        thread::Builder::new().name("history".to_owned()).spawn(move || keep_house(&keeping)).map_err(failed)?;
        let comfy =
            Arc::new(Comfy::new(&self.config.state.join(COMFY), self.config.comfy_frontend.as_deref(), &remarks));
        let worker = Worker {
            runs: Arc::clone(&comfy.runs),
            queue: Arc::clone(&queue),
            history: Arc::clone(&history),
            events: Arc::clone(&events),
            generate: Arc::clone(&generate),
            pictures: studio::pictures(&history, &uploads),
            stop: Arc::clone(&stop),
        };
        let drawing = thread::Builder::new().name("generate".to_owned()).spawn(move || worker.run()).map_err(failed)?;
        let self_test = SelfTest::new(facts.self_test.clone(), facts.self_test_picture.clone());
        let studio = Studio {
            port: self.address.port(),
            version: self.config.version,
            queue: Arc::clone(&queue),
            history,
            uploads,
            generate,
            facts,
            remarks,
            thumbnails: Thumbnails::new(self.config.state.join(THUMBNAILS)),
            tasks: Tasks::new(Arc::clone(&stop)),
            self_test,
            started: Instant::now(),
            lan: self.lan,
        };
        let seats = Arc::clone(studio.lan.seats());
        let api: Arc<dyn Handler> =
            Arc::new(Api { studio: Arc::new(studio), comfy, tasks: crate::sdapi::Tasks::default() });
        accept::serve(&self.listeners, &api, &seats, &stop);
        // From here on nobody can connect.
        drop(self.listeners);
        events.close();
        let deadline = Instant::now() + STOP_PATIENCE;
        while !drawing.is_finished() && Instant::now() < deadline {
            queue.close();
            thread::sleep(Duration::from_millis(10));
        }
        database.close();
        Ok(())
    }
}

/// Takes one port on 127.0.0.1 and at each of these addresses.
fn listen_everywhere(port: u16, network: &[IpAddr]) -> Result<(Listeners, SocketAddr), ServerError> {
    let (own, address) = listen(Ipv4Addr::LOCALHOST.into(), port)?;
    let network = network.iter().map(|at| listen(*at, address.port()).map(|(listener, _)| listener));
    Ok((Listeners { own, network: network.collect::<Result<_, _>>()? }, address))
}

fn listen(at: IpAddr, port: u16) -> Result<(TcpListener, SocketAddr), ServerError> {
    let failed = |source| ServerError::Listen { address: SocketAddr::new(at, port), source };
    let listener = TcpListener::bind((at, port)).map_err(failed)?;
    // An accept that waits for ever would not see the stop flag.
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Reads the folder of pictures, then removes uploads that nobody needs, now and again.
fn keep_house((history, uploads, queue, stop): &(Arc<History>, Arc<Uploads>, Arc<Queue>, Arc<AtomicBool>)) {
    history.scan();
    let mut swept: Option<Instant> = None;
    while !stop.load(Ordering::Relaxed) {
        if swept.is_none_or(|swept| swept.elapsed() >= SWEEP_EVERY) {
            uploads.sweep(|| queue.uploads_in_use());
            swept = Some(Instant::now());
        }
        thread::sleep(Duration::from_millis(500));
    }
}
