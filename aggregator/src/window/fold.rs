//! One source's records in, windows out.

use super::changes::{Day, GapRow, Minute};
use super::clock::Clock;
use super::copies::RecentFrames;
use super::coverage::{FeedGap, FeedGaps};
use super::cursor::Replay;
use super::minute_of;
use super::rows::Slot;
use super::symbol::{SymbolState, Window};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};
use tickberry_wire::{Batch, Body, Columns, Control, Epoch, Gap, GapReason, Head, Symbol};

/// What can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoldConfig {
    /// How far the watermark lies behind the feed's present.
    pub lateness_ms: u32,
    /// How long a final window can still change.
    pub kept_ms: u32,
}

impl Default for FoldConfig {
    fn default() -> Self {
        Self { lateness_ms: 2000, kept_ms: 3_600_000 }
    }
}

/// What was counted since the journal's beginning, or since this fold's where nothing is known from before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Trades and price updates.
    pub records: u64,
    /// Price updates among them.
    pub price_updates: u64,
    /// Times outside of 2000 to 2200: in no window.
    pub implausible: u64,
    /// Batches folded into a final window.
    pub revisions: u64,
    /// Too late for the kept hour: in no window.
    pub late_beyond: u64,
    /// For windows that cannot be told whole, because the journal no longer holds their beginning: in no window.
    pub not_whole: u64,
    /// Ahead of the horizon when the most windows allowed there were open: in no window.
    pub too_far_ahead: u64,
    /// Trades of frames that repeat a recent frame. They count like all others.
    pub suspected_copies: u64,
    /// Times an hour ahead of all others that the batches behind them refuted.
    pub refuted_jumps: u64,
    /// Offsets that could not be had.
    pub lost: u64,
}

/// The fold of one source. Equal records give an equal fold.
#[derive(Clone, Debug)]
pub struct Fold {
    pub(super) config: FoldConfig,
    pub(super) symbols: Vec<SymbolState>,
    pub(super) index: HashMap<Symbol, u32>,
    pub(super) clock: Clock,
    /// Windows that start before are not whole here and never told; `None`: not known yet which, so none is.
    pub(super) floor: Option<i64>,
    pub(super) gaps: FeedGaps,
    pub(super) copies: RecentFrames,
    pub(super) counters: Counters,
    /// The offset behind the last record, and its epoch.
    pub(super) next: Option<u64>,
    pub(super) epoch: Option<Epoch>,
    /// The clock before some batches, about one a minute, from the opening of the oldest window on.
    pub(super) snapshots: VecDeque<(u64, Clock)>,
    /// Reach at which the next snapshot is due, where there is one already; `None`: as soon as there is a reach.
    pub(super) snapshot_due: Option<i64>,
    /// While reach is below, no window becomes final and none leaves.
    pub(super) calm_until: i64,
    /// Windows that a restart rebuilds, and those that it finds in the cursor.
    pub(super) plain: usize,
    pub(super) carried: usize,
    /// Ranges of lost records, as far back as the snapshots go.
    pub(super) lost: VecDeque<(u64, u64)>,
    pub(super) replay: Option<Box<Replay>>,
    pub(super) pending: Pending,
    /// The symbols of the last batch.
    pub(super) slots: Vec<Slot>,
}

/// Changes that were not taken yet. No part of the state.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending {
    /// Running number of the batch.
    pub(super) batch: u64,
    /// Windows noted as changed: symbol and start.
    pub(super) windows: Vec<(u32, i64)>,
    pub(super) symbols: Vec<u32>,
    pub(super) left: Vec<Minute>,
    /// Days of windows that left: symbol and day; and days that are over.
    pub(super) days: Vec<(u32, i64)>,
    pub(super) days_over: Vec<Day>,
    pub(super) gaps: Vec<GapRow>,
}

/// Where the records of a batch continue.
pub(super) enum Place {
    /// All of them were folded before.
    Known,
    /// The first so many were.
    After(u64),
}

impl Fold {
    /// A fold that has seen nothing.
    pub fn new(config: FoldConfig) -> Self {
        Self {
            config,
            symbols: Vec::new(),
            index: HashMap::new(),
            clock: Clock::default(),
            floor: Some(i64::MIN),
            gaps: FeedGaps::default(),
            copies: RecentFrames::default(),
            counters: Counters::default(),
            next: None,
            epoch: None,
            snapshots: VecDeque::new(),
            snapshot_due: None,
            calm_until: i64::MIN,
            plain: 0,
            carried: 0,
            lost: VecDeque::new(),
            replay: None,
            pending: Pending::default(),
            slots: Vec::new(),
        }
    }

    /// Folds a batch as [`tickberry_wire::decode_columns`] gives it: `body` is what that returned.
    pub fn apply(&mut self, columns: &Columns, body: Option<&Body>) {
        match body {
            Some(body) => self.apply_body(columns.head(), body),
            None => self.apply_rows(columns),
        }
    }

    /// Folds a batch.
    pub fn apply_batch(&mut self, batch: &Batch) {
        let Body::Trades(trades) = &batch.body else { return self.apply_body(&head_of(batch), &batch.body) };
        match Columns::from_batch(batch) {
            Ok(columns) => self.apply_rows(&columns),
            // More than fits into one message: nothing a journal holds, but no reason to fail.
            Err(_) => {
                let (before, behind) = trades.split_at(trades.len() / 2);
                let middle = batch.first_offset + before.len() as u64;
                for (first_offset, part) in [(batch.first_offset, before), (middle, behind)] {
                    if part.len() < trades.len() {
                        let body = Body::Trades(part.to_vec());
                        self.apply_batch(&Batch { first_offset, body, ..batch.clone() });
                    }
                }
            }
        }
    }

