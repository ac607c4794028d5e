//! From the bus to a pipeline: batches in a queue bounded by bytes, and what is known of the gateway.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use prometheus_client::metrics::counter::Counter;
use tickberry_wire::Epoch;
use tokio::sync::{mpsc, watch};

use crate::consumer::Told;

/// Batches that may wait, and their bytes. What does not fit is dropped and fetched from the journal later.
const MESSAGES: usize = 1024;
const BYTES: usize = 2 << 20;

/// What is known of the source's gateway and of the way to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    /// Its journal's address.
    pub(crate) journal: Option<String>,
    /// Its epoch, as its status said last.
    pub(crate) epoch: Option<Epoch>,
    /// The next offset it will give.
    pub(crate) head: u64,
    /// The next offset not yet durable.
    pub(crate) committed: u64,
    /// Whether the connection to the broker stands.
    pub(crate) up: bool,
}

impl Link {
    /// What a consumer has to know of it.
    pub(crate) fn told(&self) -> Told {
        Told { epoch: self.epoch, committed: self.committed, up: self.up }
    }
}

/// The service's end.
pub(crate) struct Feed {
    batches: mpsc::Sender<Bytes>,
    bytes: Arc<AtomicUsize>,
    link: watch::Sender<Link>,
    discarded: Counter,
}

/// The pipeline's end.
pub(crate) struct Inbox {
    batches: mpsc::Receiver<Bytes>,
    bytes: Arc<AtomicUsize>,
    link: watch::Receiver<Link>,
}

pub(crate) fn channel(journal: Option<String>, discarded: Counter) -> (Feed, Inbox) {
    let (sender, receiver) = mpsc::channel(MESSAGES);
    let (link, seen) = watch::channel(Link { journal, ..Link::default() });
    let bytes = Arc::new(AtomicUsize::new(0));
    let feed = Feed { batches: sender, bytes: bytes.clone(), link, discarded };
    (feed, Inbox { batches: receiver, bytes, link: seen })
}

impl Feed {
    /// Hands a batch on, or drops it.
    pub(crate) fn batch(&self, payload: Bytes) {
        let size = payload.len();
        let fits = self.bytes.load(Ordering::Relaxed) + size <= BYTES;
        self.bytes.fetch_add(size, Ordering::Relaxed);
        if !fits || self.batches.try_send(payload).is_err() {
            self.bytes.fetch_sub(size, Ordering::Relaxed);
            self.discarded.inc();
        }
    }

    /// Changes what is known.
    pub(crate) fn link(&self, change: impl FnOnce(&mut Link)) {
        self.link.send_if_modified(|link| {
            let before = link.clone();
            change(link);
            *link != before
        });
    }
}

/// What came in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A batch, as it was on the bus.
    Batch(Bytes),
    /// The gateway, or the way to it, is another: see [`Inbox::link`].
    Link,
}

impl Inbox {
    /// What comes in next. Cancel-safe; never again once the service has let go.
    pub(crate) async fn next(&mut self) -> Heard {
        tokio::select! {
            Some(payload) = self.batches.recv() => {
                self.bytes.fetch_sub(payload.len(), Ordering::Relaxed);
                Heard::Batch(payload)
            }
            Ok(()) = self.link.changed() => Heard::Link,
            else => std::future::pending().await,
        }
    }

    /// What is known now.
    pub(crate) fn link(&self) -> Link {
        self.link.borrow().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_queue_is_bounded_in_bytes_and_in_messages_and_losses_are_counted() {
        let discarded = Counter::default();
        let (feed, mut inbox) = channel(None, discarded.clone());
        for _ in 0..40 {
            feed.batch(Bytes::from(vec![0; 64 << 10]));
        }
        assert_eq!(discarded.get(), 8);
        for _ in 0..32 {
            assert!(matches!(inbox.next().await, Heard::Batch(payload) if payload.len() == 64 << 10));
        }
        for _ in 0..2000 {
            feed.batch(Bytes::from_static(b"x"));
        }
        assert_eq!(discarded.get(), 8 + 2000 - 1024);
    }

    #[test]
    fn news_of_the_gateway_wake_only_when_they_are_news() {
        let (feed, inbox) = channel(None, Counter::default());
        feed.link(|link| link.head = 0);
        assert!(!inbox.link.has_changed().unwrap());
        feed.link(|link| link.head = 5);
        assert!(inbox.link.has_changed().unwrap());
    }
}
