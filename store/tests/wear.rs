//! What a trade costs the card: bytes this process hands to the operating system, log and checkpoints included.
//! A binary of its own, because the kernel counts by process.

#![expect(clippy::unwrap_used, reason = "clippy exempts test functions only, not the helpers they share")]

use tickberry_store::sqlite::{SqliteConfig, SqliteWriter};
use tickberry_store::{Cursor, DayRow, MinuteRow, StoreWriter, TradeRow, WriteBatch};

const START: i64 = 1_795_000_020_000;
const SYMBOLS: [&str; 2] = ["BINANCE:BTCUSDT", "BINANCE:ETHUSDT"];
const PER_SECOND: u64 = 33;

fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    io.lines().find_map(|l| l.strip_prefix("wchar: ")).unwrap().parse().unwrap()
}

/// One commit: the trades of `seconds`, the open minute and the day of both symbols, the cursor.
fn commit(second: u64, seconds: u64) -> WriteBatch {
    let (first, end) = (second * PER_SECOND, (second + seconds) * PER_SECOND);
    let now = START + second as i64 * 1000;
    let symbol = |o: u64| SYMBOLS[(o % 2) as usize].into();
    let trades = (first..end).map(|o| TradeRow {
        source: "finnhub".into(),
        epoch: 1_795_000_000 << 20,
        journal_offset: o,
        symbol: symbol(o),
        time_ms: now + (o % 997) as i64,
        price: 61_234.56 + o as f64 / 100.0,
        volume: 0.00123,
        conditions: None,
        received_ms: Some(now + 1040),
    });
    let price = 61_234.56 + second as f64;
    let minutes = (0..2).map(|s| MinuteRow {
        source: "finnhub".into(),
        symbol: symbol(s),
        start_ms: now - now.rem_euclid(60_000),
        open: 61_234.5,
        high: price,
        low: 61_000.25,
        close: price,
        volume: second as f64 / 7.0,
        trade_count: second as i64,
        vwap: price / 1.1,
        avg_price: price / 1.2,
        coverage: 1.0,
        revision: 0,
        final_: 0,
    });
    let days = (0..2).map(|s| DayRow {
        source: "finnhub".into(),
        symbol: symbol(s),
        day: "2026-11-18".into(),
        open: 1.0,
        high: price,
        low: 1.0,
        close: price,
        volume: price * 3.0,
        trade_count: second as i64,
    });
    WriteBatch {
        trades: trades.collect(),
        minutes: minutes.collect(),
        days: days.collect(),
        ..WriteBatch::new(Cursor {
            source: "finnhub".into(),
            epoch: 1_795_000_000 << 20,
            stored: end,
            rebuild_from: first,
            floor_ms: START,
            // What the fold of two symbols needs, which changes each time.
            state: vec![second as u8; 400],
        })
    }
}

fn bytes_a_trade(seconds: u64) -> f64 {
    let directory = tempfile::tempdir().unwrap();
    let mut w = SqliteWriter::open(SqliteConfig::new(directory.path().join("s"))).unwrap();
    // A history first, so that the tables are not all in one page.
    let mut history = commit(0, 1);
    history.minutes = (1..3000)
        .flat_map(|m| {
            commit(0, 1).minutes.into_iter().map(move |r| MinuteRow { start_ms: START - m * 60_000, ..r })
        })
        .collect();
    w.write(&history).unwrap();
    let before = written();
    let total = 3600;
    for second in (1..=total).step_by(seconds as usize) {
        w.write(&commit(second, seconds)).unwrap();
    }
    drop(w);
    (written() - before) as f64 / (total * PER_SECOND) as f64
}

#[test]
fn bytes_written_a_trade() {
    let at = [1, 10, 60].map(bytes_a_trade);
    println!("bytes a trade: a commit each 1 s {:.0}, 10 s {:.0}, 60 s {:.0}", at[0], at[1], at[2]);
    assert!(at[0] < 720.0 && at[1] < 280.0 && at[2] < 240.0, "{at:?}");
}
