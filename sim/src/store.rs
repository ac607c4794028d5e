//! A store: one batch is one transaction, equal keys behave as in SQLite, and the last transactions can vanish.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use tickberry_store::{Cursor, DayRow, MinuteRow, TradeRow, WriteBatch};

/// The rows of one source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// Trades by epoch and offset.
    pub trades: BTreeMap<(u64, u64), TradeRow>,
    /// Minutes by symbol and start.
    pub minutes: BTreeMap<(String, i64), MinuteRow>,
    /// Days by symbol and day.
    pub days: BTreeMap<(String, String), DayRow>,
    /// Gaps: symbol, start, end, reason.
    pub gaps: BTreeSet<(String, i64, i64, String)>,
    /// How much of the journal that is.
    pub cursor: Option<Cursor>,
}

impl Rows {
    /// One transaction: a trade that is there stays untouched, a minute and a day are replaced.
    pub fn apply(&mut self, batch: &WriteBatch) {
        for trade in &batch.trades {
            self.trades.entry((trade.epoch, trade.journal_offset)).or_insert_with(|| trade.clone());
        }
        for minute in &batch.minutes {
            self.minutes.insert((minute.symbol.to_string(), minute.start_ms), minute.clone());
        }
        for day in &batch.days {
            self.days.insert((day.symbol.to_string(), day.day.clone()), day.clone());
        }
        for gap in &batch.gaps {
            self.gaps.insert((gap.symbol.to_string(), gap.start_ms, gap.end_ms, gap.reason.clone()));
        }
        self.cursor = Some(batch.cursor.clone());
    }
}

/// The store, and how it came to be what it is.
#[derive(Default)]
pub struct Store {
    rows: Rows,
    commits: Vec<Rc<WriteBatch>>,
}

impl Store {
    /// What is in it.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Takes a batch, whole; false where another writer is ahead and the history may be another. `known`: the cursor
    /// this writer last read or wrote, as epoch and end.
    ///
    /// Within one epoch a batch that is behind the store's cursor is there already.
    pub fn write(&mut self, batch: Rc<WriteBatch>, known: &mut Option<(u64, u64)>) -> bool {
        let there = self.key().filter(|there| Some(*there) != *known);
        let (epoch, stored) = (batch.cursor.epoch, batch.cursor.stored);
        match there {
            Some((same, ahead)) if ahead > stored => same == epoch || batch.rows() == 0,
            _ => {
                self.rows.apply(&batch);
                self.commits.push(batch);
                *known = Some((epoch, stored));
                true
            }
        }
    }

    /// What tells one cursor from another.
    pub fn key(&self) -> Option<(u64, u64)> {
        self.rows.cursor.as_ref().map(|cursor| (cursor.epoch, cursor.stored))
    }

    /// The last so many commits are gone.
    pub fn forget(&mut self, commits: u64) {
        let kept = self.commits.len().saturating_sub(usize::try_from(commits).unwrap_or(usize::MAX));
        if kept == self.commits.len() {
            return;
        }
        self.commits.truncate(kept);
        self.rows = Rows::default();
        self.commits.iter().for_each(|batch| self.rows.apply(batch));
    }

    /// How many commits there are.
    pub fn commits(&self) -> u64 {
        self.commits.len() as u64
    }
}
