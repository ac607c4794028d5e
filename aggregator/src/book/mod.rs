//! What one source's records have come to: the committed fold, the overlay that runs ahead of it, and the rows the
//! store does not have yet. Pure: no clock, no channel.
//!
//! Records are delivered once, in offset order, most of them before they are committed. The *committed* fold takes
//! only what is; it decides rows, cursor and final minutes. The *live* fold takes everything at once; it decides
//! what is shown of the open minute, and is thrown away when an epoch ends before its records were committed.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use tickberry_store::{Cursor, TradeRow, WriteBatch};
use tickberry_wire::{GapReason, Source, Symbol};

use crate::records::{Records, Used};
use crate::rows::Rows;
use crate::window::{Changes, CursorState, Fold, FoldConfig, Live, Minute, ResumeError};

/// Bytes of delivered records that wait for their commit: of a second, unless a flush of the journal's hangs.
const WAITING_BYTES: usize = 16 << 20;

/// The committed fold, the overlay ahead of it, and the rows that the store does not have yet.
pub struct Book {
    rows: Rows,
    committed: Fold,
    /// Nothing while nobody looks.
    live: Option<Fold>,
    waiting: VecDeque<Records>,
    waiting_bytes: usize,
    /// Committed and folded.
    used: Used,
    /// Rows of committed trades that are not in a batch yet.
    trades: Vec<TradeRow>,
    /// Open windows whose changes were not written while the store was being caught up.
    held: BTreeMap<(Symbol, i64), Minute>,
    /// The open windows of a cursor have not been compared with the store yet: they may have been held when it was
    /// written, and may never change again.
    resumed: bool,
    /// The store has every trade below; what is read again from there is no row again.
    stored: u64,
    /// While false, rows are not kept: the store is away, and will be filled from the journal once it is back.
    keeps_rows: bool,
}

/// What changed in the committed fold since the last time, and the batch that stores it.
pub struct Page {
    /// Minutes to publish: final ones, as they are now.
    pub minutes: Vec<Minute>,
    /// What to write, unless rows are not kept.
    pub batch: Option<WriteBatch>,
}

impl Book {
    /// A book that begins where a cursor says, or with nothing. A cursor whose state cannot be used costs the windows
    /// under way, and is told.
    pub fn open(config: FoldConfig, source: &Source, cursor: Option<&Cursor>) -> (Self, Option<ResumeError>) {
        let (committed, error) = match cursor {
            None => (Fold::new(config), None),
            Some(cursor) => match Fold::resume(config, &cursor_state(cursor)) {
                Ok(fold) => (fold, None),
                Err(error) => (Fold::starting_at(config, cursor.stored), Some(error)),
            },
        };
        let book = Self {
            rows: Rows::new(source),
            resumed: cursor.is_some(),
            committed,
            live: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            used: Used::default(),
            trades: Vec::new(),
            held: BTreeMap::new(),
            stored: cursor.map_or(0, |c| c.stored),
            keeps_rows: true,
        };
        (book, error)
    }

    /// The next record in offset order.
    pub fn deliver(&mut self, batch: Records, committed: u64) {
        if let Some(live) = &mut self.live {
            live.apply(batch.columns(), batch.body());
        }
        if self.waiting.is_empty() && batch.head().end_offset() <= committed {
            return self.settle(batch);
        }
        self.waiting_bytes += batch.bytes();
        self.waiting.push_back(batch);
        self.commit(committed);
    }

    /// Everything below is durable.
    pub fn commit(&mut self, committed: u64) {
        while self.waiting.front().is_some_and(|b| b.head().end_offset() <= committed) {
            if let Some(batch) = self.waiting.pop_front() {
                self.waiting_bytes -= batch.bytes();
                self.settle(batch);
            }
        }
    }

    fn settle(&mut self, batch: Records) {
        self.committed.apply(batch.columns(), batch.body());
        if self.keeps_rows && batch.body().is_none() {
            self.rows.trades(batch.columns(), self.stored, &mut self.trades);
        }
        self.used.push(batch);
    }

    /// The epoch ended: what was delivered beyond its commit never became durable. Goes back to the committed fold
    /// and says which record is next.
    pub fn discard(&mut self) -> Option<u64> {
        self.waiting.clear();
        self.waiting_bytes = 0;
        // What was shown of it is shown anew, as it is without.
        self.live = self.live.is_some().then(|| self.overlay());
        self.committed.next_offset()
    }

    /// Records up to `end` cannot be had.
    pub fn lose(&mut self, end: u64, reason: GapReason) {
        self.discard();
        self.committed.apply_lost(end, reason);
    }

    /// The journal is another one, or an older copy of it; its next record is `at`.
    pub fn break_history(&mut self, at: u64) {
        self.discard();
        self.committed.break_history(at);
        // Offsets are given anew, in a new epoch: rows of them are no repetition.
        self.stored = at;
    }

