//! One source's records in, windows out.

use super::changes::{Day, GapRow, Minute};
use super::clock::Clock;
use super::copies::RecentFrames;
use super::coverage::{FeedGap, FeedGaps};
use super::cursor::Replay;
use super::run::{Run, Times, Trim, frame_fingerprint};
use super::stats::{Item, Key};
use super::symbol::{Last, SymbolState, Window};
use super::{MAX_CARRIED, MINUTE_MS, minute_of};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};
use tickberry_wire::batch::Precision;
use tickberry_wire::{Batch, Body, Columns, Control, Epoch, Gap, GapReason, Head, Symbol, is_plausible_time};

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
    scratch: Vec<Slot>,
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

/// A symbol of the batch at hand.
#[derive(Clone, Copy, Debug)]
struct Slot {
    symbol: u32,
    fingerprint: u64,
    trim: Trim,
    own_scales: bool,
}

/// Where the records of a batch continue.
enum Place {
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
            scratch: Vec::new(),
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
    fn place(&mut self, head: &Head, whole: bool) -> Place {
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

    /// Before a batch: notes the clock, lets time pass. Gives the watermark to fold under.
    fn begin(&mut self, head: &Head) -> Option<i64> {
        self.pending.batch += 1;
        let reach = self.clock.reach();
        let due = |reach| self.snapshot_due.is_none_or(|due| reach >= due);
        if self.snapshots.is_empty() || reach.is_some_and(due) {
            self.snapshots.push_back((head.first_offset, self.clock.clone()));
            self.snapshot_due = self.next_minute();
        }
        let watermark = self.watermark();
        self.clock.passed(head.epoch, head.elapsed_ms);
        self.next = Some(head.end_offset());
        self.epoch = Some(head.epoch);
        watermark
    }

    fn apply_rows(&mut self, columns: &Columns) {
        let head = columns.head();
        let Place::After(skip) = self.place(head, false) else { return };
        let mut slots = std::mem::take(&mut self.scratch);
        self.find_slots(columns, &mut slots);
        let before = self.begin(head);
        let bounds = self.bounds(head, before);
        let (all, skip) = (columns.rows(), skip as usize);
        let mut counters = Counters { records: (all.len() - skip) as u64, ..Counters::default() };
        let times = Times::of(&all[skip..]);
        let of_one = slots.len() == 1;
        let mut index = skip;
        while let Some(row) = all.get(index) {
            let Slot { symbol, trim, own_scales, .. } = slots[usize::from(row.group)];
            let state = &mut self.symbols[symbol as usize];
            let fits = |window: &Window| {
                (row.time_ms.wrapping_sub(window.start) as u64) < MINUTE_MS as u64 && !window.preset
            };
            if let Some(window) = state.windows.get_mut(state.current)
                && fits(window)
                && row.volume != 0
            {
                let (start, offset) = (window.start, head.first_offset + index as u64);
                let group = row.group;
                let times = Some(times).filter(|_| of_one && index == skip);
                let run = Run { group, start, epoch: bounds.epoch, offset, trim, own_scales, times };
                let added = window.stats.add_run(&all[index..], &run);
                if added > 0 {
                    if window.touched != self.pending.batch {
                        let current = state.current;
                        self.touch(symbol, current, &bounds, &mut counters);
                    }
                    index += added;
                    continue;
                }
            }
            let key =
                Key { time_ms: row.time_ms, epoch: bounds.epoch, offset: head.first_offset + index as u64 };
            let item = Item { key, price: trim.price(row), volume: trim.volume(row) };
            self.single(&item, symbol, &bounds, &mut counters);
            index += 1;
        }
        if self.replay.is_none() {
            let frame = match *slots.as_slice() {
                [Slot { fingerprint, .. }] => frame_fingerprint(&all[skip..], |_| fingerprint),
                _ => frame_fingerprint(&all[skip..], |group| slots[usize::from(group)].fingerprint),
            };
            let repeats = self.copies.repeats(head.epoch, head.elapsed_ms, frame);
            counters.suspected_copies = if repeats { counters.records } else { 0 };
            self.counters.add(&counters);
        }
        self.scratch = slots;
        let moved = match times.latest_plausible(&all[skip..]) {
            None => self.clock.heard_nothing(),
            Some(latest) => {
                let times = all[skip..].iter().map(|row| row.time_ms);
                self.clock.heard(latest, times.filter(|time_ms| is_plausible_time(*time_ms)))
            }
        };
        self.turn(head, before, moved);
    }

    /// The places of a batch's symbols. Mostly they are those of the batch before.
    fn find_slots(&mut self, columns: &Columns, slots: &mut Vec<Slot>) {
        let groups = columns.groups();
        slots.truncate(groups.len());
        for (index, group) in groups.iter().enumerate() {
            let is_same = |slot: &&Slot| same_text(&self.symbols[slot.symbol as usize].name, &group.symbol);
            let symbol = match slots.get(index).filter(is_same) {
                Some(known) => known.symbol,
                None => self.slot(&group.symbol),
            };
            let trim = Trim {
                price: group.price_precision == Precision::Minimal,
                volume: group.volume_precision == Precision::Minimal,
            };
            let own_scales = group.has_own_scales();
            let fingerprint = self.symbols[symbol as usize].fingerprint;
            let slot = Slot { symbol, fingerprint, trim, own_scales };
            match slots.get_mut(index) {
                Some(place) => *place = slot,
                None => slots.push(slot),
            }
        }
    }

    /// A row on its own: a price update, an implausible time, or a trade of another window than the one before.
    fn single(&mut self, item: &Item, symbol: u32, bounds: &Bounds, counters: &mut Counters) {
        let state = &mut self.symbols[symbol as usize];
        let Item { key, price, volume } = *item;
        let is_update = volume.mantissa == 0;
        counters.price_updates += u64::from(is_update);
        if !is_plausible_time(key.time_ms) {
            counters.implausible += 1;
            return;
        }
        if !is_update {
            self.enter(symbol, item, bounds, counters);
        } else if self.replay.is_none() {
            state.note_last(Last { key, price, is_update }, bounds.horizon);
            note_symbol(&mut self.pending, symbol, state);
        }
    }

    /// A trade that does not go where the one before it went.
    fn enter(&mut self, symbol: u32, item: &Item, bounds: &Bounds, counters: &mut Counters) {
        let start = minute_of(item.key.time_ms);
        let ahead = bounds.horizon.is_none_or(|horizon| start > horizon);
        let state = &mut self.symbols[symbol as usize];
        let index = match state.find(start) {
            // Whatever is held takes its trades: one that is carried outlives a loss, behind which the floor is not known.
            Ok(index) => {
                state.current = index;
                let window = &mut state.windows[index];
                if window.preset {
                    return;
                }
                window.stats.add(item);
                index
            }
            Err(_) if start < bounds.floor => {
                let late = start < bounds.late;
                *(if late { &mut counters.late_beyond } else { &mut counters.not_whole }) += 1;
                return;
            }
            // What is ahead came with the cursor, or was left out for the bound.
            Err(_) if ahead && self.replay.is_some() => return,
            Err(_) if ahead && self.carried >= MAX_CARRIED => {
                counters.too_far_ahead += 1;
                return;
            }
            Err(index) => {
                *(if ahead { &mut self.carried } else { &mut self.plain }) += 1;
                let missing_ms = self.gaps.missing_ms(&state.name, start);
                let window = state.open(index, start, item);
                (window.missing_ms, window.carried) = (missing_ms, ahead);
                window.first_offset = bounds.first_offset;
                index
            }
        };
        self.touch(symbol, index, bounds, counters);
    }

    /// Notes that the batch at hand was folded into a window.
    fn touch(&mut self, symbol: u32, index: usize, bounds: &Bounds, counters: &mut Counters) {
        let state = &mut self.symbols[symbol as usize];
        let window = &mut state.windows[index];
        if std::mem::replace(&mut window.touched, self.pending.batch) == self.pending.batch {
            return;
        }
        if window.is_final(bounds.watermark) {
            window.revision += 1;
            counters.revisions += 1;
        }
        if !std::mem::replace(&mut window.dirty, true) {
            self.pending.windows.push((symbol, window.start));
        }
        note_symbol(&mut self.pending, symbol, state);
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

    fn bounds(&self, head: &Head, watermark: Option<i64>) -> Bounds {
        let late = self.floor_of(watermark);
        let own = match &self.replay {
            Some(replay) => replay.floor_ms,
            None => self.floor.unwrap_or(i64::MAX),
        };
        Bounds {
            late,
            floor: late.max(own),
            watermark,
            horizon: self.clock.horizon(),
            epoch: head.epoch.get(),
            first_offset: head.first_offset,
        }
    }

    /// The symbol's place; a new one gets the next.
    fn slot(&mut self, symbol: &Symbol) -> u32 {
        if let Some(slot) = self.index.get(symbol) {
            return *slot;
        }
        let slot = self.symbols.len() as u32;
        self.symbols.push(SymbolState::new(symbol.clone()));
        self.index.insert(symbol.clone(), slot);
        slot
    }
}

/// Between which times a batch's trades count in windows.
struct Bounds {
    watermark: Option<i64>,
    /// Windows from before have left.
    late: i64,
    /// The higher of that and of what is whole.
    floor: i64,
    horizon: Option<i64>,
    epoch: u64,
    first_offset: u64,
}

/// Equal, and mostly one and the same text in memory.
fn same_text(a: &Symbol, b: &Symbol) -> bool {
    let (a, b) = (a.as_str(), b.as_str());
    std::ptr::eq(a, b) || a == b
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

fn note_symbol(pending: &mut Pending, symbol: u32, state: &mut SymbolState) {
    if !std::mem::replace(&mut state.dirty, true) {
        pending.symbols.push(symbol);
    }
}

impl Counters {
    fn add(&mut self, other: &Self) {
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
