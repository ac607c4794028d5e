//! A restart: what goes with the cursor, and how the rest is read again from the journal.
//!
//! The windows that are kept are rebuilt from the journal from [`CursorState::rebuild_from`] on; the state holds what
//! the journal does not tell from there: the clock as it was, the windows that left summed up by day, last prices,
//! counters. Where the journal no longer holds what the rebuild needs, nothing is rebuilt and the windows stay in the
//! store as they are; the fold goes on with the first minute behind them.

use super::clock::Clock;
use super::copies::RecentFrames;
use super::coverage::{FeedGap, FeedGaps};
use super::day::DayStats;
use super::fold::{Counters, Fold, FoldConfig};
use super::symbol::{Last, SymbolState, Window};
use serde::{Deserialize, Serialize};
use tickberry_wire::{Epoch, GapReason, Symbol};

/// Version of [`CursorState::state`].
const VERSION: u8 = 1;

/// Where a fold stands, to be written together with the changes it told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CursorState {
    /// The offset behind the last record folded.
    pub stored: u64,
    /// The epoch of that record.
    pub epoch: Option<Epoch>,
    /// The offset to read the journal from at a restart.
    pub rebuild_from: u64,
    /// Windows that start before are never told again.
    pub floor_ms: i64,
    /// What else a restart needs: a version byte and a postcard message.
    pub state: Vec<u8>,
}

/// Why a cursor cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResumeError {
    /// Written by a newer release.
    #[error(
        "the cursor's state has version {0}, this release knows {VERSION}; use the newer release again, or start without its windows"
    )]
    UnknownVersion(u8),
    /// Not what a fold writes.
    #[error("the cursor's state cannot be read: {0}")]
    Corrupt(&'static str),
}

/// A rebuild under way.
#[derive(Clone, Debug)]
pub(super) struct Replay {
    /// The cursor it began from; its `stored` is where the rebuild ends.
    cursor: CursorState,
    pub(super) until: u64,
    pub(super) floor_ms: i64,
    /// The state at the end, for when the journal does not hold what the rebuild needs.
    clock: Clock,
    gaps: FeedGaps,
    totals: Vec<(u32, i64, DayStats)>,
}

#[derive(Serialize, Deserialize)]
struct State {
    /// The clock before the record at `rebuild_from`, and the one now.
    clock_then: Clock,
    clock: Clock,
    floor: Option<i64>,
    counters: Counters,
    copies: RecentFrames,
    gaps: FeedGaps,
    lost: Vec<(u64, u64)>,
    symbols: Vec<SymbolPart>,
}

#[derive(Serialize, Deserialize)]
struct SymbolPart {
    name: Symbol,
    last: Option<Last>,
    /// Windows that left, by day.
    days: Vec<(i64, DayStats)>,
    /// The same and the windows that a rebuild rebuilds, where there are any.
    totals: Vec<(i64, DayStats)>,
    carried: Vec<Window>,
}

impl Fold {
    /// A fold that goes on behind `stored` without knowing anything from before: for a cursor whose state cannot be
    /// used. Its first window is the first one that is whole.
    pub fn starting_at(config: FoldConfig, stored: u64) -> Self {
        let mut fold = Self::new(config);
        fold.next = Some(stored);
        fold.floor = None;
        fold
    }

    /// The cursor: to be asked for right after [`Fold::take_changes`], and written in one transaction with them.
    pub fn cursor(&self) -> CursorState {
        if let Some(replay) = &self.replay {
            return replay.cursor.clone();
        }
        let stored = self.next.unwrap_or(0);
        let then = self.snapshots.front().filter(|_| self.plain > 0);
        let (rebuild_from, clock_then) =
            then.map_or_else(|| (stored, self.clock.clone()), |(offset, clock)| (*offset, clock.clone()));
        let state = State {
            clock_then,
            clock: self.clock.clone(),
            floor: self.floor,
            counters: self.counters,
            copies: self.copies.clone(),
            gaps: self.gaps.clone(),
            lost: self.lost.iter().copied().filter(|(_, end)| *end > rebuild_from).collect(),
            symbols: self.sorted().map(SymbolPart::of).filter(|part| !part.is_empty()).collect(),
        };
        let floor_ms = self.floor.unwrap_or(i64::MAX).max(self.floor_of(self.watermark()));
        CursorState { stored, epoch: self.epoch, rebuild_from, floor_ms, state: encode(&state) }
    }

