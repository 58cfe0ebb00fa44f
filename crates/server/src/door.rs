//! Which way a request came in: from this computer, or from the network.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Mutex;

use crate::lock::lock;

/// The names of this computer for its own programs.
const NAMES: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// The listening socket that a connection came in at, and who is at its other end.
#[derive(Debug)]
pub(crate) struct Door {
    /// Where the connection was accepted.
    local: SocketAddr,
    /// The other end.
    pub(crate) peer: IpAddr,
    /// Whether other devices come in here. It is the socket that decides, not the address at the other end.
    pub(crate) network: bool,
    /// The paired device that asked last on this connection.
    device: Mutex<Option<String>>,
}

impl Door {
    pub(crate) fn new(local: SocketAddr, peer: IpAddr, network: bool) -> Self {
        Self { local, peer: peer.to_canonical(), network, device: Mutex::new(None) }
    }

    /// Whether a `Host` header means this door: its own address or, from this computer, a name for it. Any other name is
    /// foreign, however it resolves.
    pub(crate) fn is_called(&self, host: &str) -> bool {
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
            _ => (host, None),
        };
        let port_fits = match port {
            Some(port) => port == self.local.port().to_string(),
            None => self.local.port() == 80,
        };
        let name_fits = if self.network {
            address(name) == Some(self.local.ip())
        } else {
            NAMES.iter().any(|known| known.eq_ignore_ascii_case(name))
        };
        port_fits && name_fits
    }

    /// The address to open, such as `http://127.0.0.1:7860/`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.local)
    }

    pub(crate) fn port(&self) -> u16 {
        self.local.port()
    }

    /// Notes which paired device asks.
    pub(crate) fn is_used_by(&self, device: &str) {
        *lock(&self.device) = Some(device.to_owned());
    }

    /// Whether this device asked last.
    pub(crate) fn was_used_by(&self, device: &str) -> bool {
        lock(&self.device).as_deref() == Some(device)
    }
}

/// What the server answers to, for a refusal.
impl fmt::Display for Door {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.local.port();
        if self.network {
            write!(formatter, "{}", self.local)
        } else {
            write!(formatter, "127.0.0.1:{port} and localhost:{port}")
        }
    }
}

/// An address as it stands in a URL.
fn address(name: &str) -> Option<IpAddr> {
    match name.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => name.parse().ok().filter(IpAddr::is_ipv4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(local: &str, network: bool) -> Door {
        Door::new(local.parse().expect("an address"), "10.0.0.7".parse().expect("an address"), network)
    }

    #[test]
    fn a_door_of_the_network_answers_to_its_own_address_only() {
        let network = door("192.168.1.5:7860", true);
        assert!(network.is_called("192.168.1.5:7860"));
        for host in [
            "192.168.1.5",
            "192.168.1.6:7860",
            "192.168.1.5:7861",
            "127.0.0.1:7860",
            "localhost:7860",
            "192.168.1.5.evil.example:7860",
            "192.168.1.05:7860",
            "0300.168.1.5:7860",
            "3232235781:7860",
            "",
            ":7860",
            "é:7860",
        ] {
            assert!(!network.is_called(host), "{host}");
        }
        let six = door("[fd00::5]:7860", true);
        assert!(six.is_called("[fd00::5]:7860") && six.is_called("[FD00:0::5]:7860"));
        for host in ["[fd00::6]:7860", "fd00::5:7860", "[fd00::5]", "[fd00::5]:", "[fd00::5:7860"] {
            assert!(!six.is_called(host), "{host}");
        }
        assert!(door("192.168.1.5:80", true).is_called("192.168.1.5"));
        assert!(!door("127.0.0.1:7860", false).is_called("192.168.1.5:7860"));
    }
}
