//! The connections that are open, and who has to leave when there are too many.

use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::door::Door;
use crate::lock::lock;

/// Most connections at once.
pub(crate) const MAX_CONNECTIONS: usize = 128;
/// Most of them from the network, so that this computer always has places.
const MAX_FROM_NETWORK: usize = 96;

/// One open connection.
pub(crate) struct Seat {
    pub(crate) stream: TcpStream,
    pub(crate) door: Door,
    epoch: Instant,
    /// Since when the client has to send something or to take its answer, in milliseconds after `epoch` and one; 0 while it has not.
    waiting: AtomicU64,
}

impl Seat {
    /// From now on we wait for the client: it has to send something, or to take its answer.
    pub(crate) fn wait(&self) {
        let since = u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.waiting.store(since + 1, Ordering::Relaxed);
    }

    /// The client has done its part.
    pub(crate) fn attend(&self) {
        self.waiting.store(0, Ordering::Relaxed);
    }

    fn since(&self) -> Option<u64> {
        Some(self.waiting.load(Ordering::Relaxed)).filter(|since| *since > 0)
    }
}

/// All open connections. When the places are taken, the one that has kept us waiting for the longest time has to go: a
/// crowd of silent connections keeps nobody out.
pub(crate) struct Seats {
    epoch: Instant,
    taken: Mutex<Vec<Arc<Seat>>>,
}

impl Default for Seats {
    fn default() -> Self {
        Self { epoch: Instant::now(), taken: Mutex::default() }
    }
}

impl Seats {
    /// A place for a connection; the connection again if every place is in use.
    pub(crate) fn take(self: &Arc<Self>, stream: TcpStream, door: Door) -> Result<Place, (TcpStream, Door)> {
        let mut taken = lock(&self.taken);
        let from_network = taken.iter().filter(|seat| seat.door.network).count();
        let full = taken.len() >= MAX_CONNECTIONS;
        let too_many = door.network && from_network >= MAX_FROM_NETWORK;
        if (full || too_many) && !send_away(&mut taken, |seat| seat.door.network || !too_many) {
            return Err((stream, door));
        }
        let seat = Arc::new(Seat { stream, door, epoch: self.epoch, waiting: AtomicU64::new(0) });
        seat.wait();
        taken.push(Arc::clone(&seat));
        Ok(Place { seats: Arc::clone(self), seat })
    }

    /// Sends away whoever has kept us waiting for the longest time: something has run out.
    pub(crate) fn make_room(&self) {
        send_away(&mut lock(&self.taken), |_| true);
    }

    /// Ends the connections on which this paired device asked last.
    pub(crate) fn close_of(&self, device: &str) {
        for seat in lock(&self.taken).iter().filter(|seat| seat.door.was_used_by(device)) {
            // One that has gone already is gone.
            let _ = seat.stream.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn count(&self) -> usize {
        lock(&self.taken).len()
    }
}

/// Ends the longest wait among these; false if nobody is waited for.
fn send_away(taken: &mut Vec<Arc<Seat>>, among: impl Fn(&Seat) -> bool) -> bool {
    let waiting = taken.iter().enumerate().filter(|(_, seat)| among(seat));
    let longest = waiting.filter_map(|(at, seat)| Some((seat.since()?, at))).min();
    let Some((_, at)) = longest else { return false };
    // Its thread reads the end, and stops.
    let _ = taken.swap_remove(at).stream.shutdown(Shutdown::Both);
    true
}

/// A taken place; it becomes free when this goes.
pub(crate) struct Place {
    seats: Arc<Seats>,
    pub(crate) seat: Arc<Seat>,
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.seats.taken).retain(|seat| !Arc::ptr_eq(seat, &self.seat));
    }
}
