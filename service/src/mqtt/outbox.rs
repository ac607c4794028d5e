//! What was handed to the connection and has not yet gone out, by size; the client's own channel bounds only the count.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes on their way out, at most.
const MAX_BYTES: usize = 1 << 20;

#[derive(Default)]
pub(super) struct Outbox {
    queue: Mutex<Sizes>,
    connected: AtomicBool,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Sizes {
    sizes: VecDeque<usize>,
    bytes: usize,
}

impl Outbox {
    fn queue(&self) -> MutexGuard<'_, Sizes> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends something of that size, if there is a connection and room. `false`: not sent, counted.
    pub(super) fn send(&self, size: usize, send: impl FnOnce() -> bool) -> bool {
        // The lock spans check and send, so that sizes stay in the order of the channel.
        let mut queue = self.queue();
        let sent = self.is_connected() && queue.bytes + size <= MAX_BYTES && send();
        if sent {
            queue.sizes.push_back(size);
            queue.bytes += size;
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        sent
    }

    pub(super) fn sent_one(&self) {
        let mut queue = self.queue();
        if let Some(size) = queue.sizes.pop_front() {
            queue.bytes -= size;
        }
    }

    pub(super) fn connected(&self) {
        self.connected.store(true, Ordering::Release);
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }

    /// The connection is gone, and with it what was queued; tells whether there was one.
    pub(super) fn disconnected(&self) -> bool {
        let mut queue = self.queue();
        self.dropped.fetch_add(queue.sizes.len() as u64, Ordering::Relaxed);
        *queue = Sizes::default();
        self.connected.swap(false, Ordering::AcqRel)
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_queued_beyond_the_bound_or_without_a_connection() {
        let outbox = Outbox::default();
        assert!(!outbox.send(1, || true), "not connected");
        outbox.connected();
        let sent = (0..100).filter(|_| outbox.send(MAX_BYTES / 10, || true)).count();
        assert_eq!((sent, outbox.dropped()), (10, 91));
        outbox.sent_one();
        assert!(outbox.send(MAX_BYTES / 10, || true), "room again");
        outbox.sent_one();
        assert!(!outbox.send(1, || false), "the channel is full");
        assert_eq!((outbox.disconnected(), outbox.disconnected()), (true, false));
        assert_eq!(outbox.dropped(), 92 + 9, "what was queued went with the connection");
    }
}
