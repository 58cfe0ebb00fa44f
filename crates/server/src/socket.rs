//! What the listening socket can be told, per system.

use std::net::TcpListener;
use std::time::Duration;

/// Prepares the socket before it is used: accepted connections inherit these options on Linux.
///
/// - a write that a client does not take for `write` fails;
/// - a read that brings nothing for `read` fails. This one also ends an idle `accept`, which
///   `tiny.rs` answers by accepting anew.
pub(crate) fn prepare(listener: &TcpListener, read: Duration, write: Duration) {
    #[cfg(target_os = "linux")]
    {
        use rustix::net::sockopt::{Timeout, set_socket_timeout, set_tcp_nodelay};
        // Each of them is a protection more; the server also works without.
        let _ = set_tcp_nodelay(listener, true);
        let _ = set_socket_timeout(listener, Timeout::Send, Some(write));
        let _ = set_socket_timeout(listener, Timeout::Recv, Some(read));
    }
    // Elsewhere options are not inherited: connections have no time limit there.
    #[cfg(not(target_os = "linux"))]
    let _ = (listener, read, write);
}

/// Whether a connection waits that nobody accepts.
pub(crate) fn somebody_waits(listener: &TcpListener) -> bool {
    #[cfg(unix)]
    {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let mut sockets = [PollFd::new(listener, PollFlags::IN)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut sockets, Some(&at_once)).is_ok_and(|ready| ready > 0)
    }
    // Not available: a dead accept thread is not noticed there.
    #[cfg(not(unix))]
    {
        let _ = listener;
        false
    }
}

/// Stops accepting, also in other threads.
pub(crate) fn close(listener: &TcpListener) {
    #[cfg(unix)]
    let _ = rustix::net::shutdown(listener, rustix::net::Shutdown::Both);
    #[cfg(not(unix))]
    let _ = listener;
}
