//! Recorded sessions: files of Binance trades, merged, disordered on purpose if asked for, and played.

mod file;
mod order;
mod replay;

use std::path::PathBuf;
use std::sync::Arc;

pub use file::load;
pub use order::{merge, shuffle};
pub use replay::Replay;

/// Trades all recordings together may hold; they are kept in memory, about 150 bytes each.
pub const MAX_TRADES: usize = 2_000_000;

/// A recording that can't be played.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file can't be read or decompressed.
    #[error("recording {}: {error}; name a readable .csv or .csv.gz file", file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The first line doesn't name a needed column.
    #[error("recording {}: no column {column:?} in its first line; trade_ms, symbol, price and qty are needed", file.display())]
    Column {
        /// Which file.
        file: PathBuf,
        /// Which column.
        column: &'static str,
    },
    /// A line is no trade.
    #[error("recording {} line {line}: {column} {value:?} is not understood", file.display())]
    Value {
        /// Which file.
        file: PathBuf,
        /// Its line, counted from 1.
        line: usize,
        /// The column.
        column: &'static str,
        /// What stands there (its beginning).
        value: String,
    },
    /// More than fits into memory.
    #[error("recordings hold more than {MAX_TRADES} trades; play fewer or shorter ones")]
    TooLong,
    /// No trades at all.
    #[error("the recordings hold no trade; name files with trades, or a longer session")]
    Empty,
}

/// The exchange's name of a symbol as Finnhub's: `BTCUSDT` → `BINANCE:BTCUSDT`. One that has a prefix keeps it.
pub fn finnhub_symbol(recorded: &str) -> Arc<str> {
    if recorded.contains(':') { recorded.into() } else { format!("BINANCE:{recorded}").into() }
}
