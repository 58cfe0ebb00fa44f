use crate::Level;
use serde::{Deserialize, Serialize};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::Duration;

/// One way out that was tried.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The way, such as `UDP send to 127.0.0.1:4711`.
    pub what: String,
    /// Whether the way is closed.
    pub refused: bool,
    /// The system's answer.
    pub detail: String,
}

impl Attempt {
    /// An attempt that got out (`Ok`) or was refused.
    pub(crate) fn of(what: &str, result: io::Result<String>) -> Self {
        let refused = result.is_err();
        let detail = result.unwrap_or_else(|error| error.to_string());
        Self { what: what.to_owned(), refused, detail }
    }
}

/// How long one connection attempt may take where nothing refuses it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Tries every known way out of this process.
///
/// Everything goes to the canary, which is on loopback. Only at `S2` and `S3`, where nothing can
/// leave, the documentation addresses 192.0.2.1 and 2001:db8::1 and a name are tried as well.
#[must_use]
pub fn probe(canary: SocketAddr, level: Level) -> Vec<Attempt> {
    run(canary, level, None, &[])
}

/// Like [`probe`], for a server that listens at these addresses besides loopback: connections that it accepted there are its
/// clients', not ways out.
#[must_use]
pub fn probe_network_server(canary: SocketAddr, level: Level, listens_on: &[SocketAddr]) -> Vec<Attempt> {
    run(canary, level, None, listens_on)
}

/// Like [`probe`], with a listener from before the sealing for the TCP Fast Open attempt.
///
/// The listener is used up: give one made for this, never the server's own.
#[must_use]
pub fn probe_with_listener(canary: SocketAddr, level: Level, spare: TcpListener) -> Vec<Attempt> {
    run(canary, level, Some(spare), &[])
}

fn run(canary: SocketAddr, level: Level, spare: Option<TcpListener>, listens_on: &[SocketAddr]) -> Vec<Attempt> {
    let mut tcp = vec![canary];
    let mut udp = vec![canary];
    if level.is_sealed() {
        let documentation6 = [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1];
        tcp.extend([SocketAddr::from(([192, 0, 2, 1], 80)), (documentation6, 80).into()]);
        udp.extend([SocketAddr::from(([192, 0, 2, 1], 53)), (documentation6, 53).into()]);
    }
    let mut attempts = Vec::new();
    for target in tcp {
        let result = TcpStream::connect_timeout(&target, PATIENCE);
        let result = result.map(|_| "connected".to_owned());
        attempts.push(Attempt::of(&format!("TCP connect to {target}"), result));
    }
    for target in udp {
        attempts.push(Attempt::of(&format!("UDP send to {target}"), send_datagram(target)));
    }
    if level.is_sealed() {
        let found = ("fieldforge.invalid", 80).to_socket_addrs();
        let result = found.map(|addresses| format!("{} addresses", addresses.count()));
        attempts.push(Attempt::of("DNS lookup", result));
    }
    attempts.extend(crate::system::attempts(canary, spare, listens_on));
    attempts
}

fn send_datagram(target: SocketAddr) -> io::Result<String> {
    let own = match (target.ip().is_loopback(), target.is_ipv4()) {
        (true, true) => "127.0.0.1:0",
        (true, false) => "[::1]:0",
        (false, true) => "0.0.0.0:0",
        (false, false) => "[::]:0",
    };
    let sent = UdpSocket::bind(own)?.send_to(b"leaked!", target)?;
    Ok(format!("sent {sent} bytes"))
}