    /// The fold that wrote the cursor, once it has been given the journal from `rebuild_from` to `stored` again. Until
    /// then it tells nothing.
    ///
    /// # Errors
    /// When the state is of a newer release or damaged; [`Fold::starting_at`] goes on all the same.
    pub fn resume(config: FoldConfig, cursor: &CursorState) -> Result<Self, ResumeError> {
        let state = decode(&cursor.state)?;
        if cursor.rebuild_from > cursor.stored {
            return Err(ResumeError::Corrupt("the rebuild begins behind its end"));
        }
        let mut fold = Self::new(config);
        fold.floor = state.floor;
        fold.counters = state.counters;
        fold.copies = state.copies;
        fold.epoch = cursor.epoch;
        fold.lost = state.lost.into();
        let mut totals = Vec::new();
        for (slot, part) in (0_u32..).zip(state.symbols) {
            let mut symbol = SymbolState::new(part.name.clone());
            symbol.last = part.last;
            symbol.days = part.days;
            symbol.windows = part.carried;
            fold.carried += symbol.windows.len();
            if !symbol.windows.is_sorted_by_key(|window| window.start) {
                return Err(ResumeError::Corrupt("windows out of order"));
            }
            totals.extend(part.totals.into_iter().map(|(day, total)| (slot, day, total)));
            fold.symbols.push(symbol);
            if fold.index.insert(part.name, slot).is_some() {
                return Err(ResumeError::Corrupt("a symbol is there twice"));
            }
        }
        if cursor.rebuild_from == cursor.stored {
            fold.next = Some(cursor.stored).filter(|_| cursor.epoch.is_some());
            (fold.clock, fold.gaps) = (state.clock, state.gaps);
            return Ok(fold);
        }
        fold.next = Some(cursor.rebuild_from);
        fold.clock = state.clock_then;
        fold.gaps = state.gaps.iter().filter(|gap| gap.offset < cursor.rebuild_from).cloned().collect();
        for window in fold.symbols.iter_mut().flat_map(|symbol| &mut symbol.windows) {
            window.preset = true;
        }
        fold.replay = Some(Box::new(Replay {
            cursor: cursor.clone(),
            until: cursor.stored,
            floor_ms: cursor.floor_ms,
            clock: state.clock,
            gaps: state.gaps,
            totals,
        }));
        Ok(fold)
    }

    /// Whether the kept hour is still being read again.
    pub fn is_rebuilding(&self) -> bool {
        self.replay.is_some()
    }

    /// The whole state as bytes: equal for folds of equal records, however often they were restarted.
    pub fn fingerprint(&self) -> Vec<u8> {
        let cursor = self.cursor();
        let snapshots: Vec<_> = self.snapshots.iter().collect();
        let windows: Vec<_> = self
            .sorted()
            .filter(|state| !state.windows.is_empty())
            .map(|state| (&state.name, &state.windows))
            .collect();
        encode(&(cursor.stored, cursor.epoch, cursor.rebuild_from, cursor.state, snapshots, windows))
    }

    pub(super) fn end_replay(&mut self) {
        self.replay = None;
        self.forget_pending();
    }

    /// The journal does not hold what the rebuild needs: the windows stay in the store as they are.
    pub(super) fn abandon(&mut self) {
        let Some(replay) = self.replay.take() else { return };
        let Replay { until, clock, gaps, totals, .. } = *replay;
        for state in &mut self.symbols {
            state.windows.retain(|window| window.preset);
            state.current = 0;
        }
        self.forget_pending();
        for (slot, day, total) in totals {
            let days = &mut self.symbols[slot as usize].days;
            days.retain(|(known, _)| *known != day);
            days.push((day, total));
            days.sort_unstable_by_key(|(day, _)| *day);
        }
        let reach = clock.reach();
        (self.clock, self.gaps) = (clock, gaps);
        (self.plain, self.next) = (0, Some(until));
        self.carried = self.symbols.iter().map(|state| state.windows.len()).sum();
        self.snapshots.clear();
        self.lost.clear();
        let next = self.next_minute();
        self.floor = self.floor.and_then(|floor| Some(floor.max(next?)));
        // What is ahead came whole with the cursor, and would be told with less if it were opened anew.
        self.retire(|window| next.is_some_and(|next| window.start < next), |_| true);
        // The rest of the minute that was under way will be in no window.
        if let (Some(from_ms), Some(to_ms)) = (reach, self.floor) {
            let gap =
                FeedGap { offset: until, from_ms, to_ms, reason: GapReason::LostRange, symbols: Vec::new() };
            self.add_gap(gap, self.watermark());
        }
    }

    fn sorted(&self) -> impl Iterator<Item = &SymbolState> {
        let mut symbols: Vec<&SymbolState> = self.symbols.iter().collect();
        symbols.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        symbols.into_iter()
    }
}

impl SymbolPart {
    fn of(state: &SymbolState) -> Self {
        let plain = |window: &Window| !window.carried;
        let mut days: Vec<i64> =
            state.windows.iter().filter(|window| plain(window)).map(Window::day).collect();
        days.dedup();
        Self {
            name: state.name.clone(),
            last: state.last,
            days: state.days.clone(),
            totals: days.into_iter().filter_map(|day| Some((day, state.day(day, plain)?))).collect(),
            carried: state.windows.iter().filter(|window| window.carried).cloned().collect(),
        }
    }

    fn is_empty(&self) -> bool {
        self.last.is_none() && self.days.is_empty() && self.totals.is_empty() && self.carried.is_empty()
    }
}

fn encode(state: &impl Serialize) -> Vec<u8> {
    postcard::to_extend(state, vec![VERSION]).expect("writing plain data to memory does not fail")
}

fn decode(bytes: &[u8]) -> Result<State, ResumeError> {
    match bytes {
        [VERSION, rest @ ..] => match postcard::take_from_bytes(rest) {
            Ok((state, [])) => Ok(state),
            Ok(_) => Err(ResumeError::Corrupt("bytes behind its end")),
            Err(_) => Err(ResumeError::Corrupt("not a state")),
        },
        [] => Err(ResumeError::Corrupt("it is empty")),
        [version, ..] => Err(ResumeError::UnknownVersion(*version)),
    }
}
