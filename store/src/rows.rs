//! The rows of the store, and the names of their columns: the one place that spells them.

use std::sync::Arc;

use serde::Serialize;

use crate::StoreError;

/// Table and column names, as SQL, CSV and JSON spell them (each struct's fields carry the same names).
pub mod columns {
    /// The table of trades and price updates.
    pub const TRADES_TABLE: &str = "trades";
    /// Columns of [`TRADES_TABLE`], in order.
    pub const TRADES: [&str; 9] = [
        "source",
        "epoch",
        "journal_offset",
        "symbol",
        "time_ms",
        "price",
        "volume",
        "conditions",
        "received_ms",
    ];
    /// The table of one-minute windows.
    pub const MINUTES_TABLE: &str = "minute_trades";
    /// Columns of [`MINUTES_TABLE`], in order.
    pub const MINUTES: [&str; 14] = [
        "source",
        "symbol",
        "start_ms",
        "open",
        "high",
        "low",
        "close",
        "volume",
        "trade_count",
        "vwap",
        "avg_price",
        "coverage",
        "revision",
        "final",
    ];
    /// The table of days (UTC).
    pub const DAYS_TABLE: &str = "daily_trades";
    /// Columns of [`DAYS_TABLE`], in order.
    pub const DAYS: [&str; 9] =
        ["source", "symbol", "day", "open", "high", "low", "close", "volume", "trade_count"];
    /// The table of times in which nothing could be received.
    pub const GAPS_TABLE: &str = "feed_gaps";
    /// Columns of [`GAPS_TABLE`], in order.
    pub const GAPS: [&str; 5] = ["source", "symbol", "start_ms", "end_ms", "reason"];
    /// [`GAPS`]' symbol that stands for every symbol of the source.
    pub const ALL_SYMBOLS: &str = "*";
}

/// A trade, or a price update: Finnhub's "trade" of volume 0, which is kept here like any other (`trades` holds
/// each record that names a price) and counted in no window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TradeRow {
    /// The feed's configured name.
    pub source: Arc<str>,
    /// The life of the gateway that journaled it.
    pub epoch: u64,
    /// Its number in the journal.
    pub journal_offset: u64,
    /// What was traded.
    pub symbol: Arc<str>,
    /// When, as the feed says.
    pub time_ms: i64,
    /// The double nearest to the exact price.
    pub price: f64,
    /// The double nearest to the exact volume; 0 for a price update.
    pub volume: f64,
    /// A JSON array of strings, or nothing where the feed sent none.
    pub conditions: Option<Arc<str>>,
    /// When the gateway received it; nothing while its clock was unset.
    pub received_ms: Option<i64>,
}

/// One minute of one symbol.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MinuteRow {
    /// The feed's configured name.
    pub source: Arc<str>,
    /// What was traded.
    pub symbol: Arc<str>,
    /// Start of the minute; it ends 60 s later, exclusively.
    pub start_ms: i64,
    /// Price of the first trade by (time, epoch, offset).
    pub open: f64,
    /// Highest price.
    pub high: f64,
    /// Lowest price.
    pub low: f64,
    /// Price of the last trade by (time, epoch, offset).
    pub close: f64,
    /// Sum of volumes.
    pub volume: f64,
    /// Number of trades.
    pub trade_count: i64,
    /// Volume-weighted average price.
    pub vwap: f64,
    /// Mean of the prices.
    pub avg_price: f64,
    /// The part of the minute during which the feed was live, 0 to 1.
    pub coverage: f64,
    /// Number of batches folded in after it was final.
    pub revision: i64,
    /// 0 while the minute is open, 1 after.
    #[serde(rename = "final")]
    pub final_: i64,
}

