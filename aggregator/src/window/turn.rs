//! What a moved watermark does: windows become final, leave, and are told.

use super::changes::{Changes, Day, Live, Minute};
use super::clock::Moved;
use super::coverage::FeedGap;
use super::day::DAY_MS;
use super::fold::{Fold, Pending};
use super::symbol::Window;
use super::{MINUTE_MS, minute_of};
use tickberry_wire::json::TradeKind;
use tickberry_wire::{GapReason, Head, Symbol};

impl Fold {
    /// What changed since this was called before. Nothing while a restart reads the kept hour again: the store has it.
    ///
    /// To be called every few thousand batches at least, since windows that left wait here.
    pub fn take_changes(&mut self) -> Changes {
        if self.replay.is_some() {
            return Changes::default();
        }
        let pending = std::mem::take(&mut self.pending);
        self.pending.batch = pending.batch;
        let mut changes = Changes {
            minutes: pending.left,
            gaps: pending.gaps,
            days: pending.days_over,
            ..Changes::default()
        };
        let watermark = self.watermark();
        let mut days = pending.days;
        for (slot, start) in pending.windows {
            let state = &mut self.symbols[slot as usize];
            // A window that left since was told when it did.
            if let Ok(index) = state.find(start) {
                let window = &mut state.windows[index];
                window.dirty = false;
                days.push((slot, window.day()));
                changes.minutes.push(Minute::of(&state.name, window, window.is_final(watermark)));
            }
        }
        days.sort_unstable();
        days.dedup();
        for (slot, day) in days {
            let state = &self.symbols[slot as usize];
            let stats = state.day(day, |_| true);
            changes.days.extend(stats.map(|stats| Day::of(&state.name, day, &stats)));
        }
        changes.symbols = self.told(pending.symbols);
        changes
    }

    /// The symbols of which something changed since this was called before. What else changed is told no more: for who
    /// shows this fold, and asks [`Fold::live`] now and then.
    pub fn take_symbols(&mut self) -> Vec<Symbol> {
        if self.replay.is_some() {
            return Vec::new();
        }
        let pending = std::mem::take(&mut self.pending);
        self.pending.batch = pending.batch;
        for (slot, start) in pending.windows {
            let state = &mut self.symbols[slot as usize];
            if let Ok(index) = state.find(start) {
                state.windows[index].dirty = false;
            }
        }
        self.told(pending.symbols)
    }

    fn told(&mut self, slots: Vec<u32>) -> Vec<Symbol> {
        let tell = |slot: u32| {
            let state = &mut self.symbols[slot as usize];
            state.dirty = false;
            state.name.clone()
        };
        slots.into_iter().map(tell).collect()
    }

    /// Notes everything as changed: for who shows this fold in the place of another.
    pub fn touch_all(&mut self) {
        for (slot, state) in (0..).zip(&mut self.symbols) {
            if !std::mem::replace(&mut state.dirty, true) {
                self.pending.symbols.push(slot);
            }
            for window in &mut state.windows {
                if !std::mem::replace(&mut window.dirty, true) {
                    self.pending.windows.push((slot, window.start));
                }
            }
        }
    }

    /// What a page shows of a symbol; `None` where nothing was heard of it.
    pub fn live(&self, symbol: &Symbol) -> Option<Live> {
        let state = &self.symbols[*self.index.get(symbol)? as usize];
        let horizon = self.clock.horizon();
        let last = state.latest(horizon)?;
        let near = |window: &&Window| horizon.is_none_or(|horizon| window.start <= horizon);
        let newest = state.windows.iter().rfind(near).or(state.windows.last());
        let kind = if last.is_update { TradeKind::PriceUpdate } else { TradeKind::Trade };
        Some(Live {
            last_price: last.price.sent(),
            last_time_ms: last.key.time_ms,
            last_kind: kind,
            minute: newest.map(|window| Minute::of(&state.name, window, window.is_final(self.watermark()))),
        })
    }

    /// The windows held, by symbol and start, as they are now.
    pub fn minutes(&self) -> impl Iterator<Item = Minute> {
        let watermark = self.watermark();
        self.symbols.iter().flat_map(move |state| {
            let of = move |window: &Window| Minute::of(&state.name, window, window.is_final(watermark));
            state.windows.iter().map(of)
        })
    }

