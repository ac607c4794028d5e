//! Live batches that wait until what comes before them was read from the journal.

use crate::records::Records;
use std::collections::BTreeMap;
use tickberry_wire::Epoch;

/// Records held. What is older than a flush interval is in the journal, so a few seconds suffice.
const MAX_RECORDS: u64 = 20_000;
/// Batches held.
const MAX_BATCHES: usize = 10_000;

/// Batches of one epoch, by offset. The newest are kept when there are too many.
#[derive(Debug, Default)]
pub(super) struct Held {
    batches: BTreeMap<u64, Records>,
    records: u64,
}

impl Held {
    /// The epoch of what is held.
    pub(super) fn epoch(&self) -> Option<Epoch> {
        self.batches.values().next().map(|batch| batch.head().epoch)
    }

    /// Keeps a batch that holds records. One of another epoch takes the place of all others.
    pub(super) fn push(&mut self, batch: Records) {
        if self.epoch().is_some_and(|epoch| epoch != batch.head().epoch) {
            self.clear();
        }
        if batch.head().count == 0 || self.batches.contains_key(&batch.head().first_offset) {
            return;
        }
        self.records += batch.head().count;
        self.batches.insert(batch.head().first_offset, batch);
        while self.records > MAX_RECORDS || self.batches.len() > MAX_BATCHES {
            self.pop();
        }
    }

    /// The first batch, if it does not begin behind `next`.
    pub(super) fn take(&mut self, next: u64) -> Option<Records> {
        if self.batches.first_key_value().is_some_and(|(first, _)| *first <= next) {
            self.pop()
        } else {
            None
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.batches.clear();
        self.records = 0;
    }

    fn pop(&mut self) -> Option<Records> {
        let (_, batch) = self.batches.pop_first()?;
        self.records -= batch.head().count;
        Some(batch)
    }

    #[cfg(test)]
    pub(super) fn records(&self) -> u64 {
        self.records
    }
}
