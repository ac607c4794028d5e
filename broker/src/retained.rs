//! The last retained message of each topic, for those who come later. Bounded in topics and bytes.

use crate::outbox::Message;
use bytes::Bytes;
use std::collections::BTreeMap;

#[derive(Debug)]
pub(crate) struct Retained {
    messages: BTreeMap<Bytes, Message>,
    bytes: usize,
    max_messages: usize,
    max_bytes: usize,
}

impl Retained {
    pub(crate) fn new(max_messages: usize, max_bytes: usize) -> Retained {
        Retained { messages: BTreeMap::new(), bytes: 0, max_messages, max_bytes }
    }

    /// Keeps the message in place of its topic's last one; an empty payload only clears. `false`: does not fit.
    pub(crate) fn keep(&mut self, message: &Message) -> bool {
        if let Some(old) = self.messages.remove(&message.topic) {
            self.bytes -= old.size();
        }
        if message.payload.is_empty() {
            return true;
        }
        let fits = self.messages.len() < self.max_messages && self.bytes + message.size() <= self.max_bytes;
        if fits {
            self.bytes += message.size();
            self.messages.insert(message.topic.clone(), Message { retained: true, ..message.clone() });
        }
        fits
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Message> {
        self.messages.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(topic: &'static str, payload: &'static str) -> Message {
        Message { topic: Bytes::from(topic), payload: Bytes::from(payload), retained: false }
    }

    #[test]
    fn the_last_of_each_topic_within_bounds() {
        let mut retained = Retained::new(2, 10_000);
        assert!(retained.keep(&message("a", "1")) && retained.keep(&message("b", "1")));
        assert!(!retained.keep(&message("c", "1")), "no room for a third topic");
        assert!(retained.keep(&message("a", "22")), "but for a new value of a known one");
        let held: Vec<_> =
            retained.iter().map(|m| (m.topic.clone(), m.payload.clone(), m.retained)).collect();
        assert_eq!(held, [("a".into(), "22".into(), true), ("b".into(), "1".into(), true)]);
        assert!(retained.keep(&message("a", "")) && retained.keep(&message("b", "")));
        assert_eq!((retained.len(), retained.bytes()), (0, 0));
    }
}
