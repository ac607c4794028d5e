//! Rows to write, and the whole content to compare.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::Value;
use tickberry_store::sqlite::{SqliteConfig, SqliteWriter};
use tickberry_store::{Cursor, MinuteRow, TradeRow, WriteBatch};

pub(crate) const EPOCH: u64 = 1_795_000_000 << 20 | 77;
pub(crate) const START: i64 = 1_795_000_020_000;

pub(crate) fn file(directory: &tempfile::TempDir) -> std::path::PathBuf {
    directory.path().join("tickberry.sqlite3")
}

pub(crate) fn writer(path: &Path) -> SqliteWriter {
    SqliteWriter::open(SqliteConfig::new(path)).unwrap()
}

pub(crate) fn cursor(stored: u64) -> Cursor {
    Cursor {
        source: "finnhub".into(),
        epoch: EPOCH,
        stored,
        rebuild_from: stored / 2,
        floor_ms: START,
        state: stored.to_be_bytes()[..7].to_vec(),
    }
}

pub(crate) fn trade(offset: u64, symbol: &str, time_ms: i64) -> TradeRow {
    TradeRow {
        source: "finnhub".into(),
        epoch: EPOCH,
        journal_offset: offset,
        symbol: symbol.into(),
        time_ms,
        price: 61_234.5 + offset as f64,
        volume: 0.001,
        conditions: offset.is_multiple_of(3).then(|| r#"["1","12"]"#.into()),
        received_ms: (!offset.is_multiple_of(5)).then_some(time_ms + 40),
    }
}

pub(crate) fn minute(symbol: &str, start_ms: i64, revision: i64) -> MinuteRow {
    MinuteRow {
        source: "finnhub".into(),
        symbol: symbol.into(),
        start_ms,
        open: 1.5,
        high: 2.5 + revision as f64,
        low: 0.1,
        close: 2.0,
        volume: 12.25,
        trade_count: 3 + revision,
        vwap: 1.75,
        avg_price: 1.8,
        coverage: 1.0,
        revision,
        final_: 1,
    }
}

pub(crate) fn batch(stored: u64, trades: Vec<TradeRow>) -> WriteBatch {
    WriteBatch { trades, ..WriteBatch::new(cursor(stored)) }
}

/// Every row of every table, in key order; the private ones too, except where a test says otherwise.
pub(crate) fn content(path: &Path, tables: &[&str]) -> Vec<(String, Vec<Vec<Value>>)> {
    let c = Connection::open(path).unwrap();
    let mut all = Vec::new();
    for table in tables {
        let mut select = c.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let width = select.column_count();
        let rows = select
            .query_map([], |r| (0..width).map(|i| r.get::<_, Value>(i)).collect())
            .unwrap()
            .collect::<Result<Vec<Vec<Value>>, _>>()
            .unwrap();
        all.push(((*table).to_owned(), rows));
    }
    all
}
