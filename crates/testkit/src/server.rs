//! A server that misbehaves on purpose.
//!
//! Every file has a [`Behaviour`]; every request is recorded with the bytes that were really sent. It can stand in for
//! any server that a fetch asks: the kinds differ in their paths only.

use bundler::loopback::{self, Next, Request};
use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a server does with one of its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Sends it, in parts if asked.
    Honest,
    /// Closes the connection after so many bytes of a body, so many times.
    CutAfter {
        /// Bytes of each body.
        bytes: u64,
        /// For how many requests.
        times: u32,
    },
    /// Falls silent after so many bytes of a body, so many times.
    StallAfter {
        /// Bytes of each body.
        bytes: u64,
        /// For how many requests.
        times: u32,
    },
    /// Sends the whole file whatever part it is asked for.
    IgnoreRange,
    /// Sends parts of another version of the file after so many requests.
    ChangeAfter {
        /// Requests that still get the first version.
        requests: u32,
        /// The second version.
        to: Vec<u8>,
    },
    /// Sends a login page as what it is.
    LoginPage,
    /// Sends a login page and calls it a file.
    DisguisedLoginPage,
    /// Sends a git-LFS pointer.
    LfsPointer,
    /// Calls the body gzip.
    Gzip,
    /// Asks to come back later, so many times.
    TooManyRequests {
        /// Seconds to wait.
        retry_after: u64,
        /// For how many requests.
        times: u32,
    },
    /// Fails (HTTP 503), so many times.
    ServerError {
        /// For how many requests.
        times: u32,
    },
    /// Sends the right number of bytes, one of them wrong.
    WrongBytes,
    /// Sends bytes of its own behind the file.
    Longer(Vec<u8>),
    /// Promises the whole file in a body without a length, and sends so many bytes more than there are.
    Endless(u64),
    /// Sends a stretch that begins one byte later than asked for.
    OddRange,
    /// Says that a part inside the file is outside of it (HTTP 416), so many times.
    FalseEnd {
        /// For how many requests.
        times: u32,
    },
    /// Sends the client elsewhere.
    RedirectTo(String),
    /// Wants to know who asks (HTTP 401), unless this token comes along.
    Unauthorized {
        /// The token that opens the door.
        token: String,
    },
    /// Does not have it (HTTP 404).
    NotFound,
    /// Sends so many bytes a second.
    Slow(u64),
}

/// One request and what became of it.
#[derive(Clone, Debug)]
pub struct Logged {
    /// The head.
    pub request: Request,
    /// Bytes of the body that were sent.
    pub sent: u64,
}

/// A server on this machine. It stops when it is dropped.
#[derive(Debug)]
pub struct Server {
    inner: loopback::Server,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    files: Mutex<HashMap<String, File>>,
    log: Mutex<Vec<Logged>>,
}

