//! One connection: request after request, each with limits on size and time.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::api_error::ApiError;
use crate::gate;
use crate::head::{Head, MAX_HEAD, end_of_head, too_large};
use crate::http::{Body, Call, Handler, Reply};
use crate::respond::{self, After};
use crate::seats::Seat;

/// A connection without a request is closed after this.
const IDLE: Duration = Duration::from_secs(30);
/// A head must be complete this long after its first byte.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// A body must be complete this long after its head, and a second more for each [`BODY_PACE`] bytes.
const BODY_TIME: Duration = Duration::from_secs(30);
/// Bytes a second that a sender of a large body keeps up.
const BODY_PACE: u64 = 1 << 20;
/// A body may stop for so long.
const BODY_PAUSE: Duration = Duration::from_secs(20);
/// How often a waiting connection looks at the stop flag.
const TICK: Duration = Duration::from_millis(250);

/// A connection and what was read from it beyond the last request.
struct Connection<'a> {
    seat: &'a Seat,
    ahead: Vec<u8>,
}

/// Answers the requests of one connection until either side ends it.
pub(crate) fn attend(seat: &Seat, handler: &dyn Handler, stop: &AtomicBool) {
    let stream = &seat.stream;
    // A listener that does not block hands that on to its connections on some systems.
    if stream.set_nonblocking(false).is_err() {
        return;
    }
    // Small answers go out at once; without it they are only slower.
    let _ = stream.set_nodelay(true);
    let mut connection = Connection { seat, ahead: Vec::new() };
    while !stop.load(Ordering::Relaxed) {
        seat.wait();
        let head = connection.read_head(stop);
        seat.attend();
        let head = match head {
            Ok(Some(head)) => head,
            Ok(None) => return,
            Err(error) => {
                let reply = gate::harden(Reply::from(error));
                respond::send(stream, reply, false, true, stop);
                respond::linger(stream);
                return;
            }
        };
        if !connection.answer(head, handler, stop) {
            return;
        }
    }
}

impl Connection<'_> {
    /// Reads the next head; `None` when the client has gone or sends nothing for long.
    fn read_head(&mut self, stop: &AtomicBool) -> Result<Option<Head>, ApiError> {
        let idle_until = Instant::now() + IDLE;
        while self.ahead.is_empty() {
            if stop.load(Ordering::Relaxed) || Instant::now() > idle_until {
                return Ok(None);
            }
            match self.fill(TICK) {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(error) if is_timeout(&error) => {}
                Err(_) => return Ok(None),
            }
        }
        let deadline = Instant::now() + HEAD_TIME;
        let mut searched = 0;
        let end = loop {
            if let Some(end) = end_of_head(&self.ahead, searched) {
                break end;
            }
            searched = self.ahead.len();
            if searched > MAX_HEAD {
                return Err(too_large());
            }
            let too_slow = || ApiError::new(408, "too_slow", "the head did not arrive in time");
            let left = deadline.checked_duration_since(Instant::now()).ok_or_else(too_slow)?;
            match self.fill(left.min(TICK)) {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(error) if is_timeout(&error) && !stop.load(Ordering::Relaxed) => {}
                Err(_) => return Ok(None),
            }
        };
        if end > MAX_HEAD {
            return Err(too_large());
        }
        let head: Vec<u8> = self.ahead.drain(..end).collect();
        Head::parse(&head).map(Some)
    }

    /// Answers one request; false ends the connection.
    fn answer(&mut self, head: Head, handler: &dyn Handler, stop: &AtomicBool) -> bool {
        let Head { method, target, headers, length, expects_continue, last, modern } = head;
        let without_body = method == "HEAD";
        let Self { seat, ahead } = self;
        let (seat, stream) = (*seat, &seat.stream);
        // A day is enough for the largest file.
        let time = BODY_TIME + Duration::from_secs((length / BODY_PACE).min(24 * 3600));
        let mut body = BodyReader { seat, ahead, left: length, deadline: Instant::now() + time, expects_continue };
        let gone = || stop.load(Ordering::Relaxed) || has_gone(stream);
        let mut call = Call { method, target, headers, length, body: &mut body, gone: &gone, door: &seat.door };
        let reply = catch_unwind(AssertUnwindSafe(|| handler.handle(&mut call))).unwrap_or_else(|_| {
            let error = ApiError::new(500, "internal", "the server met an error of its own")
                .hint("try again; if it stays, start the program again");
            gate::harden(Reply::from(error))
        });
        // An unread rest would be taken for the next request.
        let unread = body.left > 0;
        let last = last || unread || stop.load(Ordering::Relaxed);
        let reply = match reply.body {
            Body::Events(_) if !modern => {
                let error = ApiError::new(505, "too_old", "events need HTTP/1.1");
                gate::harden(Reply::from(error))
            }
            _ => reply,
        };
        // A client has to take its answer; who listens to events is in nobody's way.
        if !matches!(reply.body, Body::Events(_) | Body::Socket(_)) {
            seat.wait();
        }
        match respond::send(stream, reply, without_body, last, stop) {
            After::Open => true,
            After::Done => {
                if unread {
                    respond::linger(stream);
                }
                false
            }
        }
    }

    /// Reads what is there into `ahead`, waiting at most `patience`.
    fn fill(&mut self, patience: Duration) -> io::Result<usize> {
        let mut buffer = [0; 8192];
        let count = read_some(&self.seat.stream, &mut buffer, patience)?;
        self.ahead.extend_from_slice(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

/// The body of the request at hand, and not a byte more.
struct BodyReader<'a> {
    seat: &'a Seat,
    ahead: &'a mut Vec<u8>,
    left: u64,
    deadline: Instant,
    expects_continue: bool,
}

impl Read for BodyReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let Some(buffer) = buffer.get_mut(..room).filter(|buffer| !buffer.is_empty()) else { return Ok(0) };
        let count = if self.ahead.is_empty() {
            if std::mem::take(&mut self.expects_continue) {
                let mut stream = &self.seat.stream;
                stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            let left = self.deadline.checked_duration_since(Instant::now()).ok_or(io::ErrorKind::TimedOut)?;
            self.seat.wait();
            let count = read_some(&self.seat.stream, buffer, left.min(BODY_PAUSE));
            self.seat.attend();
            count?
        } else {
            let count = room.min(self.ahead.len());
            for (to, from) in buffer.iter_mut().zip(self.ahead.drain(..count)) {
                *to = from;
            }
            count
        };
        self.left = self.left.saturating_sub(count as u64);
        Ok(count)
    }
}

/// One read with a time limit.
pub(crate) fn read_some(mut stream: &TcpStream, buffer: &mut [u8], patience: Duration) -> io::Result<usize> {
    // A limit of zero would mean none.
    stream.set_read_timeout(Some(patience.max(Duration::from_millis(1))))?;
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Whether the client has hung up.
pub(crate) fn has_gone(stream: &TcpStream) -> bool {
    let waited = stream.set_read_timeout(Some(Duration::from_millis(1)));
    match waited.and_then(|()| stream.peek(&mut [0])) {
        Ok(count) => count == 0,
        Err(error) => !is_timeout(&error) && error.kind() != io::ErrorKind::Interrupted,
    }
}

/// Whether a read or write only took too long.
pub(crate) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
