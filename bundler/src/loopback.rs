//! A tiny HTTP/1.1 server for this machine only.
//!
//! The demonstration fetches from it, so that its fetch step is real HTTP even where there is no network; tests give
//! it answers of their own and make it misbehave.

use crate::Content;
use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A running server. It stops when it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

/// The head of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `HEAD`, ….
    pub method: String,
    /// Path and query as they were sent.
    pub target: String,
    /// Header lines, in order, as they were sent.
    pub headers: Vec<(String, String)>,
}

/// What becomes of a connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It waits for another request.
    Keep,
    /// It is closed.
    Close,
}

/// The longest request head that is read.
const MAX_HEAD: u64 = 64 << 10;
/// How long a connection may be idle.
const IDLE: Duration = Duration::from_secs(30);

impl Server {
    /// Serves `files`, each under its path (`/a/b.bin`), on a free port of 127.0.0.1. Answers `GET` and `HEAD`, single
    /// ranges, `If-Range`, with a strong `ETag`.
    ///
    /// # Errors
    /// When no port can be opened.
    pub fn start(files: Vec<(String, Content)>) -> io::Result<Self> {
        let files: HashMap<String, Content> = files.into_iter().collect();
        Self::start_with(IpAddr::V4(Ipv4Addr::LOCALHOST), move |request, stream| match files.get(&request.target) {
            Some(content) => send_content(request, content, stream),
            None => send(request, stream, "404 Not Found", &[], b"not found\n"),
        })
    }

    /// Serves whatever `answer` answers, on a free port of `address`.
    ///
    /// # Errors
    /// When `address` is not a loopback address or no port can be opened.
    pub fn start_with<A>(address: IpAddr, answer: A) -> io::Result<Self>
    where
        A: Fn(&Request, &mut TcpStream) -> io::Result<Next> + Send + Sync + 'static,
    {
        if !address.is_loopback() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{address} is not a loopback address")));
        }
        let listener = TcpListener::bind((address, 0))?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let answer = Arc::new(answer);
        let stopped = Arc::clone(&stop);
        let acceptor = std::thread::Builder::new().name("loopback".to_owned()).spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (answer, stopped) = (Arc::clone(&answer), Arc::clone(&stopped));
                // A connection that fails concerns nobody but its client.
                let serve = move || stream.and_then(|stream| serve(stream, &*answer, &stopped)).unwrap_or_default();
                drop(std::thread::Builder::new().name("loopback-connection".to_owned()).spawn(serve));
            }
        })?;
        Ok(Self { address, stop, acceptor: Some(acceptor) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of `path` (which begins with `/`) on it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // The acceptor only looks at `stop` after a connection.
        drop(TcpStream::connect_timeout(&self.address, Duration::from_secs(1)));
        if let Some(acceptor) = self.acceptor.take() {
            drop(acceptor.join());
        }
    }
}

fn serve<A>(mut stream: TcpStream, answer: &A, stopped: &AtomicBool) -> io::Result<()>
where
    A: Fn(&Request, &mut TcpStream) -> io::Result<Next>,
{
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    while !stopped.load(Ordering::SeqCst) {
        let Some(request) = Request::read(&mut reader)? else { return Ok(()) };
        if answer(&request, &mut stream)? == Next::Close {
            break;
        }
    }
    stream.shutdown(std::net::Shutdown::Both)
}

