//! HTTP by tiny_http 0.12. The only file that knows it.
//!
//! What this file does because the library does not:
//! - a fixed number of threads answers; each request passes a bounded channel;
//! - when the library stops accepting (it does after any accept error, or when it cannot copy a
//!   descriptor), accepting starts anew on a copy of the same socket, without making a socket;
//! - a body that was announced and not read never blocks or ends the program: the library would
//!   read all of it when the request is dropped, into one buffer of the announced size;
//! - server-sent events are written and flushed one by one, on a thread per listener;
//! - a panic ends one request only.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tiny_http::{HTTPVersion, Header, Request, Response, StatusCode};

use crate::connections::{Connections, InFlight};
use crate::events::{EventStream, Next};
use crate::http::{Body, Call, Handler, Reply};
use crate::lock::lock;
use crate::socket;

/// Threads that answer requests.
const WORKERS: usize = 8;
/// Requests that wait for one of them.
const WAITING: usize = 64;
/// How often the accepting side is looked after.
const TICK: Duration = Duration::from_millis(250);
/// A connection that waits this many ticks in a row shows that nobody accepts any more.
const STUCK_TICKS: u32 = 8;
/// An accepting side that has ended is listened to this long after its last request; its
/// connections have all timed out by then.
const RETIRED: Duration = Duration::from_secs(120);
/// A comment goes to silent listeners this often.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// An unread rest of a body up to this size is read away; see [`refuse_endless`].
const READ_AWAY: u64 = 16 << 20;

/// Accepts and answers until `stop` is set.
///
/// # Errors
/// When the system gives no thread or no descriptor at the start.
pub(crate) fn serve(listener: &TcpListener, handler: &Arc<dyn Handler>, stop: &Arc<AtomicBool>) -> io::Result<()> {
    let (sender, receiver) = sync_channel::<Arrived>(WAITING);
    let receiver = Arc::new(Mutex::new(receiver));
    for _ in 0..WORKERS {
        let (receiver, handler, stop) = (Arc::clone(&receiver), Arc::clone(handler), Arc::clone(stop));
        thread::Builder::new().name("http".to_owned()).spawn(move || work(&receiver, &handler, &stop))?;
    }
    let connections = Arc::new(Connections::default());
    let (ended, endings) = sync_channel::<()>(WAITING);
    let start = || accept(listener, sender.clone(), Arc::clone(&connections), ended.clone(), Arc::clone(stop));
    let mut started = Instant::now();
    start()?;
    let mut stuck = 0;
    while !stop.load(Ordering::Relaxed) {
        let dead = match endings.recv_timeout(TICK) {
            Ok(()) => true,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                stuck = if socket::somebody_waits(listener) { stuck + 1 } else { 0 };
                stuck >= STUCK_TICKS
            }
        };
        if dead {
            stuck = 0;
            // After an error that comes back at once (no descriptors left), not too fast.
            if started.elapsed() < TICK {
                thread::sleep(TICK);
            }
            started = Instant::now();
            if start().is_err() {
                // No thread or descriptor right now: the next ticks find the waiting connection.
                stuck = STUCK_TICKS / 2;
                // Without a waiting connection nothing would wake us: note the ending again.
                let _ = ended.try_send(());
            }
        }
    }
    socket::close(listener);
    Ok(())
}

struct Arrived {
    request: Request,
    in_flight: InFlight,
}

/// Starts one accepting side on a copy of the socket.
fn accept(
    listener: &TcpListener,
    sender: SyncSender<Arrived>,
    connections: Arc<Connections>,
    ended: SyncSender<()>,
    stop: Arc<AtomicBool>,
) -> io::Result<()> {
    let copy = listener.try_clone()?;
    // The library starts its threads with a call that panics when the system has none left.
    let server = catch_unwind(AssertUnwindSafe(|| tiny_http::Server::from_listener(copy, None)))
        .map_err(|_| io::Error::other("the system has no thread left"))?
        .map_err(io::Error::other)?;
    thread::Builder::new().name("http-accept".to_owned()).spawn(move || {
        let mut last = Instant::now();
        let mut over = false;
        while !stop.load(Ordering::Relaxed) && !(over && last.elapsed() > RETIRED) {
            match server.recv_timeout(TICK) {
                Ok(None) => {}
                Ok(Some(request)) => {
                    last = Instant::now();
                    let in_flight = connections.arrive(request.remote_addr().copied());
                    pass_on(&sender, Arrived { request, in_flight }, &stop);
                }
                Err(_) => {
                    over = true;
                    last = Instant::now();
                    let _ = ended.try_send(());
                }
            }
        }
        // Its end would open a connection to wake the accepting thread, which a sealed process
        // may not do; the thread ends with the socket.
        std::mem::forget(server);
    })?;
    Ok(())
}

