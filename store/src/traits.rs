//! What every store does. Both traits block: a store is a file or one HTTP exchange at a time, and its callers
//! own a thread for it (the aggregator's writer) or borrow one (the console's reads).

use std::sync::Arc;
use std::time::Duration;

use crate::{Cursor, DayRow, GapRow, LeftOut, MinuteRow, StoreError, TradeRow, WriteBatch};

/// Takes batches. A batch is in flight alone. Several processes may write one store if they fold the same journal with the
/// same settings: what the one that is behind writes takes nothing back.
pub trait StoreWriter: Send {
    /// One word for status and metrics: `sqlite`.
    fn name(&self) -> &'static str;

    /// The cursors the store holds, one a source. A caller resumes here at start and after any failed write.
    fn cursors(&mut self) -> Result<Vec<Cursor>, StoreError>;

    /// Writes the batch. Repeating it changes nothing. After an error nobody knows how much of its rows is there, and its
    /// cursor is not, unless all of them are.
    fn write(&mut self, batch: &WriteBatch) -> Result<Receipt, StoreError>;

    /// One bounded step of forgetting what is too old or too much, by the source's own time (`watermark_ms`):
    /// a recorded session of past years is not old. Call it now and then while it says [`Retained::more`].
    fn retain(&mut self, source: &str, watermark_ms: i64) -> Result<Retained, StoreError>;

    /// How long after [`StoreWriter::write`] a batch may still vanish, with the store's process, while the store's cursor
    /// does not: no cursor is written before what it covers has settled. The first write to a process that is
    /// another one than before has to fail. Zero where the cursor shares the data's transaction, as in SQLite.
    fn settle(&self) -> Duration {
        Duration::ZERO
    }
}

/// What a store says of a batch it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Trades of it that were there already although nobody else writes the store: whoever gave them has counted them
    /// before. The rows are there once all the same.
    pub doubled: u64,
    /// Rows of it that are not kept.
    pub left_out: LeftOut,
}

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Age of trades, by event time.
    pub trades: Duration,
    /// Bytes of trades, over all sources; what is reached first counts.
    pub trades_bytes: u64,
    /// Age of minutes, days and gaps.
    pub minutes: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        const DAY: u64 = 86_400;
        Self {
            trades: Duration::from_secs(7 * DAY),
            trades_bytes: 1 << 30,
            minutes: Duration::from_secs(5 * 365 * DAY),
        }
    }
}

/// What one step of retention removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    /// Trades removed.
    pub trades: u64,
    /// Minutes, days and gaps removed.
    pub minutes: u64,
    /// True when another step would find more.
    pub more: bool,
}

/// Which rows to read: a symbol, or all, in `[from_ms, to_ms)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Only this source.
    pub source: Option<String>,
    /// Only this symbol.
    pub symbol: Option<String>,
    /// First time, inclusive.
    pub from_ms: i64,
    /// Last time, exclusive.
    pub to_ms: i64,
    /// At most so many rows.
    pub limit: usize,
    /// Which ones when there are more: the newest instead of the oldest. The order stays ascending.
    pub newest: bool,
}

impl Query {
    /// Everything of one symbol, up to `limit` rows.
    pub fn symbol(symbol: impl Into<String>, limit: usize) -> Self {
        Self {
            source: None,
            symbol: Some(symbol.into()),
            from_ms: i64::MIN,
            to_ms: i64::MAX,
            limit,
            newest: false,
        }
    }
}

/// A symbol that the store knows minutes of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// The feed's configured name.
    pub source: Arc<str>,
    /// What was traded.
    pub symbol: Arc<str>,
    /// Start of its oldest minute.
    pub first_ms: i64,
    /// Start of its newest minute.
    pub last_ms: i64,
}

/// Reads while the writer writes. Rows come in ascending time.
pub trait StoreReader: Send + Sync {
    /// Minutes by (start, source, symbol).
    fn minutes(&self, query: &Query) -> Result<Vec<MinuteRow>, StoreError>;
    /// Trades and price updates by (time, source, epoch, offset).
    fn trades(&self, query: &Query) -> Result<Vec<TradeRow>, StoreError>;
    /// Days that begin in the range.
    fn days(&self, query: &Query) -> Result<Vec<DayRow>, StoreError>;
    /// Gaps that overlap the range; a symbol's include those of all symbols.
    fn gaps(&self, query: &Query) -> Result<Vec<GapRow>, StoreError>;
    /// The symbols there are.
    fn series(&self) -> Result<Vec<Series>, StoreError>;
    /// The cursors, one a source.
    fn cursors(&self) -> Result<Vec<Cursor>, StoreError>;
}
