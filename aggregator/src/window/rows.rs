//! A batch of trades: which window each counts in.
//!
//! Nearly every batch is of one symbol and goes whole into the window that the batch before went to. For these
//! [`Fold::add_to_current`] looks at each row once and at hardly anything else; all others go run by run, or row by row,
//! through [`Fold::add_runs`]. Both ways give the same state.

use super::fold::{Counters, Fold, Pending, Place};
use super::run::{Narrow, Run, Times, Trim, frame_fingerprint};
use super::stats::{Item, Key};
use super::symbol::{Last, SymbolState, Window};
use super::{MAX_CARRIED, MINUTE_MS, minute_of};
use tickberry_wire::batch::Row;
use tickberry_wire::{Columns, Head, Symbol, is_plausible_time};

/// A symbol of the batch at hand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    symbol: u32,
    fingerprint: u64,
    trim: Trim,
    own_scales: bool,
}

/// What the whole batch says, whichever windows it goes to.
struct Heard {
    /// The latest plausible time, if there is any.
    latest: Option<i64>,
    /// See [`frame_fingerprint`].
    frame: u64,
}

/// The rows of a batch that are new, and the offset of the first one.
#[derive(Clone, Copy)]
struct Rows<'a> {
    columns: &'a Columns,
    rows: &'a [Row],
    offset: u64,
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

impl Fold {
    pub(super) fn apply_rows(&mut self, columns: &Columns) {
        let head = columns.head();
        let Place::After(skip) = self.place(head, false) else { return };
        let before = self.begin(head);
        let rows = Rows { columns, rows: &columns.rows()[skip as usize..], offset: head.first_offset + skip };
        let Heard { latest, frame } = match self.add_to_current(rows, before) {
            Some(heard) => heard,
            None => self.add_runs(rows, before),
        };
        if self.replay.is_none() {
            let count = rows.rows.len() as u64;
            self.counters.records += count;
            if self.copies.repeats(head.epoch, head.elapsed_ms, frame) {
                self.counters.suspected_copies += count;
            }
        }
        let moved = match latest {
            None => self.clock.heard_nothing(),
            Some(latest) => {
                let times = rows.rows.iter().map(|row| row.time_ms);
                self.clock.heard(latest, times.filter(|time_ms| is_plausible_time(*time_ms)))
            }
        };
        self.turn(head, before, moved);
    }

    /// Adds the batch where all of it goes into the window that its symbol's last trade went to; else nothing is done.
    #[inline(always)]
    fn add_to_current(&mut self, rows: Rows<'_>, watermark: Option<i64>) -> Option<Heard> {
        let [group] = rows.columns.groups() else { return None };
        let [Slot { symbol, fingerprint, .. }] = *self.slots else { return None };
        let state = &mut self.symbols[symbol as usize];
        if group.has_own_scales() || !same_text(&state.name, &group.symbol) {
            return None;
        }
        let window = state.windows.get_mut(state.current).filter(|window| !window.preset)?;
        let times =
            if rows.columns.are_in_order() { Times::of_ordered(rows.rows) } else { Times::of(rows.rows) };
        if !times.are_in(window.start) {
            return None;
        }
        let sums = Narrow::of(rows.rows, fingerprint)?;
        let epoch = rows.columns.head().epoch.get();
        window.stats.add_whole(rows.rows, &sums, &times, (epoch, rows.offset), Trim::of(group))?;
        let heard = Heard { latest: times.latest_plausible(rows.rows), frame: sums.frame };
        let is_final = window.is_final(watermark);
        if is_final || !window.dirty || !state.dirty {
            let mut counters = Counters::default();
            let current = state.current;
            self.touch(symbol, current, watermark, &mut counters);
            self.count(&counters);
        } else {
            window.touched = self.pending.batch;
        }
        Some(heard)
    }

    /// Adds a batch of any kind.
    #[inline(never)]
    fn add_runs(&mut self, rows: Rows<'_>, watermark: Option<i64>) -> Heard {
        let Rows { columns, rows: all, offset: first_offset } = rows;
        let mut slots = std::mem::take(&mut self.slots);
        self.find_slots(columns, &mut slots);
        let bounds = self.bounds(columns.head(), watermark);
        let mut counters = Counters::default();
        let mut index = 0;
        while let Some(row) = all.get(index) {
            let offset = first_offset + index as u64;
            let Slot { symbol, trim, own_scales, .. } = slots[usize::from(row.group)];
            let state = &mut self.symbols[symbol as usize];
            let fits = |window: &Window| {
                (row.time_ms.wrapping_sub(window.start) as u64) < MINUTE_MS as u64 && !window.preset
            };
            if let Some(window) = state.windows.get_mut(state.current)
                && fits(window)
                && row.volume != 0
            {
                let (group, start, epoch) = (row.group, window.start, bounds.epoch);
                let run = Run { group, start, epoch, offset, trim, own_scales };
                let added = window.stats.add_run(&all[index..], &run);
                if added > 0 {
                    let current = state.current;
                    self.touch(symbol, current, watermark, &mut counters);
                    index += added;
                    continue;
                }
            }
            let key = Key { time_ms: row.time_ms, epoch: bounds.epoch, offset };
            let item = Item { key, price: trim.price(row), volume: trim.volume(row) };
            self.single(&item, symbol, &bounds, &mut counters);
            index += 1;
        }
        let frame = frame_fingerprint(all, |group| slots[usize::from(group)].fingerprint);
        self.slots = slots;
        self.count(&counters);
        Heard { latest: Times::of(all).latest_plausible(all), frame }
    }

    /// What a restart reads again was counted before.
    fn count(&mut self, counters: &Counters) {
        if self.replay.is_none() {
            self.counters.add(counters);
        }
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
            let fingerprint = self.symbols[symbol as usize].fingerprint;
            let slot =
                Slot { symbol, fingerprint, trim: Trim::of(group), own_scales: group.has_own_scales() };
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
        self.touch(symbol, index, bounds.watermark, counters);
    }

    /// Notes that the batch at hand was folded into a window.
    fn touch(&mut self, symbol: u32, index: usize, watermark: Option<i64>, counters: &mut Counters) {
        let state = &mut self.symbols[symbol as usize];
        let window = &mut state.windows[index];
        if std::mem::replace(&mut window.touched, self.pending.batch) == self.pending.batch {
            return;
        }
        if window.is_final(watermark) {
            window.revision += 1;
            counters.revisions += 1;
        }
        if !std::mem::replace(&mut window.dirty, true) {
            self.pending.windows.push((symbol, window.start));
        }
        note_symbol(&mut self.pending, symbol, state);
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

/// Equal, and mostly one and the same text in memory.
fn same_text(a: &Symbol, b: &Symbol) -> bool {
    let (a, b) = (a.as_str(), b.as_str());
    std::ptr::eq(a, b) || a == b
}

fn note_symbol(pending: &mut Pending, symbol: u32, state: &mut SymbolState) {
    if !std::mem::replace(&mut state.dirty, true) {
        pending.symbols.push(symbol);
    }
}
