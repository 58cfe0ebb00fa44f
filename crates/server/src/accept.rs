//! Accepting connections, a bounded number of them, one thread each.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::api_error::ApiError;
use crate::connection;
use crate::gate;
use crate::http::{Handler, Reply};
use crate::respond;
use crate::socket;

/// Most connections at once; further ones are told so and closed.
const MAX_CONNECTIONS: usize = 128;
/// How often the stop flag is looked at.
const TICK: Duration = Duration::from_millis(200);
/// Pause after an accept error, such as no descriptors left: the next try may work.
const PAUSE: Duration = Duration::from_millis(50);
/// How long the connections under way may take to end.
const END_PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of stack of a connection's thread.
const STACK: usize = 1 << 20;

/// Accepts and answers until `stop` is set. No error ends it: whatever goes wrong concerns one
/// connection, or passes.
pub(crate) fn serve(listener: &TcpListener, handler: &Arc<dyn Handler>, stop: &Arc<AtomicBool>) {
    let open = Arc::new(AtomicUsize::new(0));
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((stream, _)) => attend(stream, handler, stop, &open),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                socket::wait_for_connection(listener, TICK);
            }
            Err(_) => thread::sleep(PAUSE),
        }
    }
    let deadline = Instant::now() + END_PATIENCE;
    while open.load(Ordering::Relaxed) > 0 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
}

/// Counts a connection out when its thread ends, however it ends.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn attend(stream: TcpStream, handler: &Arc<dyn Handler>, stop: &Arc<AtomicBool>, open: &Arc<AtomicUsize>) {
    // Only this thread counts up, so the limit holds.
    if open.load(Ordering::Relaxed) >= MAX_CONNECTIONS {
        let error =
            ApiError::new(503, "too_many_connections", format!("{MAX_CONNECTIONS} connections are already open"))
                .hint("close some of the pages");
        respond::refuse_at_once(&stream, gate::harden(Reply::from(error)));
        return;
    }
    open.fetch_add(1, Ordering::Relaxed);
    let place = Place(Arc::clone(open));
    let (handler, stop) = (Arc::clone(handler), Arc::clone(stop));
    // Without a thread the closure is dropped here: connection closed, place free.
    let _ = thread::Builder::new().name("http".to_owned()).stack_size(STACK).spawn(move || {
        let _place = place;
        connection::attend(stream, handler.as_ref(), &stop);
    });
}
