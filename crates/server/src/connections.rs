//! Which connections have requests under way.
//!
//! A client may send its next request before the answer to the last one, and answers go out in
//! that order. Events never end by themselves, so a second request on their connection ends them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use crate::events::Ender;
use crate::lock::lock;

/// Counts requests per connection.
#[derive(Default)]
pub(crate) struct Connections {
    all: Mutex<HashMap<SocketAddr, Entry>>,
}

#[derive(Default)]
struct Entry {
    requests: usize,
    ender: Option<Ender>,
}

/// One request under way; dropping it counts it out.
pub(crate) struct InFlight {
    connections: Arc<Connections>,
    peer: Option<SocketAddr>,
}

impl Connections {
    /// Counts a request in, and ends the events of its connection if there are any.
    pub(crate) fn arrive(self: &Arc<Self>, peer: Option<SocketAddr>) -> InFlight {
        if let Some(peer) = peer {
            let mut all = lock(&self.all);
            let entry = all.entry(peer).or_default();
            entry.requests += 1;
            let ender = entry.ender.take();
            drop(all);
            if let Some(ender) = ender {
                ender.end();
            }
        }
        InFlight { connections: Arc::clone(self), peer }
    }
}

impl InFlight {
    /// Notes how the events of this connection are ended. False, and nothing noted, if other
    /// requests of the connection are already under way.
    pub(crate) fn on_end(&self, ender: Ender) -> bool {
        let Some(peer) = self.peer else { return true };
        match lock(&self.connections.all).get_mut(&peer) {
            Some(entry) if entry.requests == 1 => {
                entry.ender = Some(ender);
                true
            }
            _ => false,
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let Some(peer) = self.peer else { return };
        let mut all = lock(&self.connections.all);
        if let Some(entry) = all.get_mut(&peer) {
            entry.requests = entry.requests.saturating_sub(1);
            if entry.requests == 0 {
                all.remove(&peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{Events, Next};
    use std::time::Duration;

    #[test]
    fn a_second_request_ends_the_events_of_its_connection_only() {
        let connections = Arc::new(Connections::default());
        let hub = Arc::new(Events::default());
        let peer = |port| Some(SocketAddr::from(([127, 0, 0, 1], port)));
        let stream = hub.subscribe(&0);
        let first = connections.arrive(peer(1));
        assert!(first.on_end(stream.ender()));
        let _other = connections.arrive(peer(2));
        assert!(matches!(stream.next(Duration::ZERO), Next::Event(_)));
        assert!(matches!(stream.next(Duration::ZERO), Next::Quiet));
        let second = connections.arrive(peer(1));
        assert!(matches!(stream.next(Duration::ZERO), Next::Over));
        assert!(!second.on_end(stream.ender()));
        drop((first, second));
        assert!(!lock(&connections.all).contains_key(&SocketAddr::from(([127, 0, 0, 1], 1))));
    }
}
