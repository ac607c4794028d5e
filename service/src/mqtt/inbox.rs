//! Received events on their way to a consumer that may be slow.

use super::Event;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

const MAX_MESSAGES: usize = 4_096;
const MAX_BYTES: usize = 4 << 20;

#[derive(Default)]
pub(super) struct Inbox {
    queue: Mutex<Received>,
    arrived: Notify,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Received {
    events: VecDeque<Event>,
    bytes: usize,
    closed: bool,
}

impl Received {
    fn pop(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        self.bytes -= size(&event);
        Some(event)
    }

    /// Queues a message; returns how many older ones had to go for it.
    fn message(&mut self, event: Event) -> u64 {
        let mut dropped = 0;
        self.bytes += size(&event);
        self.events.push_back(event);
        while self.events.len() > MAX_MESSAGES || self.bytes > MAX_BYTES {
            let Some(oldest) = self.events.iter().position(|e| matches!(e, Event::Message { .. })) else {
                break;
            };
            if let Some(gone) = self.events.remove(oldest) {
                self.bytes -= size(&gone);
                dropped += 1;
            }
        }
        dropped
    }

    /// A change of state is never dropped, but an unread one gives way to its successor; so there are never more of
    /// them than messages, plus one.
    fn state(&mut self, event: Event) {
        if matches!(self.events.back(), Some(Event::Up | Event::Down(_))) {
            self.events.pop_back();
        }
        self.events.push_back(event);
    }
}

fn size(event: &Event) -> usize {
    match event {
        Event::Message { topic, payload } => topic.len() + payload.len(),
        Event::Up | Event::Down(_) => 0,
    }
}

impl Inbox {
    fn queue(&self) -> MutexGuard<'_, Received> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn message(&self, topic: String, payload: &Bytes) {
        // An exact copy: a slice would keep the whole read buffer alive for as long as it waits here.
        let payload = Bytes::copy_from_slice(payload);
        let dropped = self.queue().message(Event::Message { topic, payload });
        self.dropped.fetch_add(dropped, Ordering::Relaxed);
        self.arrived.notify_one();
    }

    pub(super) fn state(&self, event: Event) {
        self.queue().state(event);
        self.arrived.notify_one();
    }

    /// Nothing more will come.
    pub(super) fn close(&self) {
        self.queue().closed = true;
        self.arrived.notify_one();
    }

    /// The next event; `None` when there is none and nothing more will come. Cancel-safe; for one consumer.
    pub(super) async fn recv(&self) -> Option<Event> {
        loop {
            {
                let mut queue = self.queue();
                let event = queue.pop();
                if event.is_some() || queue.closed {
                    return event;
                }
            }
            // Who arrived meanwhile left a permit.
            self.arrived.notified().await;
        }
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::MAX_PAYLOAD;
    use super::*;

    fn message(payload: Vec<u8>) -> Event {
        Event::Message { topic: "t".into(), payload: payload.into() }
    }

    #[test]
    fn a_slow_consumer_loses_the_oldest_messages_and_no_change_of_state() {
        let mut queue = Received::default();
        queue.state(Event::Up);
        let dropped: u64 = (0..MAX_MESSAGES + 5).map(|i| queue.message(message(vec![i as u8]))).sum();
        assert_eq!((queue.events.len(), dropped), (MAX_MESSAGES, 6));
        assert_eq!(queue.pop(), Some(Event::Up));
        assert_eq!(queue.pop(), Some(message(vec![6])));

        let mut queue = Received::default();
        let dropped: u64 = (0..100).map(|_| queue.message(message(vec![0; MAX_PAYLOAD]))).sum();
        assert!(queue.bytes <= MAX_BYTES && dropped > 0);
        while queue.pop().is_some() {}
        assert_eq!(queue.bytes, 0);
    }

    #[test]
    fn unread_changes_of_state_do_not_pile_up() {
        let mut queue = Received::default();
        for _ in 0..1000 {
            queue.state(Event::Down("gone".into()));
            queue.state(Event::Up);
        }
        assert_eq!(queue.events, [Event::Up]);
    }
}