    /// The journal does not continue what was folded: it is another one, or an older copy of it was put back. Its
    /// next record is `at`.
    ///
    /// The windows held cannot be rebuilt from it, so they are told for the last time as they are.
    pub fn break_history(&mut self, at: u64) {
        if self.replay.is_some() {
            self.abandon();
        }
        self.close_books();
        // Those that are ahead are in the reach of what is read again: kept, each of its trades would count twice.
        for state in &mut self.symbols {
            state.windows.clear();
            state.current = 0;
        }
        (self.plain, self.carried) = (0, 0);
        // A journal that is read from its beginning may begin anywhere.
        self.next = Some(at).filter(|at| *at > 0);
        self.epoch = self.epoch.filter(|_| at > 0);
        self.lost.clear();
    }

    /// After a batch: lost stretches end, windows become final, windows leave. After most, nothing.
    #[inline(always)]
    pub(super) fn turn(&mut self, head: &Head, before: Option<i64>, moved: Moved) {
        let is_calm = self.replay.is_none()
            && self.floor.is_some()
            && self.plain > 0
            && moved == Moved::default()
            && self.clock.reach().is_none_or(|reach| reach < self.calm_until);
        if !is_calm {
            self.turn_over(head, before, moved);
        }
    }

    #[inline(never)]
    fn turn_over(&mut self, head: &Head, before: Option<i64>, moved: Moved) {
        let live = self.replay.is_none();
        if live {
            self.counters.refuted_jumps += u64::from(moved.refuted);
        }
        if let Some(heard_ms) = moved.heard_again
            && let Some((from_ms, reason)) = self.clock.lost.take()
        {
            // The minute it is heard again in is not whole either, where windows had to be given up.
            let whole_ms = if reason == GapReason::LostRange { self.next_minute() } else { None };
            let to_ms = heard_ms.max(from_ms + 1).max(whole_ms.unwrap_or(i64::MIN));
            let symbols = Vec::new();
            self.add_gap(FeedGap { offset: head.first_offset, from_ms, to_ms, reason, symbols }, before);
        }
        if live && self.floor.is_none() && self.clock.lost.is_none() {
            self.floor = self.next_minute();
        }
        if self.clock.reach().is_some_and(|reach| reach >= self.calm_until) {
            self.advance(before);
        }
        match &self.replay {
            None if self.plain == 0 => self.snapshots.clear(),
            Some(replay) if self.next >= Some(replay.until) => self.end_replay(),
            _ => {}
        }
    }

    /// The watermark may have passed the end of a minute.
    fn advance(&mut self, before: Option<i64>) {
        let after = self.watermark();
        if after.map(minute_of) != before.map(minute_of) {
            self.note_final(before, after);
        }
        let floor = self.floor_of(after);
        if floor != self.floor_of(before) {
            self.gaps.forget_before(floor);
            self.retire(|window| window.start < floor, |_| true);
            self.end_days(floor);
            self.forget_snapshots();
        }
        if let Some(after) = after {
            let (lateness, kept) = (i64::from(self.config.lateness_ms), i64::from(self.config.kept_ms));
            self.calm_until = (minute_of(after) + MINUTE_MS).min(floor + MINUTE_MS + kept) + lateness;
        }
    }

    /// Records from `from` to `end` cannot be had.
    pub(super) fn lose(&mut self, from: u64, end: u64, reason: GapReason) {
        if let Some(replay) = &self.replay {
            let known = |(known_from, known_end): &(u64, u64)| *known_from <= from && end <= *known_end;
            if self.lost.iter().any(known) && end <= replay.until {
                let ends = end == replay.until;
                self.clock.lose(reason);
                self.next = Some(end);
                if ends {
                    self.end_replay();
                }
                return;
            }
            let until = replay.until;
            self.abandon();
            if end <= until {
                return;
            }
            return self.lose(from.max(until), end, reason);
        }
        if self.next.is_none() {
            // What there was before a first start is no loss, but the first minutes are not whole.
            self.floor = None;
            self.next = Some(end);
            return;
        }
        self.counters.lost += end - from;
        if reason == GapReason::LostRange {
            // Others may have told these windows whole.
            self.clock.lose(reason);
            self.close_books();
            self.floor = None;
        } else {
            self.clock.lose(reason);
        }
        self.lost.push_back((from, end));
        if self.lost.len() > MAX_LOST {
            // A restart that meets a loss it does not know rebuilds nothing, which is safe.
            self.lost.pop_front();
        }
        self.next = Some(end);
        if let Some((first, _)) = self.snapshots.front() {
            let first = *first;
            self.lost.retain(|(_, end)| *end > first);
        }
    }

