//! The bus: messages are lost, doubled, late, and overtake each other.

use std::collections::BTreeMap;

use bytes::Bytes;
use tickberry_wire::Epoch;

use crate::random::Random;

/// What goes over the bus.
#[derive(Clone, Debug)]
pub enum Message {
    /// A batch.
    Batch(Bytes),
    /// A gateway's status: its epoch and what is committed.
    Status(Epoch, u64),
}

/// How bad the network is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// Of a hundred messages, how many are lost.
    pub lost: u64,
    /// Of a hundred messages, how many come twice.
    pub doubled: u64,
    /// The longest delay.
    pub late_ms: u64,
}

/// The way from the broker to one aggregator.
#[derive(Debug, Default)]
pub struct Line {
    /// Whether the connection stands.
    pub up: bool,
    queue: BTreeMap<(u64, u64), Message>,
    sent: u64,
}

impl Line {
    /// The broker sends a message.
    pub fn send(&mut self, message: &Message, weather: Weather, now: u64, random: &mut Random) {
        if !self.up || random.percent(weather.lost) {
            return;
        }
        let copies = if random.percent(weather.doubled) { 2 } else { 1 };
        for _ in 0..copies {
            self.sent += 1;
            let at = now + 1 + random.below(weather.late_ms + 1);
            self.queue.insert((at, self.sent), message.clone());
        }
    }

    /// The next message that has arrived.
    pub fn receive(&mut self, now: u64) -> Option<Message> {
        let entry = self.queue.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }

    /// The connection breaks; what was on its way is lost.
    pub fn cut(&mut self) {
        self.up = false;
        self.queue.clear();
    }
}