/// Waits for a free place; requests pile up in the library meanwhile.
fn pass_on(sender: &SyncSender<Arrived>, mut arrived: Arrived, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        match sender.try_send(arrived) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => return,
            Err(TrySendError::Full(back)) => arrived = back,
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn work(receiver: &Mutex<Receiver<Arrived>>, handler: &Arc<dyn Handler>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let next = lock(receiver).recv_timeout(TICK);
        match next {
            Ok(arrived) => {
                // The library panics when a connection breaks in certain moments.
                let _ = catch_unwind(AssertUnwindSafe(|| answer(arrived, handler)));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// A body that is asked for only when the handler reads, because the first read sends
/// `100 Continue`; counts what it gives.
struct LazyBody<'a> {
    request: &'a mut Request,
    read: u64,
}

impl Read for LazyBody<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.request.as_reader().read(buffer)?;
        self.read += count as u64;
        Ok(count)
    }
}

fn answer(arrived: Arrived, handler: &Arc<dyn Handler>) {
    let Arrived { mut request, in_flight } = arrived;
    let method = request.method().as_str().to_owned();
    let target = request.url().to_owned();
    let headers = request
        .headers()
        .iter()
        .map(|header| (header.field.as_str().as_str().to_owned(), header.value.as_str().to_owned()))
        .collect();
    let announced = request.body_length().unwrap_or(0) as u64;
    let mut body = LazyBody { request: &mut request, read: 0 };
    let reply = handler.handle(&mut Call { method, target, headers, body: &mut body });
    let unread = announced.saturating_sub(body.read);
    let Reply { status, headers, body } = reply;
    let headers: Vec<Header> = headers
        .iter()
        // Values that are not ASCII do not exist here; one that did would be left out.
        .filter_map(|(name, value)| Header::from_bytes(name.as_bytes(), value.as_bytes()).ok())
        .collect();
    let response = match body {
        Body::Empty => plain(status, headers, Box::new(io::empty()), 0),
        Body::Bytes(bytes) => {
            let length = bytes.len();
            plain(status, headers, Box::new(io::Cursor::new(bytes)), length)
        }
        Body::Static(bytes) => plain(status, headers, Box::new(bytes), bytes.len()),
        Body::File(file, length) => {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            // A file that grows meanwhile gives what was announced.
            plain(status, headers, Box::new(file.take(length as u64)), length)
        }
        Body::Events(stream) => {
            return start_events(request, &headers, stream, in_flight, unread);
        }
    };
    respond(request, response, unread);
}

type Plain = Response<Box<dyn Read + Send>>;

fn plain(status: u16, headers: Vec<Header>, body: Box<dyn Read + Send>, length: usize) -> Plain {
    Response::new(StatusCode(status), headers, body, Some(length), None).with_chunked_threshold(usize::MAX)
}

/// Sends the response; whatever goes wrong concerns only a client that has gone.
fn respond(request: Request, response: Plain, unread: u64) {
    // Up to 1024 bytes are already read by the library.
    if unread <= 1024 {
        let _ = request.respond(response);
    } else if unread <= READ_AWAY {
        // The library reads the rest away before it lets go: not on one of our threads. Without
        // a thread it happens here, when the closure is dropped.
        let _ = thread::Builder::new().name("http-drain".to_owned()).spawn(move || {
            let _ = catch_unwind(AssertUnwindSafe(|| request.respond(response)));
        });
    } else {
        refuse_endless(request, response);
    }
}

/// Answers a request whose announced body is too large even to be thrown away.
///
/// The library would allocate the announced size to read it, and a program that allocates a
/// petabyte ends. So the answer is sent and the request is never dropped: its connection thread
/// and two descriptors stay until the program ends.
fn refuse_endless(request: Request, response: Plain) {
    let mut stream = request.upgrade("close", response);
    let _ = stream.flush();
    std::mem::forget(stream);
}

/// Hands the connection to a thread that writes events until the client goes.
fn start_events(request: Request, headers: &[Header], stream: EventStream, in_flight: InFlight, unread: u64) {
    let lonely = in_flight.on_end(stream.ender());
    if !lonely || unread > 0 {
        // Other requests of this connection would wait for the end of the events.
        let error = crate::api_error::ApiError::new(400, "not_alone", "events need a connection of their own");
        let Reply { status, headers, body } = crate::gate::harden(Reply::from(error));
        let headers = headers
            .iter()
            .filter_map(|(name, value)| Header::from_bytes(name.as_bytes(), value.as_bytes()).ok())
            .collect();
        if let Body::Bytes(bytes) = body {
            let length = bytes.len();
            respond(request, plain(status, headers, Box::new(io::Cursor::new(bytes)), length), unread);
        }
        return;
    }
    let chunked = *request.http_version() >= HTTPVersion(1, 1);
    let mut head = String::from("HTTP/1.1 200 OK\r\n");
    for header in headers {
        head.push_str(&format!("{}: {}\r\n", header.field, header.value));
    }
    head.push_str(if chunked { "Transfer-Encoding: chunked\r\n\r\n" } else { "Connection: close\r\n\r\n" });
    let mut out = EventWriter { out: request.into_writer(), chunked };
    let spawned = thread::Builder::new().name("http-events".to_owned()).spawn(move || {
        let _in_flight = in_flight;
        // An error means that the client has gone.
        let _ = catch_unwind(AssertUnwindSafe(|| out.run(&head, &stream)));
    });
    // Without a thread the connection is closed, and the page tries again.
    drop(spawned);
}

struct EventWriter {
    out: Box<dyn Write + Send>,
    chunked: bool,
}

impl EventWriter {
    fn run(&mut self, head: &str, stream: &EventStream) -> io::Result<()> {
        self.out.write_all(head.as_bytes())?;
        self.event("retry: 2000\n\n")?;
        loop {
            match stream.next(KEEP_ALIVE) {
                Next::Event(event) => self.event(&event)?,
                Next::Quiet => self.event(": still here\n\n")?,
                Next::Over => break,
            }
        }
        if self.chunked {
            self.out.write_all(b"0\r\n\r\n")?;
        }
        self.out.flush()
    }

    fn event(&mut self, text: &str) -> io::Result<()> {
        if self.chunked {
            write!(self.out, "{:x}\r\n{text}\r\n", text.len())?;
        } else {
            self.out.write_all(text.as_bytes())?;
        }
        self.out.flush()
    }
}
