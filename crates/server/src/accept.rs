//! Accepting connections, a bounded number of them, one thread each.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::api_error::ApiError;
use crate::connection;
use crate::door::Door;
use crate::gate;
use crate::http::{Handler, Reply};
use crate::respond;
use crate::seats::{MAX_CONNECTIONS, Seats};
use crate::socket;

/// How often the stop flag is looked at.
const TICK: Duration = Duration::from_millis(200);
/// Pause after an accept error, such as no descriptors left: the next try may work.
const PAUSE: Duration = Duration::from_millis(50);
/// How long the connections under way may take to end.
const END_PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of stack of a connection's thread.
const STACK: usize = 1 << 20;

/// The sockets that wait for connections; none of them blocks.
#[derive(Debug)]
pub(crate) struct Listeners {
    /// For this computer.
    pub(crate) own: TcpListener,
    /// For other devices; empty unless that was asked for.
    pub(crate) network: Vec<TcpListener>,
}

impl Listeners {
    fn each(&self) -> impl Iterator<Item = (&TcpListener, bool)> {
        let network = self.network.iter().map(|listener| (listener, true));
        std::iter::once((&self.own, false)).chain(network)
    }
}

/// Accepts and answers until `stop` is set. No error ends it: whatever goes wrong concerns one
/// connection, or passes.
pub(crate) fn serve(listeners: &Listeners, handler: &Arc<dyn Handler>, seats: &Arc<Seats>, stop: &Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        let mut came = false;
        for (listener, network) in listeners.each() {
            match listener.accept() {
                Ok((stream, peer)) => {
                    came = true;
                    attend(stream, peer, network, handler, seats, stop);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => {
                    // Nothing is left to accept it with, unless somebody goes.
                    seats.make_room();
                    thread::sleep(PAUSE);
                }
            }
        }
        if !came {
            socket::wait_for_connection(listeners.each().map(|(listener, _)| listener), TICK);
        }
    }
    let deadline = Instant::now() + END_PATIENCE;
    while seats.count() > 0 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
}

fn attend(
    stream: TcpStream,
    peer: SocketAddr,
    network: bool,
    handler: &Arc<dyn Handler>,
    seats: &Arc<Seats>,
    stop: &Arc<AtomicBool>,
) {
    // A connection that ended meanwhile has no address.
    let Ok(local) = stream.local_addr() else { return };
    match seats.take(stream, Door::new(local, peer.ip(), network)) {
        Ok(place) => {
            let (handler, stop) = (Arc::clone(handler), Arc::clone(stop));
            // Without a thread the closure is dropped here: connection closed, place free.
            let _ = thread::Builder::new().name("http".to_owned()).stack_size(STACK).spawn(move || {
                connection::attend(&place.seat, handler.as_ref(), &stop);
            });
        }
        Err((stream, _)) => {
            let error =
                ApiError::new(503, "too_many_connections", format!("{MAX_CONNECTIONS} connections are already open"))
                    .hint("close some of the pages");
            respond::refuse_at_once(&stream, gate::harden(Reply::from(error)));
        }
    }
}