#[derive(Clone, Debug)]
struct File {
    bytes: Arc<Vec<u8>>,
    kind: String,
    behaviour: Behaviour,
    /// Requests so far.
    asked: u32,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Server {
    /// Starts one on 127.0.0.1.
    ///
    /// # Panics
    /// When no port can be opened.
    #[must_use]
    pub fn start() -> Self {
        Self::start_on(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// Starts one on another loopback address: another host to its clients.
    ///
    /// # Panics
    /// When no port can be opened there.
    #[must_use]
    pub fn start_on(address: IpAddr) -> Self {
        let shared = Arc::new(Shared::default());
        let answering = Arc::clone(&shared);
        let inner = loopback::Server::start_with(address, move |request, stream| answering.answer(request, stream))
            .expect("a free port on this machine");
        Self { inner, shared }
    }

    /// Offers a file under a path (`/a/b.bin`) and returns its address. Replaces what was there.
    pub fn file(&self, path: &str, bytes: impl Into<Vec<u8>>, behaviour: Behaviour) -> String {
        self.page(path, "application/octet-stream", bytes, behaviour)
    }

    /// The same with a content type.
    pub fn page(&self, path: &str, kind: &str, bytes: impl Into<Vec<u8>>, behaviour: Behaviour) -> String {
        let file = File { bytes: Arc::new(bytes.into()), kind: kind.to_owned(), behaviour, asked: 0 };
        lock(&self.shared.files).insert(path.to_owned(), file);
        self.inner.url(path)
    }

    /// Describes an npm package as a registry at the root of this server does.
    pub fn npm_package(&self, package: &str, version: &str, tarball: &str, integrity: &str) {
        let text = format!(
            r#"{{"name":"{package}","versions":{{"{version}":{{"dist":{{"tarball":"{tarball}","integrity":"{integrity}"}}}}}}}}"#
        );
        let path = format!("/{}", package.replace('/', "%2F"));
        self.page(&path, "application/json", text, Behaviour::Honest);
    }

    /// Describes a Python project as an index under `/simple/` does, in JSON (PEP 691).
    pub fn pypi_json(&self, package: &str, file: &str, url: &str, sha256: &str) {
        let text = format!(r#"{{"files":[{{"filename":"{file}","url":"{url}","hashes":{{"sha256":"{sha256}"}}}}]}}"#);
        self.page(&format!("/simple/{package}/"), "application/vnd.pypi.simple.v1+json", text, Behaviour::Honest);
    }

    /// The same in HTML (PEP 503).
    pub fn pypi_html(&self, package: &str, file: &str, url: &str, sha256: &str) {
        let text = format!("<!DOCTYPE html><html><body><a href=\"{url}#sha256={sha256}\">{file}</a></body></html>");
        self.page(&format!("/simple/{package}/"), "text/html", text, Behaviour::Honest);
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.inner.address()
    }

    /// The address of a path on it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        self.inner.url(path)
    }

    /// Every request so far.
    #[must_use]
    pub fn log(&self) -> Vec<Logged> {
        lock(&self.shared.log).clone()
    }

    /// Bytes of bodies that were sent for a path.
    #[must_use]
    pub fn sent(&self, path: &str) -> u64 {
        lock(&self.shared.log).iter().filter(|logged| logged.request.target == path).map(|logged| logged.sent).sum()
    }
}

/// A part of a body to send.
struct Reply<'a> {
    status: &'a str,
    headers: Vec<(String, String)>,
    body: &'a [u8],
    /// Bytes after which the connection ends.
    cut: Option<u64>,
    /// Bytes after which nothing more comes.
    stall: Option<u64>,
    /// Bytes a second.
    speed: Option<u64>,
}

impl Shared {
    fn answer(&self, request: &Request, stream: &mut TcpStream) -> io::Result<Next> {
        let index = {
            let mut log = lock(&self.log);
            log.push(Logged { request: request.clone(), sent: 0 });
            log.len() - 1
        };
        let file = {
            let mut files = lock(&self.files);
            files.get_mut(&request.target).map(|file| {
                file.asked += 1;
                file.clone()
            })
        };
        match file {
            Some(file) => self.misbehave(&file, request, stream, index),
            None => loopback::send(request, stream, "404 Not Found", &[], b"not found\n"),
        }
    }

    fn misbehave(&self, file: &File, request: &Request, stream: &mut TcpStream, index: usize) -> io::Result<Next> {
        const PAGE: &[u8] =
            b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in</body></html>";
        const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1\noid sha256:0000000000000000000000000000000000000000000000000000000000000000\nsize 4265146304\n";
        let short = |status: &str, headers: &[(&str, &str)], body: &[u8]| {
            loopback::send(request, &mut stream.try_clone()?, status, headers, body)
        };
        let bytes: &[u8] = &file.bytes;
        let kind = file.kind.as_str();
        match &file.behaviour {
            Behaviour::CutAfter { bytes: cut, times } if file.asked <= *times => {
                let reply = Reply { cut: Some(*cut), ..honest(bytes, kind, "a", request, 0) };
                self.send(reply, request, stream, index)
            }
            Behaviour::StallAfter { bytes: stall, times } if file.asked <= *times => {
                let reply = Reply { stall: Some(*stall), ..honest(bytes, kind, "a", request, 0) };
                self.send(reply, request, stream, index)
            }
            Behaviour::IgnoreRange => self.send(whole(bytes, kind, "a"), request, stream, index),
            Behaviour::ChangeAfter { requests, to } if file.asked > *requests => {
                self.send(honest(to, kind, "b", request, 0), request, stream, index)
            }
            Behaviour::LoginPage => self.send(whole(PAGE, "text/html; charset=utf-8", "p"), request, stream, index),
            Behaviour::DisguisedLoginPage => self.send(honest(PAGE, kind, "p", request, 0), request, stream, index),
            Behaviour::LfsPointer => self.send(honest(POINTER, "text/plain", "p", request, 0), request, stream, index),
            Behaviour::Gzip => {
                let mut reply = whole(bytes, kind, "a");
                reply.headers.push(("Content-Encoding".to_owned(), "gzip".to_owned()));
                self.send(reply, request, stream, index)
            }
            Behaviour::TooManyRequests { retry_after, times } if file.asked <= *times => {
                short("429 Too Many Requests", &[("Retry-After", &retry_after.to_string())], b"later\n")
            }
            Behaviour::ServerError { times } if file.asked <= *times => short("503 Service Unavailable", &[], b"\n"),
            Behaviour::WrongBytes => {
                let mut wrong = bytes.to_vec();
                let middle = wrong.len() / 2;
                if let Some(byte) = wrong.get_mut(middle) {
                    *byte ^= 1;
                }
                self.send(honest(&wrong, kind, "a", request, 0), request, stream, index)
            }
            Behaviour::Longer(more) => {
                let longer = [bytes, more].concat();
                self.send(honest(&longer, kind, "a", request, 0), request, stream, index)
            }
            Behaviour::Endless(more) => self.send_chunked(bytes, *more, stream, index),
            Behaviour::OddRange => self.send(honest(bytes, kind, "a", request, 1), request, stream, index),
            Behaviour::FalseEnd { times } if file.asked <= *times => short("416 Range Not Satisfiable", &[], b""),
            Behaviour::RedirectTo(url) => short("302 Found", &[("Location", url)], b""),
            Behaviour::Unauthorized { token }
                if request.header("authorization") != Some(format!("Bearer {token}").as_str()) =>
            {
                short("401 Unauthorized", &[], b"who are you?\n")
            }
            Behaviour::NotFound => short("404 Not Found", &[], b"not found\n"),
            Behaviour::Slow(speed) => {
                let reply = Reply { speed: Some(*speed), ..honest(bytes, kind, "a", request, 0) };
                self.send(reply, request, stream, index)
            }
            // Honest, or has misbehaved often enough.
            _ => self.send(honest(bytes, kind, "a", request, 0), request, stream, index),
        }
    }

    fn send(&self, reply: Reply<'_>, request: &Request, stream: &mut TcpStream, index: usize) -> io::Result<Next> {
        let mut head = format!("HTTP/1.1 {}\r\nContent-Length: {}\r\n", reply.status, reply.body.len());
        for (name, value) in &reply.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        if request.method == "HEAD" {
            return Ok(Next::Keep);
        }
        let end = reply.cut.or(reply.stall).unwrap_or(u64::MAX).min(reply.body.len() as u64);
        let body = reply.body.get(..end as usize).unwrap_or(reply.body);
        let began = Instant::now();
        let mut sent = 0;
        let piece = reply.speed.map_or(64 << 10, |speed| (speed / 20).clamp(1, 64 << 10) as usize);
        for bytes in body.chunks(piece) {
            stream.write_all(bytes)?;
            sent += bytes.len() as u64;
            self.count(index, bytes.len() as u64);
            if let Some(speed) = reply.speed {
                let due = Duration::from_secs_f64(sent as f64 / speed as f64);
                std::thread::sleep(due.saturating_sub(began.elapsed()));
            }
        }
        stream.flush()?;
        if reply.stall.is_some() && end < reply.body.len() as u64 {
            // Silent until the client has had enough.
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            let _ = io::Read::read(stream, &mut [0]);
            return Ok(Next::Close);
        }
        match end < reply.body.len() as u64 {
            true => stream.shutdown(Shutdown::Both).map(|()| Next::Close),
            false => Ok(Next::Keep),
        }
    }

    fn send_chunked(&self, bytes: &[u8], more: u64, stream: &mut TcpStream, index: usize) -> io::Result<Next> {
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        let behind = vec![b'x'; usize::try_from(more).unwrap_or_default()];
        for piece in bytes.chunks(64 << 10).chain(behind.chunks(64 << 10)) {
            stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes())?;
            stream.write_all(piece)?;
            stream.write_all(b"\r\n")?;
            self.count(index, piece.len() as u64);
        }
        stream.write_all(b"0\r\n\r\n")?;
        Ok(Next::Keep)
    }

    fn count(&self, index: usize, bytes: u64) {
        if let Some(logged) = lock(&self.log).get_mut(index) {
            logged.sent += bytes;
        }
    }
}

fn whole<'a>(bytes: &'a [u8], kind: &str, version: &str) -> Reply<'a> {
    let headers = vec![
        ("ETag".to_owned(), format!("\"{version}\"")),
        ("Content-Type".to_owned(), kind.to_owned()),
        ("Accept-Ranges".to_owned(), "bytes".to_owned()),
    ];
    Reply { status: "200 OK", headers, body: bytes, cut: None, stall: None, speed: None }
}

/// The part that was asked for, `shift` bytes later.
fn honest<'a>(bytes: &'a [u8], kind: &str, version: &str, request: &Request, shift: u64) -> Reply<'a> {
    let mut reply = whole(bytes, kind, version);
    let current = request.header("if-range").is_none_or(|wanted| wanted == format!("\"{version}\""));
    let size = bytes.len() as u64;
    if let Some((first, length)) = request.range(size).filter(|_| current) {
        let first = (first + shift).min(size.saturating_sub(1));
        let end = (first + length).min(size);
        reply.status = "206 Partial Content";
        reply.body = bytes.get(first as usize..end as usize).unwrap_or_default();
        reply.headers.push(("Content-Range".to_owned(), format!("bytes {first}-{}/{size}", end - 1)));
    }
    reply
}
