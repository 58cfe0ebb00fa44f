use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A loopback TCP and UDP address that counts whoever reaches it.
///
/// The kernel queues what arrives; it is counted when asked for, so that no thread is needed and
/// nothing that came before the question can be missed.
#[derive(Debug)]
pub struct Canary {
    tcp: TcpListener,
    udp: UdpSocket,
    address: SocketAddr,
    tcp_hits: AtomicU64,
    udp_hits: AtomicU64,
}

/// Tries to find one port number that is free for both protocols.
const TRIES: usize = 64;

impl Canary {
    /// Listens on a free port of 127.0.0.1, the same for TCP and UDP.
    ///
    /// In a network namespace of our own (`unshare -n`) loopback may be off; it is switched on.
    ///
    /// # Errors
    /// If no such port can be opened.
    pub fn listen() -> io::Result<Self> {
        // Where this may not be done, the positive control says that nothing is heard.
        let _ = crate::raise_loopback();
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..TRIES {
            let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let address = tcp.local_addr()?;
            match UdpSocket::bind(address) {
                Ok(udp) => {
                    tcp.set_nonblocking(true)?;
                    udp.set_nonblocking(true)?;
                    let (tcp_hits, udp_hits) = (AtomicU64::new(0), AtomicU64::new(0));
                    return Ok(Self { tcp, udp, address, tcp_hits, udp_hits });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Where to knock.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// TCP connections that arrived since [`Canary::listen`].
    pub fn tcp_hits(&self) -> u64 {
        while self.tcp.accept().is_ok() {
            self.tcp_hits.fetch_add(1, Ordering::Relaxed);
        }
        self.tcp_hits.load(Ordering::Relaxed)
    }

    /// UDP datagrams that arrived since [`Canary::listen`].
    pub fn udp_hits(&self) -> u64 {
        let mut byte = [0_u8; 64];
        while self.udp.recv_from(&mut byte).is_ok() {
            self.udp_hits.fetch_add(1, Ordering::Relaxed);
        }
        self.udp_hits.load(Ordering::Relaxed)
    }
}

/// The positive control: one connection and one datagram to the canary, without any seal.
///
/// # Errors
/// If either could not be sent; the canary then proves nothing.
pub fn knock(canary: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&canary, Duration::from_secs(5))?;
    stream.write_all(b"knock")?;
    let own = if canary.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
    UdpSocket::bind(own)?.send_to(b"knock", canary)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Canary, knock};

    #[test]
    fn a_knock_is_heard_once_on_each_side() {
        let canary = Canary::listen().unwrap();
        assert_eq!((canary.tcp_hits(), canary.udp_hits()), (0, 0));
        knock(canary.address()).unwrap();
        assert_eq!((canary.tcp_hits(), canary.udp_hits()), (1, 1));
        knock(canary.address()).unwrap();
        assert_eq!((canary.tcp_hits(), canary.udp_hits()), (2, 2));
    }
}
