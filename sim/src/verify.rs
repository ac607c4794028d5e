//! The end: what the journal and the store hold, against what was promised and against an undisturbed fold.
//!
//! Nothing that was committed on disk may be missing from the journal, but for ranges the journal tells as lost, and
//! those only after damage was done to the platter. In a world without damage ([`Damage::is_none`]) the whole store
//! and the fold's state must equal those of a fold that read the final journal undisturbed, in one go.
//!
//! Damage makes a difference that is right: an aggregator that had read records before they rotted, before a memory
//! epoch vanished or before the ring took them knows more than the journal still holds, and one that meets the loss
//! in the middle of the kept hour leaves the windows in the store as they are. So there are compared: trades
//! (everything the journal holds, nothing that was never committed, no identity twice), counts (no window counts more
//! trades than the store holds of it), and windows that begin after the last fault, where the watermarks
//! agree.
//!
//! [`Damage::is_none`]: crate::world::Damage::is_none

use std::collections::{BTreeMap, BTreeSet};

use tickberry_aggregator::book::Book;
use tickberry_aggregator::records::Records;
use tickberry_gateway::journal::Item;
use tickberry_store::{MinuteRow, TradeRow};
use tickberry_wire::{Batch, Body, decode, is_plausible_time};

use crate::ledger::Broken;
use crate::store::Rows;
use crate::world::World;

/// When the faults were over.
#[derive(Debug)]
pub struct Calm {
    /// The journal's end then.
    pub offset: u64,
    /// Where the aggregators' watermarks stood.
    pub watermarks: Vec<Option<i64>>,
    /// Windows that begin later saw no fault.
    pub from_ms: i64,
}

/// The final journal.
struct Final {
    first: u64,
    batches: BTreeMap<u64, Batch>,
    lost: Vec<(u64, u64)>,
    committed: u64,
    /// As an aggregator would get it.
    items: Vec<Batch>,
}

/// A fold that read the final journal in one go.
struct Undisturbed {
    rows: Rows,
    fingerprint: Vec<u8>,
    /// Its watermark when the faults were over, and at the end.
    watermark: Option<i64>,
    at_end: Option<i64>,
}

impl World {
    /// Checks everything, once all is settled.
    ///
    /// # Errors
    /// With the promise that was broken.
    pub fn verify(&self, calm: &Calm) -> Result<(), Broken> {
        let journal = self.final_journal()?;
        self.promised(&journal)?;
        let Undisturbed { rows, fingerprint, watermark, at_end } = self.undisturbed(&journal, calm.offset);
        let stored = self.store.rows();
        if self.damage.is_none() {
            compare("trades", &rows.trades, &stored.trades)?;
            compare("minutes", &rows.minutes, &stored.minutes)?;
            compare("days", &rows.days, &stored.days)?;
            let gaps = |rows: &Rows| rows.gaps.iter().map(|gap| (gap.clone(), ())).collect();
            compare::<_, ()>("gaps", &gaps(&rows), &gaps(stored))?;
            let cursor = |rows: &Rows| rows.cursor.as_ref().map(|c| (c.epoch, c.stored));
            if cursor(&rows) != cursor(stored) {
                return Err(format!("cursor: {:?} instead of {:?}", cursor(stored), cursor(&rows)));
            }
            for consumer in self.aggregators.iter().filter_map(|a| a.consumer.as_ref()) {
                if consumer.book().fold().fingerprint() != fingerprint {
                    return Err("the fold's state differs from the undisturbed one".into());
                }
            }
        } else {
            for id in rows.trades.keys().filter(|_| !self.damage.gone) {
                if !stored.trades.contains_key(id) {
                    return Err(format!("in the journal and not in the store: {id:?}"));
                }
            }
            // Times that only records told which are lost may have moved one watermark and not the other.
            let consumers = self.aggregators.iter().filter_map(|a| a.consumer.as_ref());
            let at_end = consumers.map(|c| c.book().fold().watermark()).all(|known| known == at_end);
            if at_end && calm.watermarks.iter().all(|known| *known == watermark) {
                let touched = touched_before(calm.offset, &rows, stored);
                // Gaps that only one of them was told of.
                let gaps: Vec<_> = rows.gaps.symmetric_difference(&stored.gaps).collect();
                let near = calm.from_ms..calm.from_ms + 3_600_000;
                let calm = |rows: &Rows| -> BTreeMap<(String, i64), MinuteRow> {
                    let told =
                        |start| gaps.iter().any(|(_, from, to, _)| *from < start + 60_000 && start < *to);
                    let is_calm =
                        |key: &(String, i64)| near.contains(&key.1) && !touched.contains(key) && !told(key.1);
                    let calm = rows.minutes.iter().filter(|(key, _)| is_calm(key));
                    calm.map(|(key, row)| (key.clone(), row.clone())).collect()
                };
                compare("minutes after the last fault", &calm(&rows), &calm(stored))?;
            }
        }
        no_window_counts_more_than_there_is(stored)
    }

