//! Final and revised minutes on the bus; the newest of each symbol is retained.

use std::collections::BTreeMap;

use tickberry_service::mqtt::Publisher;
use tickberry_wire::topic::Topic;
use tickberry_wire::{Source, Symbol};

use crate::window::Minute;

/// The newest minute published of each symbol: a revision of an older one must not take its place.
#[derive(Default)]
pub(crate) struct Newest {
    starts: BTreeMap<Symbol, i64>,
}

impl Newest {
    /// Publishes minutes. What the broker does not take is in the store all the same.
    pub(crate) fn publish(&mut self, source: &Source, publisher: &Publisher, minutes: &[Minute]) {
        for minute in minutes {
            let retain = self.retains(minute);
            let payload = serde_json::to_vec(&minute.to_json(source)).expect("numbers and texts serialize");
            let topic = Topic::Minutes(source.clone(), minute.symbol.clone()).path();
            publisher.publish(topic, payload.into(), retain);
        }
    }

    fn retains(&mut self, minute: &Minute) -> bool {
        match self.starts.get_mut(&minute.symbol) {
            Some(newest) if minute.start_ms < *newest => false,
            Some(newest) => {
                *newest = minute.start_ms;
                true
            }
            None => {
                self.starts.insert(minute.symbol.clone(), minute.start_ms);
                true
            }
        }
    }
}