    /// Tells the windows that a rebuild would need the journal for, for the last time, and none of their minutes again.
    /// Those that are ahead of all minutes stay: opened anew, they would be told with less.
    fn close_books(&mut self) {
        let next = self.next_minute();
        // Before there is any trade nothing was told, and nothing is kept from being told.
        let is_blank = next.is_none() && self.symbols.iter().all(|state| state.windows.is_empty());
        self.retire(|window| !window.carried || next.is_some_and(|next| window.start < next), |_| true);
        self.snapshots.clear();
        if !is_blank {
            self.floor = self.floor.and_then(|floor| Some(floor.max(next?)));
        }
    }

    /// The first minute behind all that was heard.
    pub(super) fn next_minute(&self) -> Option<i64> {
        self.clock.reach().map(|reach| minute_of(reach) + MINUTE_MS)
    }

    fn note_final(&mut self, before: Option<i64>, after: Option<i64>) {
        for (slot, state) in (0..).zip(&mut self.symbols) {
            for window in state.windows.iter_mut() {
                let now_final = window.is_final(after) && !window.is_final(before);
                if now_final && !std::mem::replace(&mut window.dirty, true) {
                    self.pending.windows.push((slot, window.start));
                }
            }
        }
    }

    /// Lets windows leave: tells them once more and moves their numbers into their days.
    pub(super) fn retire(&mut self, leaves: impl Fn(&Window) -> bool, is_final: impl Fn(&Window) -> bool) {
        let horizon = self.clock.horizon();
        for (slot, state) in (0..).zip(&mut self.symbols) {
            if !state.windows.iter().any(&leaves) {
                continue;
            }
            state.current = 0;
            let (gone, kept) = std::mem::take(&mut state.windows).into_iter().partition(&leaves);
            state.windows = kept;
            let gone: Vec<Window> = gone;
            for window in gone {
                *(if window.carried { &mut self.carried } else { &mut self.plain }) -= 1;
                let minute = Minute::of(&state.name, &window, is_final(&window));
                self.pending.left.push(Minute { left: true, changed: window.dirty, ..minute });
                self.pending.days.push((slot, window.day()));
                state.retire(&window, horizon);
            }
        }
    }

    /// Forgets the days that no window can change any more, after telling them.
    fn end_days(&mut self, floor: i64) {
        for state in &mut self.symbols {
            let held: Vec<i64> = state.windows.iter().map(Window::day).collect();
            let over = |day: i64| (day + 1) * DAY_MS <= floor && !held.contains(&day);
            let told = state.days.iter().filter(|(day, _)| over(*day));
            self.pending.days_over.extend(told.map(|(day, stats)| Day::of(&state.name, *day, stats)));
            state.days.retain(|(day, _)| !over(*day));
        }
    }

    /// Forgets the snapshots that no rebuild begins at.
    fn forget_snapshots(&mut self) {
        if self.replay.is_some() {
            return;
        }
        let windows = self.symbols.iter().flat_map(|state| &state.windows).filter(|window| !window.carried);
        let Some(first) = windows.map(|window| window.first_offset).min() else {
            return self.snapshots.clear();
        };
        while self.snapshots.get(1).is_some_and(|(offset, _)| *offset <= first) {
            self.snapshots.pop_front();
        }
    }

    /// Drops what a replay noted as changed.
    pub(super) fn forget_pending(&mut self) {
        self.pending = Pending { batch: self.pending.batch, ..Pending::default() };
        for state in &mut self.symbols {
            state.dirty = false;
            for window in &mut state.windows {
                (window.dirty, window.preset) = (false, false);
            }
        }
    }
}

/// Lost ranges remembered.
const MAX_LOST: usize = 1024;