/// One UTC day of one symbol.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DayRow {
    /// The feed's configured name.
    pub source: Arc<str>,
    /// What was traded.
    pub symbol: Arc<str>,
    /// `2026-11-30`, UTC.
    pub day: String,
    /// Price of the first trade.
    pub open: f64,
    /// Highest price.
    pub high: f64,
    /// Lowest price.
    pub low: f64,
    /// Price of the last trade.
    pub close: f64,
    /// Sum of volumes.
    pub volume: f64,
    /// Number of trades.
    pub trade_count: i64,
}

/// The `day` of a time: `2026-11-30`, UTC. Times beyond the calendar are at its ends.
pub fn day_text(ms: i64) -> String {
    let ends = jiff::Timestamp::MIN.as_millisecond()..=jiff::Timestamp::MAX.as_millisecond();
    let time = jiff::Timestamp::from_millisecond(ms.clamp(*ends.start(), *ends.end()));
    time.unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC).date().to_string()
}

/// A time in which the source, or one symbol of it, could not be received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GapRow {
    /// The feed's configured name.
    pub source: Arc<str>,
    /// The symbol, or [`columns::ALL_SYMBOLS`].
    pub symbol: Arc<str>,
    /// Start, in event time.
    pub start_ms: i64,
    /// End, exclusive.
    pub end_ms: i64,
    /// One word: `disconnect`, `stall` …
    pub reason: String,
}

/// How much of a source's journal the store holds. Written with the data it describes, or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The feed's configured name.
    pub source: Arc<str>,
    /// The epoch `stored` belongs to.
    pub epoch: u64,
    /// Every committed record below this offset is in the store, with its windows.
    pub stored: u64,
    /// Where a start reads the journal again to have the kept windows back.
    pub rebuild_from: u64,
    /// Windows that start earlier are never written over: the journal no longer holds all of them.
    pub floor_ms: i64,
    /// What the fold needs to begin at `rebuild_from`; opaque to the store.
    pub state: Vec<u8>,
}

/// Rows that a store took for written without keeping them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Older than the store keeps anything.
    pub expired: u64,
    /// Refused for what they are, and put aside.
    pub refused: u64,
}

impl std::ops::AddAssign for LeftOut {
    fn add_assign(&mut self, other: Self) {
        self.expired += other.expired;
        self.refused += other.refused;
    }
}

/// What one transaction writes: rows and the cursor that covers them, of one source.
#[derive(Clone, Debug, PartialEq)]
pub struct WriteBatch {
    /// New trades and price updates.
    pub trades: Vec<TradeRow>,
    /// Changed minutes, whole.
    pub minutes: Vec<MinuteRow>,
    /// Changed days, whole.
    pub days: Vec<DayRow>,
    /// New gaps.
    pub gaps: Vec<GapRow>,
    /// The cursor to write: the one after all of it, or an earlier one where the store has to settle first.
    pub cursor: Cursor,
    /// Where the rows end: epoch and offset of the cursor after all of it.
    pub reaches: (u64, u64),
}

impl WriteBatch {
    /// A batch that only moves the cursor.
    pub fn new(cursor: Cursor) -> Self {
        let reaches = (cursor.epoch, cursor.stored);
        Self { trades: Vec::new(), minutes: Vec::new(), days: Vec::new(), gaps: Vec::new(), cursor, reaches }
    }

    /// Number of rows, the cursor's not counted.
    pub fn rows(&self) -> usize {
        self.trades.len() + self.minutes.len() + self.days.len() + self.gaps.len()
    }

    /// Every u64 goes into a signed column: says which one does not fit.
    pub(crate) fn check_range(&self) -> Result<(), StoreError> {
        let fits = |what, value: u64| {
            if i64::try_from(value).is_ok() { Ok(()) } else { Err(StoreError::Range { what, value }) }
        };
        let cursor = &self.cursor;
        fits("epoch", cursor.epoch)?;
        fits("stored", cursor.stored)?;
        fits("rebuild_from", cursor.rebuild_from)?;
        for trade in &self.trades {
            fits("epoch", trade.epoch)?;
            fits("journal_offset", trade.journal_offset)?;
        }
        Ok(())
    }
}
