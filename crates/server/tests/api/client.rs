//! A small HTTP client that can also behave badly. Every wait ends.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(15);

pub(crate) struct Client {
    address: SocketAddr,
    stream: TcpStream,
    buffer: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// Status and error code.
    pub(crate) fn refusal(&self) -> (u16, String) {
        (self.status, self.json()["error"]["code"].as_str().unwrap_or("no code").to_owned())
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        stream.set_write_timeout(Some(PATIENCE)).expect("a time limit");
        Self { address, stream, buffer: Vec::new() }
    }

    /// Sends a well-formed request and reads the reply.
    pub(crate) fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut text = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            text.push_str(&format!("Host: {}\r\n", self.address));
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        self.send(text.as_bytes());
        self.send(body);
        self.reply(method == "HEAD")
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("sent");
    }

    /// Sends bytes as they are; false when the server takes no more.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    pub(crate) fn close_writing(&self) {
        self.stream.shutdown(Shutdown::Write).expect("closed");
    }

    /// Reads one reply with a length.
    pub(crate) fn reply(&mut self, without_body: bool) -> Reply {
        let mut reply = self.head();
        let length = reply.header("content-length").map_or(0, |length| length.parse().expect("a length"));
        if !without_body && reply.status != 304 {
            while self.buffer.len() < length {
                assert!(self.more(), "the body ends early");
            }
            reply.body = self.buffer.drain(..length).collect();
        }
        reply
    }

    /// Reads the head of a reply.
    pub(crate) fn head(&mut self) -> Reply {
        let end = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end;
            }
            assert!(self.more(), "the head ends early: {:?}", String::from_utf8_lossy(&self.buffer));
        };
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let head = String::from_utf8(head).expect("a head in UTF-8");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Reply { status: status.expect("a status"), headers, body: Vec::new() }
    }

    /// Reads until the server closes; `None` if it does not within the time given.
    pub(crate) fn rest(&mut self, patience: Duration) -> Option<Vec<u8>> {
        self.stream.set_read_timeout(Some(Duration::from_millis(50))).expect("a time limit");
        let deadline = Instant::now() + patience;
        let mut buffer = [0; 4096];
        while Instant::now() < deadline {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Some(std::mem::take(&mut self.buffer)),
                Ok(count) => self.buffer.extend_from_slice(&buffer[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return Some(std::mem::take(&mut self.buffer)),
            }
        }
        None
    }

    /// Opens the event stream and checks its head.
    pub(crate) fn listen(mut self) -> Events {
        self.send(format!("GET /api/v1/events HTTP/1.1\r\nHost: {}\r\n\r\n", self.address).as_bytes());
        let head = self.head();
        assert_eq!(head.status, 200);
        assert_eq!(head.header("content-type"), Some("text/event-stream; charset=utf-8"));
        Events { client: self, text: String::new() }
    }

    /// Reads something; false at the end.
    fn more(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        let count = self.stream.read(&mut buffer).expect("readable in time");
        self.buffer.extend_from_slice(&buffer[..count]);
        count > 0
    }
}

/// A page that listens.
pub(crate) struct Events {
    client: Client,
    text: String,
}

impl Events {
    /// The next event's name and data; comments are skipped. `None` at the end of the stream.
    pub(crate) fn next(&mut self) -> Option<(String, serde_json::Value)> {
        loop {
            while let Some(end) = self.text.find("\n\n") {
                let event: String = self.text.drain(..end + 2).collect();
                if let Some((name, data)) = event.trim_end().split_once('\n')
                    && let (Some(name), Some(data)) = (name.strip_prefix("event: "), data.strip_prefix("data: "))
                {
                    return Some((name.to_owned(), serde_json::from_str(data).expect("JSON")));
                }
            }
            let chunk = self.chunk()?;
            self.text.push_str(&chunk);
        }
    }

    /// The next event with this name.
    pub(crate) fn until(&mut self, name: &str) -> serde_json::Value {
        loop {
            let (found, data) = self.next().expect("more events");
            if found == name {
                return data;
            }
        }
    }

    fn chunk(&mut self) -> Option<String> {
        let client = &mut self.client;
        let line = loop {
            if let Some(end) = find(&client.buffer, b"\r\n") {
                break end;
            }
            if !client.more() {
                return None;
            }
        };
        let length: Vec<u8> = client.buffer.drain(..line + 2).collect();
        let length = String::from_utf8(length).expect("a length");
        let length = usize::from_str_radix(length.trim(), 16).expect("a length");
        while client.buffer.len() < length + 2 {
            if !client.more() {
                return None;
            }
        }
        let chunk: Vec<u8> = client.buffer.drain(..length + 2).collect();
        (length > 0).then(|| String::from_utf8(chunk[..length].to_vec()).expect("UTF-8"))
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