    /// True when more waits for its commit than is good; [`Book::discard`] and a fetch later are the way out.
    pub fn is_overfull(&self) -> bool {
        self.waiting_bytes > WAITING_BYTES
    }

    /// What was folded, for who decodes what comes next.
    pub fn used(&mut self) -> &mut Used {
        &mut self.used
    }

    /// Whether records wait for their commit.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Rows that wait for the store.
    pub fn rows_waiting(&self) -> usize {
        self.trades.len()
    }

    /// The store is away: keep no rows for it. (A new book is opened from its cursor when it is back.)
    pub fn forget_rows(&mut self) {
        self.keeps_rows = false;
        self.trades = Vec::new();
    }

    /// Everything since the last page. `all`: also windows that are still open; a store that is being caught up gets
    /// only closed ones, since the open ones will change many times before anybody looks.
    pub fn turn_page(&mut self, all: bool) -> Page {
        let Changes { minutes, days, gaps, .. } = self.committed.take_changes();
        if self.resumed && !self.committed.is_rebuilding() {
            self.resumed = false;
            let open = self.committed.minutes().filter(|m| !m.is_final);
            self.held.extend(open.map(|m| ((m.symbol.clone(), m.start_ms), m)));
        }
        let batch = self.keeps_rows.then(|| {
            for minute in &minutes {
                let key = (minute.symbol.clone(), minute.start_ms);
                if minute.is_final {
                    self.held.remove(&key)
                } else {
                    self.held.insert(key, minute.clone())
                };
            }
            let open = if all { std::mem::take(&mut self.held) } else { BTreeMap::new() };
            let closed = minutes.iter().filter(|m| m.is_final);
            let rows = &self.rows;
            WriteBatch {
                trades: std::mem::take(&mut self.trades),
                minutes: closed.chain(open.values()).map(|m| rows.minute(m)).collect(),
                days: days.iter().map(|d| rows.day(d)).collect(),
                gaps: gaps.iter().map(|g| rows.gap(g)).collect(),
                ..WriteBatch::new(self.cursor())
            }
        });
        Page { minutes: minutes.into_iter().filter(|m| m.is_final && m.changed).collect(), batch }
    }

    /// The next offset that the committed fold takes.
    pub fn next(&self) -> u64 {
        self.committed.next_offset().unwrap_or(0)
    }

    /// What a store that holds everything so far is to say.
    pub fn cursor(&self) -> Cursor {
        cursor(self.committed.cursor(), &self.rows)
    }

    /// Symbols whose live message has news.
    pub fn take_symbols(&mut self) -> Vec<Symbol> {
        if self.live.is_none() {
            self.live = Some(self.overlay());
        }
        self.live.as_mut().map(Fold::take_symbols).unwrap_or_default()
    }

    /// Somebody new looks: everything is news.
    pub fn show(&mut self) {
        self.live = Some(self.overlay());
    }

    /// Nobody looks: the journal is being read, and folding everything twice would take twice as long.
    pub fn hide(&mut self) {
        self.live = None;
    }

    /// The committed fold and what waits for its commit, with everything noted as news.
    fn overlay(&self) -> Fold {
        let mut live = self.committed.clone();
        self.waiting.iter().for_each(|batch| live.apply(batch.columns(), batch.body()));
        live.touch_all();
        live
    }

    /// The newest final minute of each symbol, as far as the kept hour goes.
    pub fn newest(&self) -> Vec<Minute> {
        let mut newest: BTreeMap<Symbol, Minute> = BTreeMap::new();
        for minute in self.committed.minutes().filter(|m| m.is_final) {
            match newest.get(&minute.symbol) {
                Some(known) if known.start_ms > minute.start_ms => {}
                _ => {
                    newest.insert(minute.symbol.clone(), minute);
                }
            }
        }
        newest.into_values().collect()
    }

    /// What is shown of a symbol right now.
    pub fn live(&self, symbol: &Symbol) -> Option<Live> {
        self.live.as_ref().unwrap_or(&self.committed).live(symbol)
    }

    /// The committed fold, for metrics.
    pub fn fold(&self) -> &Fold {
        &self.committed
    }
}

fn cursor_state(cursor: &Cursor) -> CursorState {
    CursorState {
        stored: cursor.stored,
        epoch: tickberry_wire::Epoch::from_raw(cursor.epoch).filter(|e| e.get() != 0),
        rebuild_from: cursor.rebuild_from,
        floor_ms: cursor.floor_ms,
        state: cursor.state.clone(),
    }
}

fn cursor(state: CursorState, rows: &Rows) -> Cursor {
    Cursor {
        source: rows.source(),
        epoch: state.epoch.map_or(0, tickberry_wire::Epoch::get),
        stored: state.stored,
        rebuild_from: state.rebuild_from,
        floor_ms: state.floor_ms,
        state: state.state,
    }
}