impl Request {
    /// Reads one request head; `None` at the end of the connection.
    ///
    /// # Errors
    /// When the connection fails or the head is not one.
    pub fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let bad = || io::Error::new(io::ErrorKind::InvalidData, "not an HTTP request");
        let mut head = reader.take(MAX_HEAD);
        let mut line = String::new();
        if head.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace();
        let (method, target) = (words.next().ok_or_else(bad)?.to_owned(), words.next().ok_or_else(bad)?.to_owned());
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            if head.read_line(&mut line)? == 0 {
                return Err(bad());
            }
            match line.trim_end().split_once(':') {
                Some((name, value)) => headers.push((name.trim().to_owned(), value.trim().to_owned())),
                None if line.trim().is_empty() => return Ok(Some(Self { method, target, headers })),
                None => return Err(bad()),
            }
        }
    }

    /// The value of a header, whatever its capitals.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The single range that it asks for, cut to a body of `size` bytes: first byte and length.
    #[must_use]
    pub fn range(&self, size: u64) -> Option<(u64, u64)> {
        let (first, last) = self.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
        let first: u64 = first.trim().parse().ok()?;
        let last: u64 = if last.trim().is_empty() { u64::MAX } else { last.trim().parse().ok()? };
        let end = last.saturating_add(1).min(size);
        (first < end).then(|| (first, end - first))
    }
}

/// Answers with a short body.
///
/// # Errors
/// When the connection fails.
pub fn send(
    request: &Request,
    stream: &mut TcpStream,
    status: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Next> {
    let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    if request.method != "HEAD" {
        stream.write_all(body)?;
    }
    stream.flush()?;
    Ok(Next::Keep)
}

/// Answers honestly with a file: the whole of it, or the range that was asked for.
///
/// # Errors
/// When the file cannot be read or the connection fails.
pub fn send_content(request: &Request, content: &Content, stream: &mut TcpStream) -> io::Result<Next> {
    let size = content.size()?;
    let etag = etag(content, size);
    let current = request.header("if-range").is_none_or(|wanted| wanted == etag);
    let range = request.range(size).filter(|_| current);
    let (status, first, length) = match range {
        Some((first, length)) => ("206 Partial Content", first, length),
        None => ("200 OK", 0, size),
    };
    let mut head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nContent-Type: application/octet-stream\r\nAccept-Ranges: bytes\r\nETag: {etag}\r\n"
    );
    if range.is_some() {
        head.push_str(&format!("Content-Range: bytes {first}-{}/{size}\r\n", first + length - 1));
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    if request.method != "HEAD" {
        let mut reader = content.open()?;
        reader.seek(SeekFrom::Start(first))?;
        io::copy(&mut reader.take(length), stream)?;
    }
    stream.flush()?;
    Ok(Next::Keep)
}

fn etag(content: &Content, size: u64) -> String {
    let changed = match content {
        Content::Disk(path) => fs_err::metadata(path).and_then(|metadata| metadata.modified()).ok(),
        Content::Memory(_) | Content::Bytes(_) => None,
    };
    let changed = changed.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok()).unwrap_or_default();
    format!("\"{size:x}-{:x}\"", changed.as_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(server: &Server, head: &str) -> String {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn serves_files_and_ranges() {
        let server = Server::start(vec![("/a".into(), Content::Memory(b"0123456789"))]).unwrap();
        let whole = ask(&server, "GET /a HTTP/1.1");
        assert!(whole.starts_with("HTTP/1.1 200 OK") && whole.ends_with("\r\n\r\n0123456789"), "{whole}");
        let part = ask(&server, "GET /a HTTP/1.1\r\nRange: bytes=2-4");
        assert!(part.contains("Content-Range: bytes 2-4/10") && part.ends_with("\r\n\r\n234"), "{part}");
        let other = ask(&server, "GET /a HTTP/1.1\r\nRange: bytes=2-4\r\nIf-Range: \"other\"");
        assert!(other.starts_with("HTTP/1.1 200 OK"), "{other}");
        assert!(ask(&server, "HEAD /a HTTP/1.1").ends_with("\r\n\r\n"));
        assert!(ask(&server, "GET /b HTTP/1.1").starts_with("HTTP/1.1 404"));
    }

    #[test]
    fn listens_on_this_machine_only() {
        let elsewhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        assert!(Server::start_with(elsewhere, |_, _| Ok(Next::Close)).is_err());
    }
}
