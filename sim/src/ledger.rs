//! What the gateway said: which record has which identity, and which of them are committed.

use std::collections::BTreeMap;

use bytes::Bytes;
use tickberry_gateway::journal::JournalState;
use tickberry_wire::{Batch, Body, Control, Trade, decode, peek};

/// A promise that was broken.
pub type Broken = String;

/// Every batch that was published, by epoch and first offset.
#[derive(Default)]
pub struct Ledger {
    batches: BTreeMap<(u64, u64), (Bytes, Batch)>,
    /// The end of what is committed of each epoch.
    committed: BTreeMap<u64, u64>,
    /// The end of what is committed of each epoch and on disk.
    durable: BTreeMap<u64, u64>,
    /// The epoch before each, and its end.
    previous: BTreeMap<u64, (u64, u64)>,
    /// Ranges that a start told as lost.
    lost: Vec<(u64, u64)>,
    /// The highest end of all.
    highest: u64,
}

impl Ledger {
    /// The gateway published this.
    ///
    /// # Errors
    /// When the identity was given to another record, or an epoch begins twice.
    pub fn published(&mut self, payload: &Bytes) -> Result<(), Broken> {
        let batch = decode(payload).map_err(|e| format!("the gateway published what cannot be read: {e}"))?;
        if matches!(batch.body, Body::Commit) {
            return Ok(());
        }
        let (epoch, first) = (batch.epoch.get(), batch.first_offset);
        if let Body::Control(Control::EpochStart(_)) = batch.body
            && self.of_epoch(epoch).next().is_some()
        {
            return Err(format!("epoch {epoch} begins twice"));
        }
        self.note_start(&batch);
        if let Some((known, _)) = self.batches.get(&(epoch, first))
            && known != payload
        {
            return Err(format!("epoch {epoch} offset {first} was given to two records"));
        }
        if let Some(((_, _), (_, before))) = self.batches.range(..(epoch, first)).next_back()
            && before.epoch.get() == epoch
            && before.end_offset() != first
        {
            return Err(format!("epoch {epoch}: {first} follows on {}", before.end_offset()));
        }
        self.batches.insert((epoch, first), (payload.clone(), batch));
        Ok(())
    }

    /// The journal is so far.
    pub fn state(&mut self, state: JournalState) {
        self.commit(state.epoch.get(), state.committed);
        if state.durable {
            let end = self.durable.entry(state.epoch.get()).or_default();
            *end = state.committed.max(*end);
        }
    }

    /// Epochs ended, this one last, and everything they gave below is kept. `on_disk`: not only in memory.
    pub fn ended(&mut self, epoch: u64, end: u64, on_disk: bool) {
        let mut next = Some((epoch, end));
        for _ in 0..32 {
            let Some((epoch, end)) = next else { return };
            self.commit(epoch, end);
            if on_disk {
                let durable = self.durable.entry(epoch).or_default();
                // What a retry wrote before the power went was promised by no more than a memory epoch.
                let beyond = self.lost.iter().filter(|(_, to)| *to > *durable);
                let whole = beyond.map(|(from, _)| *from).min().unwrap_or(u64::MAX);
                *durable = end.min(whole).max(*durable);
            }
            next = self.previous.get(&epoch).copied();
        }
    }

    /// A start told that this range is lost.
    pub fn lost(&mut self, from: u64, to: u64) {
        self.lost.push((from, to));
    }

    fn note_start(&mut self, batch: &Batch) {
        if let Body::Control(Control::EpochStart(start)) = &batch.body
            && let Some((epoch, end)) = start.previous
        {
            self.previous.insert(batch.epoch.get(), (epoch.get(), end));
        }
    }

    /// The epoch before, and its end.
    pub fn before(&self, epoch: u64) -> Option<(u64, u64)> {
        self.previous.get(&epoch).copied()
    }

    fn commit(&mut self, epoch: u64, end: u64) {
        let known = self.committed.entry(epoch).or_default();
        *known = end.max(*known);
        self.highest = self.highest.max(end);
    }

    /// What a process journaled that died before it could publish it.
    pub fn found(&mut self, payload: &[u8]) {
        let known =
            |head: tickberry_wire::Head| self.batches.contains_key(&(head.epoch.get(), head.first_offset));
        if peek(payload).is_ok_and(known) {
            return;
        }
        if let Ok(batch) = decode(payload)
            && !self.batches.contains_key(&(batch.epoch.get(), batch.first_offset))
        {
            self.note_start(&batch);
            let key = (batch.epoch.get(), batch.first_offset);
            self.batches.insert(key, (Bytes::copy_from_slice(payload), batch));
        }
    }

    /// A trade by its identity, if it is committed.
    pub fn committed_trade(&self, epoch: u64, offset: u64) -> Option<(&Batch, &Trade)> {
        if self.committed.get(&epoch).is_none_or(|end| *end <= offset) {
            return None;
        }
        let (_, (_, batch)) = self.batches.range(..=(epoch, offset)).next_back()?;
        let Body::Trades(trades) = &batch.body else { return None };
        if batch.epoch.get() != epoch {
            return None;
        }
        Some((batch, trades.get((offset - batch.first_offset) as usize)?))
    }

    /// The batch that begins there, as it was published.
    pub fn payload(&self, epoch: u64, first: u64) -> Option<&Bytes> {
        self.batches.get(&(epoch, first)).map(|(payload, _)| payload)
    }

    /// Batches that are committed on disk.
    pub fn promised(&self) -> impl Iterator<Item = &Batch> {
        self.batches
            .values()
            .map(|(_, batch)| batch)
            .filter(|batch| batch.end_offset() <= self.durable.get(&batch.epoch.get()).copied().unwrap_or(0))
    }

    /// The highest end of what was ever committed.
    pub fn highest(&self) -> u64 {
        self.highest
    }

    /// What is committed on disk of an epoch.
    pub fn durable_end(&self, epoch: u64) -> u64 {
        self.durable.get(&epoch).copied().unwrap_or(0)
    }

    fn of_epoch(&self, epoch: u64) -> impl Iterator<Item = &(Bytes, Batch)> {
        self.batches.range((epoch, 0)..=(epoch, u64::MAX)).map(|(_, batch)| batch)
    }
}
