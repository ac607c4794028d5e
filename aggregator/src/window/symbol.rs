//! What the fold holds for one symbol.

use super::MINUTE_MS;
use super::copies::symbol_fingerprint;
use super::day::{DAY_MS, DayStats, absorb};
use super::exact::Digits;
use super::stats::{Item, Key, Stats};
use serde::{Deserialize, Serialize};
use tickberry_wire::Symbol;

/// A window and what is known beside its trades.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Window {
    pub(crate) start: i64,
    pub(crate) stats: Stats,
    pub(crate) revision: u64,
    pub(crate) missing_ms: u32,
    /// Offset of the batch that opened it: a rebuild begins there.
    pub(crate) first_offset: u64,
    /// It was opened ahead of the horizon and comes whole with the cursor.
    pub(crate) carried: bool,
    /// Came with the cursor, so the trades that are read again are in it already.
    #[serde(skip)]
    pub(crate) preset: bool,
    /// The last batch that was folded in (a running number of this process).
    #[serde(skip)]
    pub(crate) touched: u64,
    /// Noted as changed.
    #[serde(skip)]
    pub(crate) dirty: bool,
}

impl Window {
    pub(crate) fn end(&self) -> i64 {
        self.start + MINUTE_MS
    }

    /// Final under this watermark.
    pub(crate) fn is_final(&self, watermark: Option<i64>) -> bool {
        watermark.is_some_and(|watermark| self.end() <= watermark)
    }

    /// The day it counts in, as days since 1970.
    pub(crate) fn day(&self) -> i64 {
        self.start.div_euclid(DAY_MS)
    }
}

/// A latest price.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Last {
    pub(crate) key: Key,
    pub(crate) price: Digits,
    pub(crate) is_update: bool,
}

/// Windows, days and last price of one symbol.
#[derive(Clone, Debug)]
pub(crate) struct SymbolState {
    pub(crate) name: Symbol,
    pub(crate) fingerprint: u64,
    /// By start.
    pub(crate) windows: Vec<Window>,
    /// Where the last trade went.
    pub(crate) current: usize,
    /// By day: the windows that left, of days that are not over.
    pub(crate) days: Vec<(i64, DayStats)>,
    /// The latest price update or trade of a window that left.
    pub(crate) last: Option<Last>,
    /// Noted as changed.
    pub(crate) dirty: bool,
}

impl SymbolState {
    pub(crate) fn new(name: Symbol) -> Self {
        Self {
            fingerprint: symbol_fingerprint(name.as_str()),
            name,
            windows: Vec::new(),
            current: 0,
            days: Vec::new(),
            last: None,
            dirty: false,
        }
    }

    /// Index of the window from `start`, or where it would stand.
    pub(crate) fn find(&self, start: i64) -> Result<usize, usize> {
        match self.windows.last() {
            Some(last) if last.start == start => Ok(self.windows.len() - 1),
            Some(last) if last.start < start => Err(self.windows.len()),
            _ => self.windows.binary_search_by_key(&start, |window| window.start),
        }
    }

    /// Notes a price; of times beyond the horizon only where there is nothing better.
    pub(crate) fn note_last(&mut self, new: Last, horizon: Option<i64>) {
        let ahead = |last: &Last| horizon.is_some_and(|horizon| last.key.time_ms > horizon);
        let better = |old: &Last| (ahead(old), new.key) >= (ahead(&new), old.key);
        if self.last.as_ref().is_none_or(better) {
            self.last = Some(new);
        }
    }

    /// The latest price: of the windows and of what else was noted.
    pub(crate) fn latest(&self, horizon: Option<i64>) -> Option<Last> {
        let ahead = |last: &Last| horizon.is_some_and(|horizon| last.key.time_ms > horizon);
        let of_windows = self.windows.iter().map(|window| closing(&window.stats));
        of_windows.chain(self.last).max_by_key(|last| (!ahead(last), last.key))
    }

    /// Moves a window's numbers into its day.
    pub(crate) fn retire(&mut self, window: &Window, horizon: Option<i64>) {
        self.note_last(closing(&window.stats), horizon);
        let day = window.day();
        match self.days.iter_mut().find(|(of, _)| *of == day) {
            Some((_, stats)) => stats.absorb(&window.stats),
            None => self.days.push((day, DayStats::from(&window.stats))),
        }
        self.days.sort_unstable_by_key(|(day, _)| *day);
    }

    /// All of a day, but of the windows held only those asked for.
    pub(crate) fn day(&self, day: i64, of: impl Fn(&Window) -> bool) -> Option<DayStats> {
        let mut sum = self.days.iter().find(|(known, _)| *known == day).map(|(_, stats)| stats.clone());
        for window in self.windows.iter().filter(|window| window.day() == day && of(window)) {
            absorb(&mut sum, &window.stats);
        }
        sum
    }

    /// Opens a window with its first trade.
    pub(crate) fn open(&mut self, index: usize, start: i64, item: &Item) -> &mut Window {
        self.windows.insert(
            index,
            Window {
                start,
                stats: Stats::new(item),
                revision: 0,
                missing_ms: 0,
                first_offset: 0,
                carried: false,
                preset: false,
                touched: 0,
                dirty: false,
            },
        );
        self.current = index;
        &mut self.windows[index]
    }
}

fn closing(stats: &Stats) -> Last {
    let [.., price] = stats.prices();
    Last { key: stats.ends().1, price, is_update: false }
}
