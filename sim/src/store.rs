//! A store: one batch is one transaction, equal keys behave as in SQLite, and the last transactions can vanish.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use tickberry_store::{Cursor, DayRow, MinuteRow, TradeRow, WriteBatch};

use crate::random::Random;

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

/// A batch that was taken.
struct Commit {
    batch: Rc<WriteBatch>,
    at_ms: u64,
}

/// The store, and how it came to be what it is.
#[derive(Default)]
pub struct Store {
    rows: Rows,
    commits: Vec<Commit>,
    settle_ms: u64,
    /// Its process is another than at the last write: connections to the one before break.
    restarted: bool,
}

impl Store {
    /// A store whose rows can vanish for so long after they were taken, while its cursor stays.
    pub fn new(settle_ms: u64) -> Self {
        Self { settle_ms, ..Self::default() }
    }

    /// See [`tickberry_store::StoreWriter::settle`].
    pub fn settle(&self) -> Duration {
        Duration::from_millis(self.settle_ms)
    }

    /// Its process dies and is started: of what has not settled, some batches lose their rows, and keep their cursor.
    pub fn restart(&mut self, now_ms: u64, random: &mut Random) {
        self.restarted = true;
        let settle_ms = self.settle_ms;
        for commit in self.commits.iter_mut().rev().take_while(|c| c.at_ms + settle_ms > now_ms) {
            if random.percent(60) {
                commit.batch = Rc::new(WriteBatch::new(commit.batch.cursor.clone()));
            }
        }
        self.replay();
    }

    /// Whether a connection that was made before breaks now.
    pub fn take_restarted(&mut self) -> bool {
        std::mem::take(&mut self.restarted)
    }

    /// What is in it.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Takes a batch, whole; false where another writer is ahead and the history may be another. `known`: the cursor
    /// this writer last read or wrote, as epoch and end.
    ///
    /// Within one epoch the windows of a batch that is behind the store's cursor are there already; its trades are
    /// added where they are not.
    pub fn write(&mut self, batch: Rc<WriteBatch>, known: &mut Option<(u64, u64)>, at_ms: u64) -> bool {
        let there = self.key().filter(|there| Some(*there) != *known);
        let (epoch, stored) = (batch.cursor.epoch, batch.cursor.stored);
        match there {
            Some((same, ahead)) if ahead > stored => {
                let behind = same == epoch || batch.rows() == 0;
                if let Some(cursor) = self.rows.cursor.clone().filter(|_| same == epoch) {
                    let trades = batch.trades.clone();
                    let batch = Rc::new(WriteBatch { trades, ..WriteBatch::new(cursor) });
                    self.rows.apply(&batch);
                    self.commits.push(Commit { batch, at_ms });
                }
                behind
            }
            _ => {
                self.rows.apply(&batch);
                self.commits.push(Commit { batch, at_ms });
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
        self.replay();
    }

    fn replay(&mut self) {
        self.rows = Rows::default();
        self.commits.iter().for_each(|commit| self.rows.apply(&commit.batch));
    }

    /// How many commits there are.
    pub fn commits(&self) -> u64 {
        self.commits.len() as u64
    }
}
