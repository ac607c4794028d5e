//! What the gateway says until the power goes: the promises it is measured by.

use crate::harness::{Heard, Journal};
use crate::oracle::Sent;
use anyhow::{Result, ensure};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tickberry_wire::{Body, decode};

type Trades = BTreeMap<(i64, i64), Sent>;

/// What was said in one life of the gateway.
#[derive(Debug, Default)]
pub struct Watch {
    /// Everything below was reported as committed, by a batch or by the journal.
    pub committed: u64,
    heard: Trades,
    /// What the newest batch called committed.
    told: u64,
    /// The end of each batch that reported a flush.
    after: Vec<u64>,
    /// When so many frames had been sent.
    sent: Vec<(Instant, usize)>,
}

impl Watch {
    /// All below `committed` was reported before.
    pub fn from(committed: u64) -> Watch {
        Watch { committed, ..Watch::default() }
    }

    /// Takes what a tap heard on the batches' topic.
    pub fn hear(&mut self, heard: Vec<Heard>) -> Result<()> {
        for message in heard {
            let batch = decode(&message.payload).map_err(|e| anyhow::anyhow!("{}: {e}", message.topic))?;
            if batch.committed > self.told {
                self.told = batch.committed;
                self.after.push(batch.end_offset());
            }
            self.committed = self.committed.max(batch.committed);
            let Body::Trades(trades) = &batch.body else { continue };
            for (offset, t) in (batch.first_offset as i64..).zip(trades) {
                let (price, volume) = (t.price.to_string(), t.volume.to_string());
                let sent = Sent { symbol: t.symbol.as_str().to_owned(), time_ms: t.time_ms, price, volume };
                self.note((batch.epoch.get() as i64, offset), sent)?;
            }
        }
        Ok(())
    }

    /// Takes what the journal serves: that is committed.
    pub fn read(&mut self, journal: Journal) -> Result<()> {
        self.committed = self.committed.max(journal.end);
        journal.trades.into_iter().try_for_each(|(id, sent)| self.note(id, sent))
    }

    fn note(&mut self, id: (i64, i64), sent: Sent) -> Result<()> {
        if let Some(other) = self.heard.insert(id, sent.clone()) {
            ensure!(other == sent, "{id:?} was told as {other:?} and as {sent:?}");
        }
        Ok(())
    }

    /// Notes how many frames have been sent by now.
    pub fn sent(&mut self, frames: usize) {
        self.sent.push((Instant::now(), frames));
    }

    /// The frames that were sent while this watched.
    pub fn frames(&self) -> std::ops::Range<usize> {
        let count = |mark: Option<&(Instant, usize)>| mark.map_or(0, |(_, count)| *count);
        count(self.sent.first())..count(self.sent.last())
    }

    /// How long before `cut` a frame was sent, at most.
    pub fn age(&self, frame: usize, cut: Instant) -> Option<Duration> {
        let before = self.sent.iter().rev().find(|(_, count)| *count <= frame)?;
        Some(cut.saturating_duration_since(before.0))
    }

    /// The trades that must be there, whatever happens.
    pub fn promised(&self) -> Trades {
        let committed = |id: &(i64, i64)| (id.1 as u64) < self.committed;
        self.heard.iter().filter(|(id, _)| committed(id)).map(|(id, sent)| (*id, sent.clone())).collect()
    }

    /// A flush may have begun before a batch that was heard before its report; the next one has not: an error unless the
    /// gateway has committed all that was heard before the last report but one.
    pub fn only_the_last_flush_is_open(&self) -> Result<()> {
        let Some(before_last) = self.after.len().checked_sub(2) else { return Ok(()) };
        let end = self.after[before_last];
        ensure!(self.told >= end, "offset {end} was heard two flushes ago, and committed is {}", self.told);
        Ok(())
    }

    /// The trades that were told of and not promised: how many are not in the journal, and how many are.
    pub fn unpromised_in(&self, journal: &Journal) -> (usize, usize) {
        let unpromised = self.heard.iter().filter(|(id, _)| id.1 as u64 >= self.committed);
        let (there, gone): (Vec<_>, Vec<_>) =
            unpromised.partition(|(id, sent)| journal.trades.get(id) == Some(*sent));
        (gone.len(), there.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trade(price: &str) -> Sent {
        Sent { symbol: "A".to_owned(), time_ms: 1, price: price.to_owned(), volume: "1".to_owned() }
    }

    #[test]
    fn only_what_is_below_committed_is_promised() {
        let mut watch = Watch { committed: 5, ..Watch::default() };
        for offset in 3..8 {
            watch.note((1, offset), trade("1")).unwrap();
        }
        assert_eq!(watch.promised().len(), 2);
        let mut journal = Journal::default();
        journal.trades.insert((1, 5), trade("1"));
        assert_eq!(watch.unpromised_in(&journal), (2, 1));
        watch.note((1, 3), trade("1")).unwrap();
        assert!(watch.note((1, 3), trade("2")).is_err());
    }

    #[test]
    fn what_was_heard_two_flushes_ago_is_committed() {
        let watch = |told, after: &[u64]| Watch { told, after: after.to_vec(), ..Watch::default() };
        watch(5, &[9]).only_the_last_flush_is_open().unwrap();
        watch(9, &[9, 14]).only_the_last_flush_is_open().unwrap();
        assert!(watch(8, &[9, 14]).only_the_last_flush_is_open().is_err());
    }

    #[test]
    fn a_frame_is_as_old_as_the_last_moment_at_which_it_was_not_sent() {
        let mut watch = Watch::default();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        watch.sent = vec![(at(0), 0), (at(10), 4), (at(20), 9)];
        assert_eq!(watch.age(4, at(100)), Some(Duration::from_millis(90)));
        assert_eq!(watch.age(3, at(100)), Some(Duration::from_millis(100)));
    }
}
