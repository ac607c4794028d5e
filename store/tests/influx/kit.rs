//! A writer of a fake, and rows for it.

use std::sync::Arc;
use std::time::Duration;

use tickberry_store::influx::{InfluxConfig, InfluxWriter};
use tickberry_store::{Cursor, TradeRow, WriteBatch};

use crate::fake::Fake;

pub(crate) const EPOCH: u64 = 1_795_000_000 << 20 | 77;

pub(crate) fn config(fake: &Fake, folder: &tempfile::TempDir) -> InfluxConfig {
    InfluxConfig {
        url: format!("http://{}", fake.address),
        org: "tickberry".into(),
        bucket: "trades".into(),
        minutes_bucket: "minutes".into(),
        token: Arc::new(|| Ok("secret-token".into())),
        settle: Duration::from_secs(2),
        refused: folder.path().join("refused.lp"),
    }
}

pub(crate) fn writer(fake: &Fake, folder: &tempfile::TempDir) -> InfluxWriter {
    InfluxWriter::open(config(fake, folder)).unwrap()
}

pub(crate) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

pub(crate) fn trade(offset: u64, time_ms: i64) -> TradeRow {
    TradeRow {
        source: "finnhub".into(),
        epoch: EPOCH,
        journal_offset: offset,
        symbol: "BINANCE:BTCUSDT".into(),
        time_ms,
        price: 61_234.5,
        volume: 0.001,
        conditions: None,
        received_ms: None,
    }
}

/// Trades from `first` to `end`, all of now.
pub(crate) fn batch(first: u64, end: u64) -> WriteBatch {
    let at = now_ms();
    let cursor = Cursor {
        source: "finnhub".into(),
        epoch: EPOCH,
        stored: end,
        rebuild_from: 0,
        floor_ms: i64::MIN,
        state: vec![1, 2, 3],
    };
    WriteBatch { trades: (first..end).map(|n| trade(n, at)).collect(), ..WriteBatch::new(cursor) }
}
