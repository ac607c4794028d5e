//! What waits to be written to one client: a queue bounded in messages and bytes whose oldest go first.

use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// A message on its way out. Cloning shares the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) topic: Bytes,
    pub(crate) payload: Bytes,
    /// Sent because it was retained, not because it has just been published.
    pub(crate) retained: bool,
}

impl Message {
    /// What it counts for, with a fair share of the bookkeeping around it.
    pub(crate) fn size(&self) -> usize {
        self.topic.len() + self.payload.len() + 64
    }
}

/// Fixed header, length of the topic and (MQTT 5) of no properties, at most.
const HEADERS: usize = 8;

/// More unread answers than this, and the client is not listening.
const MAX_ANSWERS: usize = 128;

pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    ready: Notify,
    max_messages: usize,
    max_bytes: usize,
    /// The largest packet that the client takes (MQTT 5).
    max_packet: usize,
}

#[derive(Default)]
struct Queue {
    answers: VecDeque<Bytes>,
    messages: VecDeque<Message>,
    bytes: usize,
}

impl Outbox {
    pub(crate) fn new(max_messages: usize, max_bytes: usize, max_packet: usize) -> Outbox {
        Outbox { queue: Mutex::default(), ready: Notify::new(), max_messages, max_bytes, max_packet }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a message; returns how many had to go for it (possibly itself).
    pub(crate) fn push(&self, message: Message) -> u64 {
        let size = message.size();
        if size > self.max_bytes || message.topic.len() + message.payload.len() + HEADERS > self.max_packet {
            return 1;
        }
        let mut dropped = 0;
        let mut queue = self.queue();
        while queue.messages.len() >= self.max_messages || queue.bytes + size > self.max_bytes {
            let Some(oldest) = queue.messages.pop_front() else { break };
            queue.bytes -= oldest.size();
            dropped += 1;
        }
        queue.bytes += size;
        queue.messages.push_back(message);
        drop(queue);
        self.ready.notify_one();
        dropped
    }

    /// Queues an encoded answer, ahead of all messages. `false`: the client has too many unread ones.
    pub(crate) fn answer(&self, packet: Bytes) -> bool {
        let mut queue = self.queue();
        if queue.answers.len() >= MAX_ANSWERS {
            return false;
        }
        queue.answers.push_back(packet);
        drop(queue);
        self.ready.notify_one();
        true
    }

    /// Waits until there is something, then hands out answers and messages of about `max` bytes. Cancel-safe.
    pub(crate) async fn take(&self, max: usize, answers: &mut Vec<Bytes>, messages: &mut Vec<Message>) {
        loop {
            {
                let mut queue = self.queue();
                let mut taken = 0;
                answers.extend(queue.answers.drain(..));
                while taken < max {
                    let Some(message) = queue.messages.pop_front() else { break };
                    taken += message.size();
                    queue.bytes -= message.size();
                    messages.push(message);
                }
            }
            if !answers.is_empty() || !messages.is_empty() {
                return;
            }
            self.ready.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(payload: usize) -> Message {
        Message { topic: Bytes::from_static(b"t"), payload: Bytes::from(vec![0; payload]), retained: false }
    }

    #[tokio::test]
    async fn the_oldest_go_and_both_bounds_hold() {
        let outbox = Outbox::new(3, 10_000, usize::MAX);
        assert_eq!((0..5).map(|n| outbox.push(message(n))).sum::<u64>(), 2);
        assert_eq!(outbox.push(message(9_900)), 3, "the bound in bytes");
        assert_eq!(outbox.push(message(20_000)), 1, "what never fits is not let in");
        let (mut answers, mut messages) = (Vec::new(), Vec::new());
        assert!(outbox.answer(Bytes::from_static(b"pong")));
        outbox.take(1 << 20, &mut answers, &mut messages).await;
        assert_eq!((answers.len(), messages.len(), messages[0].payload.len()), (1, 1, 9_900));
        assert_eq!(outbox.queue().bytes, 0);
    }

    #[test]
    fn unread_answers_are_bounded() {
        let outbox = Outbox::new(1, 1_024, usize::MAX);
        assert_eq!((0..1000).filter(|_| outbox.answer(Bytes::new())).count(), MAX_ANSWERS);
    }
}
