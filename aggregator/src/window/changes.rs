//! What the fold tells: windows, days and gaps that changed.

use super::coverage::coverage;
use super::day::{DAY_MS, DayStats};
use super::exact::Exact;
use super::symbol::Window;
use tickberry_wire::json::{Exact as ExactJson, MinuteJson, TradeKind};
use tickberry_wire::{Decimal, GapReason, Source, Symbol};

/// Everything that changed since changes were taken before. A window that changed several times is there once, as it
/// is now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Windows: opened, folded into, final, revised, covered less, or leaving.
    pub minutes: Vec<Minute>,
    /// Days of those windows.
    pub days: Vec<Day>,
    /// Feed gaps, each once.
    pub gaps: Vec<GapRow>,
    /// Symbols with a new trade or price update, for [`Fold::live`](super::Fold::live).
    pub symbols: Vec<Symbol>,
}

impl Changes {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.minutes.is_empty() && self.days.is_empty() && self.gaps.is_empty() && self.symbols.is_empty()
    }
}

/// A window, whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Minute {
    /// What was traded.
    pub symbol: Symbol,
    /// The window is `[start_ms, start_ms + 60,000)`.
    pub start_ms: i64,
    /// First price, with the digits it was sent with.
    pub open: Decimal,
    /// Highest price; of equal ones the shortest text.
    pub high: Decimal,
    /// Lowest price; of equal ones the shortest text.
    pub low: Decimal,
    /// Last price.
    pub close: Decimal,
    /// Sum of the volumes.
    pub volume: Exact,
    /// Number of trades.
    pub trade_count: u64,
    /// Mean price by volume, the nearest double; the plain mean where the volumes sum to zero.
    pub vwap: f64,
    /// Mean of the prices, the nearest double.
    pub avg_price: f64,
    /// The part of the window in which the feed was heard for the symbol.
    pub coverage: f64,
    /// Batches folded in after the window was final.
    pub revision: u64,
    /// The watermark has reached the window's end.
    pub is_final: bool,
    /// It leaves the kept hour and is told for the last time.
    pub left: bool,
    /// Something else than its leaving changed since it was told before.
    pub changed: bool,
}

impl Minute {
    pub(crate) fn of(symbol: &Symbol, window: &Window, is_final: bool) -> Self {
        let [open, high, low, close] = window.stats.prices().map(|digits| digits.sent());
        Self {
            symbol: symbol.clone(),
            start_ms: window.start,
            open,
            high,
            low,
            close,
            volume: window.stats.volume(),
            trade_count: window.stats.count(),
            vwap: window.stats.vwap(),
            avg_price: window.stats.average_price(),
            coverage: coverage(window.missing_ms),
            revision: window.revision,
            is_final,
            left: false,
            changed: true,
        }
    }

    /// The window as topics and pages show it.
    pub fn to_json(&self, source: &Source) -> MinuteJson {
        MinuteJson {
            source: source.clone(),
            symbol: self.symbol.clone(),
            start_ms: self.start_ms,
            open: self.open,
            high: self.high,
            low: self.low,
            close: self.close,
            volume: ExactJson(self.volume.to_string()),
            trade_count: self.trade_count,
            vwap: self.vwap,
            avg_price: self.avg_price,
            coverage: self.coverage,
            revision: self.revision,
            is_final: u8::from(self.is_final),
        }
    }
}

/// A UTC day, whole: of all its windows, kept ones and those that left.
#[derive(Clone, Debug, PartialEq)]
pub struct Day {
    /// What was traded.
    pub symbol: Symbol,
    /// Midnight, ms since 1970.
    pub start_ms: i64,
    /// First price.
    pub open: Decimal,
    /// Highest price.
    pub high: Decimal,
    /// Lowest price.
    pub low: Decimal,
    /// Last price.
    pub close: Decimal,
    /// Sum of the volumes.
    pub volume: Exact,
    /// Number of trades.
    pub trade_count: u64,
}

impl Day {
    pub(crate) fn of(symbol: &Symbol, day: i64, stats: &DayStats) -> Self {
        let [open, high, low, close] = stats.prices().map(|digits| digits.sent());
        Self {
            symbol: symbol.clone(),
            start_ms: day * DAY_MS,
            open,
            high,
            low,
            close,
            volume: stats.volume(),
            trade_count: stats.count(),
        }
    }
}

/// A feed gap, for one symbol or for all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GapRow {
    /// `None`: all symbols, written as `*`.
    pub symbol: Option<Symbol>,
    /// From, ms since 1970.
    pub start_ms: i64,
    /// To, exclusive.
    pub end_ms: i64,
    /// Why.
    pub reason: GapReason,
}

/// What a page shows of a symbol right now.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    /// Price of the latest trade or price update by event time; times an hour ahead of all others come last.
    pub last_price: Decimal,
    /// Its time.
    pub last_time_ms: i64,
    /// Whether it was a trade.
    pub last_kind: TradeKind,
    /// The newest window.
    pub minute: Option<Minute>,
}
