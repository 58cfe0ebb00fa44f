//! What happens, told to all who listen: one hub, a few listeners, nobody can hold anybody up.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::happening::Happening;
use crate::lock::lock;

/// Most pages that listen at once; one more makes the oldest go (it comes back by itself).
pub(crate) const MAX_LISTENERS: usize = 32;
/// Events that may wait for a slow listener; one more and the listener is cut off.
const WAITING_EVENTS: usize = 256;
/// Progress events that may wait for a slow listener; further ones are left out.
const WAITING_PROGRESS: usize = 3;

/// Sends every event to every listener without ever waiting for one.
#[derive(Default)]
pub(crate) struct Events {
    listeners: Mutex<Listeners>,
}

#[derive(Default)]
struct Listeners {
    next: u64,
    all: Vec<Listener>,
}

struct Listener {
    id: u64,
    waiting: Arc<AtomicUsize>,
    sender: SyncSender<Arc<Happening>>,
}

/// A listener's end. Dropping it ends the subscription.
pub(crate) struct EventStream {
    hub: Arc<Events>,
    id: u64,
    waiting: Arc<AtomicUsize>,
    receiver: Receiver<Arc<Happening>>,
}

/// What a listener gets.
pub(crate) enum Next {
    /// Something happened.
    Event(Arc<Happening>),
    /// Nothing happened in the time given.
    Quiet,
    /// There will be nothing more.
    Over,
}

impl Events {
    /// Starts a subscription whose first event is `hello`.
    pub(crate) fn subscribe(self: &Arc<Self>, hello: Happening) -> EventStream {
        let (sender, receiver) = sync_channel(WAITING_EVENTS);
        let waiting = Arc::new(AtomicUsize::new(1));
        // The channel is empty and its other end is here: this cannot fail.
        let _ = sender.try_send(Arc::new(hello));
        let mut listeners = lock(&self.listeners);
        listeners.next += 1;
        let id = listeners.next;
        while listeners.all.len() >= MAX_LISTENERS {
            listeners.all.remove(0);
        }
        listeners.all.push(Listener { id, waiting: Arc::clone(&waiting), sender });
        EventStream { hub: Arc::clone(self), id, waiting, receiver }
    }

    /// Whether anybody listens.
    pub(crate) fn heard(&self) -> bool {
        !lock(&self.listeners).all.is_empty()
    }

    /// Ends all subscriptions.
    pub(crate) fn close(&self) {
        lock(&self.listeners).all.clear();
    }

    /// Sends an event; a slow listener does without progress, and is cut off when it misses anything else.
    pub(crate) fn send(&self, happening: Happening) {
        let mut listeners = lock(&self.listeners);
        if listeners.all.is_empty() {
            return;
        }
        let room = if happening.is_progress() { WAITING_PROGRESS } else { WAITING_EVENTS };
        let event = Arc::new(happening);
        listeners.all.retain(|listener| {
            if room < WAITING_EVENTS && listener.waiting.load(Ordering::Relaxed) >= room {
                return true;
            }
            listener.waiting.fetch_add(1, Ordering::Relaxed);
            match listener.sender.try_send(Arc::clone(&event)) {
                Ok(()) => true,
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
            }
        });
    }
}

impl EventStream {
    /// Waits for the next event for at most `patience`.
    pub(crate) fn next(&self, patience: Duration) -> Next {
        match self.receiver.recv_timeout(patience) {
            Ok(event) => {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                Next::Event(event)
            }
            Err(RecvTimeoutError::Timeout) => Next::Quiet,
            Err(RecvTimeoutError::Disconnected) => Next::Over,
        }
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        lock(&self.hub.listeners).all.retain(|listener| listener.id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::happening::JobProgress;

    fn drain(stream: &EventStream) -> Vec<String> {
        std::iter::from_fn(|| match stream.next(Duration::ZERO) {
            Next::Event(event) => Some(event.sse()),
            Next::Quiet | Next::Over => None,
        })
        .take(1000)
        .collect()
    }

    fn removed(number: usize) -> Happening {
        Happening::Removed(number.to_string())
    }

    fn wire(number: usize) -> String {
        format!("event: removed\ndata: {{\"id\":\"{number}\"}}\n\n")
    }

    fn progress(step: u32) -> Happening {
        Happening::Progress(JobProgress { step, ..JobProgress::default() })
    }

    #[test]
    fn listeners_get_hello_then_everything_in_order() {
        let hub = Arc::new(Events::default());
        assert!(!hub.heard());
        let stream = hub.subscribe(removed(0));
        hub.send(removed(1));
        hub.send(Happening::Removed("two\nlines".to_owned()));
        let last = "event: removed\ndata: {\"id\":\"two\\nlines\"}\n\n".to_owned();
        assert_eq!(drain(&stream), [wire(0), wire(1), last]);
        drop(stream);
        assert!(!hub.heard());
    }

    #[test]
    fn a_slow_listener_misses_progress_but_no_job() {
        let hub = Arc::new(Events::default());
        let stream = hub.subscribe(removed(0));
        for step in 0..10 {
            hub.send(progress(step));
        }
        hub.send(removed(1));
        let got = drain(&stream);
        assert_eq!(got.len(), WAITING_PROGRESS + 1, "hello, two progress events, the last: {got:?}");
        assert_eq!(got.last(), Some(&wire(1)));
    }

    #[test]
    fn a_stuck_listener_is_cut_off_and_the_oldest_makes_room() {
        let hub = Arc::new(Events::default());
        let stuck = hub.subscribe(removed(0));
        for number in 0..WAITING_EVENTS + 5 {
            hub.send(removed(number));
        }
        assert!(!hub.heard());
        assert_eq!(drain(&stuck).len(), WAITING_EVENTS);
        assert!(matches!(stuck.next(Duration::ZERO), Next::Over));

        let streams: Vec<_> = (0..=MAX_LISTENERS).map(|number| hub.subscribe(removed(number))).collect();
        assert_eq!(lock(&hub.listeners).all.len(), MAX_LISTENERS);
        assert_eq!(drain(&streams[0]).len(), 1);
        assert!(matches!(streams[0].next(Duration::ZERO), Next::Over));
        assert!(matches!(streams[1].next(Duration::ZERO), Next::Event(_)));
    }
}
