//! Waiting for a connection, per system.

use std::net::TcpListener;
use std::time::Duration;

/// Waits until somebody connects to one of these, at most `patience`; may come back earlier.
///
/// The listeners do not block, so the stop flag is seen in time and no call waits for ever.
pub(crate) fn wait_for_connection<'a>(listeners: impl Iterator<Item = &'a TcpListener>, patience: Duration) {
    #[cfg(unix)]
    {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let mut sockets: Vec<PollFd<'_>> = listeners.map(|listener| PollFd::new(listener, PollFlags::IN)).collect();
        let patience = Timespec { tv_sec: 0, tv_nsec: patience.subsec_nanos().into() };
        if poll(&mut sockets, Some(&patience)).is_ok() {
            return;
        }
    }
    // Windows has no such call in the standard library; asking often does the same.
    #[cfg(not(unix))]
    drop(listeners);
    std::thread::sleep(patience.min(Duration::from_millis(5)));
}
