//! Writing answers, with limits on how slowly a client may read.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tiny_http::{HTTPVersion, Header, Response, StatusCode};

use crate::connection::{has_gone, read_some};
use crate::events::{EventStream, Next};
use crate::http::{Body, Reply};

/// A client that takes nothing for this long is given up.
const WRITE_TIME: Duration = Duration::from_secs(10);
/// A client that has not taken the whole answer after this is given up.
const ANSWER_TIME: Duration = Duration::from_secs(120);
/// A comment goes to silent listeners this often.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How often a waiting event stream looks for the client's end.
const LOOK: Duration = Duration::from_secs(1);
/// Bytes written at once.
const PIECE: usize = 64 * 1024;
/// Unread bytes that are read away so that the client sees the answer before the end.
const LINGER_BYTES: usize = 8 << 20;
/// How long that may take.
const LINGER_TIME: Duration = Duration::from_secs(2);

/// What becomes of the connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum After {
    Open,
    Done,
}

/// Sends a whole answer. `last` tells the client that the connection ends.
pub(crate) fn send(stream: &TcpStream, reply: Reply, without_body: bool, last: bool, stop: &AtomicBool) -> After {
    let Reply { status, headers, body } = reply;
    let mut out = Out { stream, deadline: Instant::now() + ANSWER_TIME };
    let done = match body {
        Body::Events(events) => {
            // They end the connection, whichever way they end.
            let _ = out.events(&headers, &events, stop);
            return After::Done;
        }
        Body::Socket(talk) => {
            let mut answer = format!("HTTP/1.1 {status} {}\r\n", StatusCode(status).default_reason_phrase());
            for (name, value) in &headers {
                answer.push_str(&format!("{name}: {value}\r\n"));
            }
            answer.push_str("\r\n");
            if out.write(answer.as_bytes()).is_ok() {
                talk(stream, stop);
            }
            return After::Done;
        }
        Body::Empty => out.whole(status, &headers, &[], last, without_body),
        Body::Bytes(bytes) => out.whole(status, &headers, &bytes, last, without_body),
        Body::Static(bytes) => out.whole(status, &headers, bytes, last, without_body),
        Body::File(file, length) => out.file(status, &headers, file, length, last, without_body),
    };
    match done {
        Ok(()) if !last => After::Open,
        _ => After::Done,
    }
}

/// Tells a connection that there is no place for it, without waiting for anything.
pub(crate) fn refuse_at_once(stream: &TcpStream, reply: Reply) {
    if let Body::Bytes(bytes) = &reply.body
        && stream.set_nonblocking(true).is_ok()
    {
        let mut answer = head(reply.status, &reply.headers, Some(bytes.len() as u64), true);
        answer.extend_from_slice(bytes);
        let mut stream = stream;
        // The socket's buffer is empty: it goes out whole or the client has gone.
        let _ = stream.write(&answer);
        let _ = stream.shutdown(Shutdown::Write);
    }
}

/// Reads away what a refused client still sends: an end with unread bytes would be a reset, and
/// the client would never see the answer.
pub(crate) fn linger(stream: &TcpStream) {
    let _ = stream.shutdown(Shutdown::Write);
    let deadline = Instant::now() + LINGER_TIME;
    let mut buffer = [0; 16 * 1024];
    let mut total = 0;
    while total < LINGER_BYTES {
        let Some(left) = deadline.checked_duration_since(Instant::now()) else { return };
        match read_some(stream, &mut buffer, left) {
            Ok(0) | Err(_) => return,
            Ok(count) => total += count,
        }
    }
}