    fn final_journal(&self) -> Result<Final, Broken> {
        let reader = self.gateway.reader().ok_or("the gateway is not up at the end")?;
        let state = reader.state();
        let mut journal = Final {
            first: state.first,
            batches: BTreeMap::new(),
            lost: Vec::new(),
            committed: state.committed,
            items: Vec::new(),
        };
        let mut batches = reader.read(state.first, None).map_err(|e| e.to_string())?;
        let mut next = state.first;
        while let Some(item) = batches.next_item().map_err(|e| e.to_string())? {
            match item {
                Item::Batch { first, end, payload } => {
                    let batch = decode(payload).map_err(|e| format!("offset {first}: {e}"))?;
                    if first != next && journal.items.last().is_some() {
                        return Err(format!("the journal goes from {next} to {first} without a word"));
                    }
                    let known = self.ledger.payload(batch.epoch.get(), first);
                    if known.is_none_or(|known| **known != *payload) {
                        return Err(format!(
                            "the journal invented epoch {} offset {first}",
                            batch.epoch.get()
                        ));
                    }
                    journal.batches.insert(first, batch.clone());
                    journal.items.push(batch);
                    next = end;
                }
                Item::Lost { epoch, from, to, reason } => {
                    let body = Body::Lost { count: to - from, reason };
                    let (first_offset, committed) = (from, from);
                    let lost = Batch { epoch, first_offset, committed, elapsed_ms: 0, anchor_ms: None, body };
                    journal.items.push(lost);
                    journal.lost.push((from, to));
                    next = to;
                }
            }
        }
        if !journal.lost.is_empty() && !self.may_lose() && !self.damage.memory_lost {
            return Err(format!("no bit was flipped, and yet is lost: {:?}", journal.lost));
        }
        Ok(journal)
    }

    /// No record that was committed on disk is missing, unless it is told.
    fn promised(&self, journal: &Final) -> Result<(), Broken> {
        for batch in self.ledger.promised() {
            let first = batch.first_offset;
            if batch.end_offset() <= journal.first {
                continue;
            }
            let there = journal.batches.get(&first).is_some_and(|found| found.epoch == batch.epoch);
            // Rot above all that a frame says is committed looks like a torn tail: it is cut, and counted as one.
            if !there && !self.may_lose() {
                return Err(format!("committed and gone: epoch {} offset {first}", batch.epoch.get()));
            }
        }
        Ok(())
    }

    /// What a fold comes to that reads the journal in one go.
    fn undisturbed(&self, journal: &Final, offset: u64) -> Undisturbed {
        let (mut book, _) = Book::open(self.fold(), &self.source, None);
        let (mut rows, mut watermark) = (Rows::default(), None);
        // What the ring has given up since, as it was.
        let kept = |batch: &&Batch| self.damage.is_none() && batch.end_offset() <= journal.first;
        let mut earlier: Vec<&Batch> = self.ledger.promised().filter(kept).collect();
        earlier.sort_unstable_by_key(|batch| batch.first_offset);
        for (i, batch) in earlier.into_iter().chain(&journal.items).enumerate() {
            let records = Records::try_from(batch).expect("it came out of one message");
            book.deliver(records, journal.committed);
            if batch.end_offset() <= offset {
                watermark = book.fold().watermark();
            }
            if i % 64 == 63
                && let Some(page) = book.turn_page(true).batch
            {
                rows.apply(&page);
            }
        }
        if let Some(page) = book.turn_page(true).batch {
            rows.apply(&page);
        }
        Undisturbed {
            rows,
            fingerprint: book.fold().fingerprint(),
            watermark,
            at_end: book.fold().watermark(),
        }
    }
}

/// Windows with trades from before an offset, or with some the journal lost: times can be ahead.
fn touched_before(offset: u64, rows: &Rows, stored: &Rows) -> BTreeSet<(String, i64)> {
    let early =
        |t: &&TradeRow| t.journal_offset < offset || !rows.trades.contains_key(&(t.epoch, t.journal_offset));
    let trades = rows.trades.values().chain(stored.trades.values()).filter(early);
    trades.map(|t| (t.symbol.to_string(), t.time_ms - t.time_ms.rem_euclid(60_000))).collect()
}

fn no_window_counts_more_than_there_is(rows: &Rows) -> Result<(), Broken> {
    let mut counts: BTreeMap<(&str, i64), i64> = BTreeMap::new();
    for trade in rows.trades.values().filter(|t| t.volume != 0.0 && is_plausible_time(t.time_ms)) {
        let start = trade.time_ms - trade.time_ms.rem_euclid(60_000);
        *counts.entry((&trade.symbol, start)).or_default() += 1;
    }
    for ((symbol, start), minute) in &rows.minutes {
        let there = counts.get(&(symbol.as_str(), *start)).copied().unwrap_or(0);
        if minute.trade_count > there {
            let counted = minute.trade_count;
            return Err(format!("{symbol} {start} counts {counted} trades, and the store has {there}"));
        }
    }
    Ok(())
}

/// Equal, or the first difference in words.
fn compare<K: Ord + std::fmt::Debug, V: PartialEq + std::fmt::Debug>(
    what: &str,
    wanted: &BTreeMap<K, V>,
    found: &BTreeMap<K, V>,
) -> Result<(), Broken> {
    for (key, row) in wanted {
        match found.get(key) {
            None => return Err(format!("{what}: {key:?} is missing: {row:?}")),
            Some(other) if other != row => {
                return Err(format!("{what}: {key:?} is {other:?} instead of {row:?}"));
            }
            Some(_) => {}
        }
    }
    match found.iter().find(|(key, _)| !wanted.contains_key(key)) {
        Some((key, row)) => Err(format!("{what}: {key:?} is too much: {row:?}")),
        None => Ok(()),
    }
}
