//! Fan-out: one stream of messages in, the outboxes of many subscribers out.

use crate::outbox::{Message, Outbox};
use crate::retained::Retained;
use crate::topic;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A subscriber's number; never used twice.
pub(crate) type Id = u64;

/// Not a queue: what arrives is matched once per distinct filter and put into the outboxes at once, so a hub is never behind.
pub(crate) struct Hub {
    /// Who subscribes what, by filter, so that subscribers of the same filter share one match.
    filters: BTreeMap<String, Vec<Id>>,
    subscribers: HashMap<Id, Subscriber>,
    retained: Retained,
    /// Number of the message in hand: a subscriber with two matching filters gets it once.
    sequence: u64,
}

struct Subscriber {
    outbox: Arc<Outbox>,
    subscriptions: usize,
    seen: u64,
}

/// What became of one message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Put into this many outboxes.
    pub(crate) delivered: u64,
    /// So many older ones were dropped for it.
    pub(crate) dropped: u64,
    /// It ought to be retained and there was no room.
    pub(crate) not_retained: bool,
}

impl Hub {
    pub(crate) fn new(retained: Retained) -> Hub {
        Hub { filters: BTreeMap::new(), subscribers: HashMap::new(), retained, sequence: 0 }
    }

    pub(crate) fn add(&mut self, id: Id, outbox: Arc<Outbox>) {
        self.subscribers.insert(id, Subscriber { outbox, subscriptions: 0, seen: 0 });
    }

    pub(crate) fn remove(&mut self, id: Id) {
        self.subscribers.remove(&id);
        self.filters.retain(|_, ids| {
            ids.retain(|other| *other != id);
            !ids.is_empty()
        });
    }

    /// Subscribes. `Some(new)` tells whether it is a new subscription; `None`: the subscriber has too many.
    pub(crate) fn subscribe(&mut self, id: Id, filter: &str, max: usize) -> Option<bool> {
        let subscriber = self.subscribers.get_mut(&id)?;
        let known = self.filters.get(filter).is_some_and(|ids| ids.contains(&id));
        if known {
            return Some(false);
        }
        if subscriber.subscriptions >= max {
            return None;
        }
        subscriber.subscriptions += 1;
        self.filters.entry(filter.to_owned()).or_default().push(id);
        Some(true)
    }

    /// Unsubscribes; tells whether there was such a subscription.
    pub(crate) fn unsubscribe(&mut self, id: Id, filter: &str) -> bool {
        let Some(ids) = self.filters.get_mut(filter) else { return false };
        let Some(index) = ids.iter().position(|other| *other == id) else { return false };
        ids.swap_remove(index);
        if ids.is_empty() {
            self.filters.remove(filter);
        }
        if let Some(subscriber) = self.subscribers.get_mut(&id) {
            subscriber.subscriptions -= 1;
        }
        true
    }

    /// Queues what is retained under the filter for that subscriber; returns (queued, dropped).
    pub(crate) fn send_retained(&self, id: Id, filter: &str) -> (u64, u64) {
        let Some(subscriber) = self.subscribers.get(&id) else { return (0, 0) };
        let mut counts = (0, 0);
        for message in
            self.retained.iter().filter(|m| text(m).is_some_and(|topic| topic::matches(filter, topic)))
        {
            counts.0 += 1;
            counts.1 += subscriber.outbox.push(message.clone());
        }
        counts
    }

    /// Hands one message to whoever subscribes to its topic. `retain`: also keep it for those who come later.
    pub(crate) fn publish(&mut self, message: &Message, retain: bool) -> Outcome {
        let mut outcome = Outcome::default();
        if retain {
            outcome.not_retained = !self.retained.keep(message);
        }
        let Some(topic) = text(message) else { return outcome };
        self.sequence += 1;
        for (_, ids) in self.filters.iter().filter(|(filter, _)| topic::matches(filter, topic)) {
            for id in ids {
                let Some(subscriber) = self.subscribers.get_mut(id) else { continue };
                if subscriber.seen != self.sequence {
                    subscriber.seen = self.sequence;
                    outcome.delivered += 1;
                    outcome.dropped += subscriber.outbox.push(message.clone());
                }
            }
        }
        outcome
    }

    pub(crate) fn retained(&self) -> &Retained {
        &self.retained
    }
}

fn text(message: &Message) -> Option<&str> {
    std::str::from_utf8(&message.topic).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn message(topic: &str) -> Message {
        Message { topic: Bytes::from(topic.to_owned()), payload: Bytes::from_static(b"x"), retained: false }
    }

    fn hub(subscribers: u64) -> (Hub, Vec<Arc<Outbox>>) {
        let mut hub = Hub::new(Retained::new(10, 10_000));
        let outboxes: Vec<_> =
            (0..subscribers).map(|_| Arc::new(Outbox::new(10, 10_000, usize::MAX))).collect();
        for (id, outbox) in outboxes.iter().enumerate() {
            hub.add(id as u64, outbox.clone());
        }
        (hub, outboxes)
    }

    async fn received(outbox: &Outbox) -> Vec<Message> {
        let mut messages = Vec::new();
        outbox.take(1 << 20, &mut Vec::new(), &mut messages).await;
        messages
    }

    #[tokio::test]
    async fn one_copy_each_however_many_filters_match() {
        let (mut hub, outboxes) = hub(2);
        for filter in ["a/#", "a/+", "a/b"] {
            assert_eq!(hub.subscribe(0, filter, 10), Some(true));
        }
        assert_eq!(hub.subscribe(1, "#", 10), Some(true));
        assert_eq!(hub.subscribe(1, "#", 10), Some(false), "again is not new");
        assert_eq!(hub.publish(&message("a/b"), false), Outcome { delivered: 2, ..Outcome::default() });
        assert_eq!(hub.publish(&message("c"), false).delivered, 1);
        assert_eq!(received(&outboxes[0]).await.len(), 1);
        assert_eq!(received(&outboxes[1]).await.len(), 2);
    }

    #[tokio::test]
    async fn leaving_and_bounds() {
        let (mut hub, _outboxes) = hub(2);
        assert_eq!(hub.subscribe(0, "a", 1), Some(true));
        assert_eq!(hub.subscribe(0, "b", 1), None, "one too many");
        assert!(hub.unsubscribe(0, "a") && !hub.unsubscribe(0, "a"));
        assert_eq!(hub.subscribe(0, "b", 1), Some(true), "the place is free again");
        hub.remove(0);
        assert!(hub.filters.is_empty());
        assert_eq!(hub.subscribe(0, "b", 1), None, "gone");
        assert_eq!(hub.publish(&message("b"), false), Outcome::default());
    }

    #[tokio::test]
    async fn latecomers_get_what_was_retained() {
        let (mut hub, outboxes) = hub(1);
        hub.publish(&message("status/a"), true);
        hub.publish(&message("trades/a"), false);
        hub.subscribe(0, "#", 1);
        assert_eq!(hub.send_retained(0, "#"), (1, 0));
        let messages = received(&outboxes[0]).await;
        assert_eq!((messages.len(), messages[0].retained), (1, true));
    }
}