/// The head of an answer; without a length the body comes in chunks.
fn head(status: u16, headers: &[(&'static str, String)], length: Option<u64>, last: bool) -> Vec<u8> {
    let headers = headers
        .iter()
        // Our values are ASCII; one that were not would be left out.
        .filter_map(|(name, value)| Header::from_bytes(name.as_bytes(), value.as_bytes()).ok())
        .collect();
    let length = length.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    let mut bytes = Vec::with_capacity(1024);
    let response =
        Response::new(StatusCode(status), headers, io::empty(), length, None).with_chunked_threshold(usize::MAX);
    // Writing into memory does not fail.
    let _ = response.raw_print(&mut bytes, HTTPVersion(1, 1), &[], true, None);
    if last && bytes.ends_with(b"\r\n\r\n") {
        // The library leaves this header to its own server.
        bytes.truncate(bytes.len() - 2);
        bytes.extend_from_slice(b"Connection: close\r\n\r\n");
    }
    bytes
}

/// A client that reads, more or less fast.
struct Out<'a> {
    stream: &'a TcpStream,
    deadline: Instant,
}

impl Out<'_> {
    fn whole(
        &mut self,
        status: u16,
        headers: &[(&'static str, String)],
        body: &[u8],
        last: bool,
        without_body: bool,
    ) -> io::Result<()> {
        let mut answer = head(status, headers, Some(body.len() as u64), last);
        if without_body || body.is_empty() {
            return self.write(&answer);
        }
        if body.len() <= PIECE {
            answer.extend_from_slice(body);
            return self.write(&answer);
        }
        self.write(&answer)?;
        self.write(body)
    }

    fn file(
        &mut self,
        status: u16,
        headers: &[(&'static str, String)],
        file: fs_err::File,
        length: u64,
        last: bool,
        without_body: bool,
    ) -> io::Result<()> {
        self.write(&head(status, headers, Some(length), last))?;
        if without_body {
            return Ok(());
        }
        // A file that grows meanwhile gives what was announced; one that shrinks ends the connection.
        let mut rest = file.take(length);
        let mut piece = vec![0; PIECE];
        let mut sent = 0;
        while sent < length {
            match rest.read(&mut piece)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => {
                    self.write(piece.get(..count).unwrap_or_default())?;
                    sent += count as u64;
                }
            }
        }
        Ok(())
    }

    fn events(
        &mut self,
        headers: &[(&'static str, String)],
        events: &EventStream,
        stop: &AtomicBool,
    ) -> io::Result<()> {
        self.write(&head(200, headers, None, true))?;
        self.chunk("retry: 2000\n\n")?;
        let mut quiet = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            match events.next(LOOK) {
                Next::Event(event) => {
                    self.chunk(&event.sse())?;
                    quiet = Instant::now();
                }
                Next::Over => break,
                Next::Quiet => {
                    if has_gone(self.stream) {
                        return Ok(());
                    }
                    if quiet.elapsed() >= KEEP_ALIVE {
                        self.chunk(": still here\n\n")?;
                        quiet = Instant::now();
                    }
                }
            }
        }
        self.write(b"0\r\n\r\n")
    }

    fn chunk(&mut self, text: &str) -> io::Result<()> {
        self.deadline = Instant::now() + ANSWER_TIME;
        self.write(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.set_write_timeout(Some(WRITE_TIME))?;
        let mut rest = bytes;
        while !rest.is_empty() {
            if Instant::now() > self.deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let piece = rest.get(..PIECE.min(rest.len())).unwrap_or_default();
            match self.stream.write(piece) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_say_length_and_end() {
        let text = |length, last| {
            let bytes = head(200, &[("ETag", "\"a\"".to_owned()), ("Server", "fieldforge".to_owned())], length, last);
            let text = String::from_utf8(bytes).expect("text");
            text.lines().filter(|line| !line.starts_with("Date: ")).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(text(Some(5), false), "HTTP/1.1 200 OK\nETag: \"a\"\nServer: fieldforge\nContent-Length: 5\n");
        assert_eq!(
            text(None, true),
            "HTTP/1.1 200 OK\nETag: \"a\"\nServer: fieldforge\nTransfer-Encoding: chunked\nConnection: close\n"
        );
    }
}