    /// Records that cannot be had: everything from the next one needed up to `end`.
    pub fn apply_lost(&mut self, end: u64, reason: GapReason) {
        let from = self.next.unwrap_or(0);
        if end > from {
            self.lose(from, end, reason);
        }
    }

    /// The offset behind the last record folded; `None` before the first.
    pub fn next_offset(&self) -> Option<u64> {
        self.next
    }

    /// Up to where windows are final.
    pub fn watermark(&self) -> Option<i64> {
        self.clock.reach().map(|reach| reach.saturating_sub(self.config.lateness_ms.into()))
    }

    /// What was counted.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn apply_body(&mut self, head: &Head, body: &Body) {
        match body {
            // Not a record: whether it arrives is left to chance, so nothing may depend on it.
            Body::Commit => {}
            // Their rows are folded, by the callers.
            Body::Trades(_) => {}
            Body::Lost { reason, .. } => {
                if !matches!(self.place(head, true), Place::Known) {
                    let from = self.next.map_or(head.first_offset, |next| next.max(head.first_offset));
                    self.lose(from, head.end_offset(), *reason);
                }
            }
            Body::Control(control) => {
                let whole = matches!(control, Control::EpochStart(start) if start.previous.is_none());
                if matches!(self.place(head, whole), Place::Known) {
                    return;
                }
                let before = self.begin(head);
                if let Control::Gap(gap) = control {
                    self.apply_gap(head.first_offset, gap, before);
                }
                let moved = self.clock.heard_nothing();
                self.turn(head, before, moved);
            }
        }
    }

    /// Where the batch joins; a hole before it is a loss. `whole`: nothing came before it in this journal.
    pub(super) fn place(&mut self, head: &Head, whole: bool) -> Place {
        match self.next {
            Some(next) if head.end_offset() <= next => Place::Known,
            Some(next) if head.first_offset <= next => Place::After(next - head.first_offset),
            None if whole || head.first_offset == 0 => Place::After(0),
            _ => {
                self.apply_lost(head.first_offset, GapReason::LostRange);
                Place::After(0)
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn note_clock(&mut self, offset: u64) {
        self.snapshots.push_back((offset, self.clock.clone()));
        self.snapshot_due = self.next_minute();
    }

    /// Before a batch: notes the clock, lets time pass. Gives the watermark to fold under.
    #[inline(always)]
    pub(super) fn begin(&mut self, head: &Head) -> Option<i64> {
        self.pending.batch += 1;
        let reach = self.clock.reach();
        let due = |reach| self.snapshot_due.is_none_or(|due| reach >= due);
        if self.snapshots.is_empty() || reach.is_some_and(due) {
            self.note_clock(head.first_offset);
        }
        let watermark = self.watermark();
        self.clock.passed(head.epoch, head.elapsed_ms);
        self.next = Some(head.end_offset());
        self.epoch = Some(head.epoch);
        watermark
    }

    fn apply_gap(&mut self, offset: u64, gap: &Gap, watermark: Option<i64>) {
        let Gap { from_ms, to_ms, reason, symbols } = gap.clone();
        self.add_gap(FeedGap { offset, from_ms, to_ms, reason, symbols }, watermark);
    }

    /// Notes a gap and lowers the coverage of the windows it touches.
    pub(super) fn add_gap(&mut self, gap: FeedGap, watermark: Option<i64>) {
        if self.replay.is_none() && gap.from_ms <= gap.to_ms {
            let row =
                |symbol| GapRow { symbol, start_ms: gap.from_ms, end_ms: gap.to_ms, reason: gap.reason };
            if gap.symbols.is_empty() {
                self.pending.gaps.push(row(None));
            }
            self.pending.gaps.extend(gap.symbols.iter().cloned().map(|symbol| row(Some(symbol))));
        }
        if gap.from_ms >= gap.to_ms || gap.to_ms <= self.floor_of(watermark) {
            return;
        }
        self.gaps.push(gap.clone());
        let live = self.replay.is_none();
        for (symbol, state) in (0..).zip(&mut self.symbols).filter(|(_, state)| gap.concerns(&state.name)) {
            let touching = |window: &&mut Window| !window.preset && gap.touches(window.start);
            for window in state.windows.iter_mut().filter(touching) {
                let missing_ms = self.gaps.missing_ms(&state.name, window.start);
                if missing_ms <= window.missing_ms {
                    continue;
                }
                window.missing_ms = missing_ms;
                if window.is_final(watermark) && window.touched != self.pending.batch {
                    window.touched = self.pending.batch;
                    window.revision += 1;
                    self.counters.revisions += u64::from(live);
                }
                if !std::mem::replace(&mut window.dirty, true) {
                    self.pending.windows.push((symbol, window.start));
                }
            }
        }
    }

    /// Where windows begin that a batch under this watermark may change.
    pub(super) fn floor_of(&self, watermark: Option<i64>) -> i64 {
        watermark.map_or(i64::MIN, |watermark| minute_of(watermark - i64::from(self.config.kept_ms)))
    }
}

fn head_of(batch: &Batch) -> Head {
    Head {
        epoch: batch.epoch,
        first_offset: batch.first_offset,
        count: batch.len(),
        committed: batch.committed,
        elapsed_ms: batch.elapsed_ms,
        anchor_ms: batch.anchor_ms,
    }
}

impl Counters {
    pub(super) fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.price_updates += other.price_updates;
        self.implausible += other.implausible;
        self.revisions += other.revisions;
        self.late_beyond += other.late_beyond;
        self.not_whole += other.not_whole;
        self.too_far_ahead += other.too_far_ahead;
        self.suspected_copies += other.suspected_copies;
    }
}
