//! What is kept, by age and by bytes, and that the estimate of bytes is honest.

use std::time::Duration;

use rusqlite::Connection;
use tickberry_store::sqlite::{SqliteConfig, SqliteReader, SqliteWriter};
use tickberry_store::{Cursor, Query, Retention, StoreReader, StoreWriter, TradeRow, WriteBatch};

use crate::kit::{START, batch, content, cursor, file, minute, trade, writer};

fn fill(w: &mut SqliteWriter, trades: u64, step_ms: i64) {
    for first in (0..trades).step_by(1000) {
        let end = (first + 1000).min(trades);
        w.write(&batch(
            end,
            (first..end).map(|o| trade(o, "BINANCE:BTCUSDT", START + o as i64 * step_ms)).collect(),
        ))
        .unwrap();
    }
}

fn run(w: &mut SqliteWriter, watermark_ms: i64) -> u64 {
    let mut trades = 0;
    loop {
        let step = w.retain("finnhub", watermark_ms).unwrap();
        assert!(step.trades <= 4096, "a step is bounded");
        trades += step.trades;
        if !step.more {
            return trades;
        }
    }
}

#[test]
fn trades_go_by_age_in_the_sources_own_time() {
    let directory = tempfile::tempdir().unwrap();
    let retention = Retention { trades: Duration::from_secs(3600), ..Retention::default() };
    let mut w =
        SqliteWriter::open(SqliteConfig { retention, ..SqliteConfig::new(file(&directory)) }).unwrap();
    // 20,000 trades, one a second; the session is years old, which does not matter.
    fill(&mut w, 20_000, 1000);
    let watermark = START + 20_000 * 1000;
    let removed = run(&mut w, watermark);
    let reader = SqliteReader::open(file(&directory)).unwrap();
    let kept = reader.trades(&Query::symbol("BINANCE:BTCUSDT", 100_000)).unwrap();
    assert_eq!(kept.len() as u64 + removed, 20_000);
    assert!(kept[0].time_ms <= watermark - 3_600_000, "nothing younger than the age is gone");
    assert!(kept.len() < 3600 + 2 * 4096, "and little older is left: {}", kept.len());
    assert_eq!(run(&mut w, watermark), 0);
}

#[test]
fn trades_go_by_bytes_and_the_estimate_is_honest() {
    let directory = tempfile::tempdir().unwrap();
    let mut w = writer(&file(&directory));
    fill(&mut w, 100_000, 1);
    let c = Connection::open(file(&directory)).unwrap();
    let used: i64 =
        c.query_row("SELECT sum(pgsize) FROM dbstat WHERE name = 'trades'", [], |r| r.get(0)).unwrap();
    let (bytes, rows): (i64, i64) = c
        .query_row("SELECT sum(bytes), sum(trade_count) FROM _trade_blocks", [], |r| {
            Ok((r.get(0)?, r.get(1)?))
        })
        .unwrap();
    let (measured, estimated) = (used as f64 / 100_000.0, bytes as f64 / rows as f64);
    println!("bytes a trade: {measured:.1} measured, {estimated:.1} estimated");
    assert!((0.9..1.2).contains(&(estimated / measured)), "{measured} {estimated}");
    drop(w);

    let retention = Retention { trades_bytes: 3_000_000, ..Retention::default() };
    let mut w =
        SqliteWriter::open(SqliteConfig { retention, ..SqliteConfig::new(file(&directory)) }).unwrap();
    assert!(run(&mut w, START) > 50_000);
    let left: i64 =
        c.query_row("SELECT sum(pgsize) FROM dbstat WHERE name = 'trades'", [], |r| r.get(0)).unwrap();
    assert!((1_500_000..3_600_000).contains(&left), "{left}");
}

#[test]
fn bytes_of_a_source_that_is_consumed_no_more_go_first() {
    let directory = tempfile::tempdir().unwrap();
    let retention = Retention { trades_bytes: 2_000_000, ..Retention::default() };
    let mut w =
        SqliteWriter::open(SqliteConfig { retention, ..SqliteConfig::new(file(&directory)) }).unwrap();
    let of = |source: &str, first: u64| {
        let trade = |o: u64| TradeRow { source: source.into(), ..trade(o, "A", START + o as i64) };
        let cursor = Cursor { source: source.into(), ..cursor(first + 1000) };
        WriteBatch { trades: (first..first + 1000).map(trade).collect(), ..WriteBatch::new(cursor) }
    };
    for first in (0..40_000).step_by(1000) {
        w.write(&of("before", first)).unwrap();
    }
    for first in (40_000..60_000).step_by(1000) {
        w.write(&of("finnhub", first)).unwrap();
    }
    let removed = run(&mut w, START + 60_000);
    let reader = SqliteReader::open(file(&directory)).unwrap();
    let kept = |source: &str| {
        let query = Query { source: Some(source.into()), ..Query::symbol("A", 100_000) };
        reader.trades(&query).unwrap().len() as u64
    };
    assert_eq!(kept("finnhub"), 20_000, "what is consumed is younger");
    assert_eq!(kept("before"), 40_000 - removed);
    assert!(removed > 20_000, "{removed}");
}

#[test]
fn a_file_far_too_large_shrinks() {
    let directory = tempfile::tempdir().unwrap();
    let mut w = writer(&file(&directory));
    fill(&mut w, 300_000, 1);
    drop(w);
    let pages = || -> i64 {
        let c = Connection::open(file(&directory)).unwrap();
        c.pragma_query_value(None, "page_count", |r| r.get(0)).unwrap()
    };
    let before = pages();
    let retention = Retention { trades_bytes: 1_000_000, ..Retention::default() };
    let mut w =
        SqliteWriter::open(SqliteConfig { retention, ..SqliteConfig::new(file(&directory)) }).unwrap();
    run(&mut w, START);
    assert!(pages() < before - 500, "{before} -> {}", pages());
}

#[test]
fn minutes_days_and_gaps_go_by_age() {
    let directory = tempfile::tempdir().unwrap();
    let retention = Retention { minutes: Duration::from_secs(60 * 100), ..Retention::default() };
    let mut w =
        SqliteWriter::open(SqliteConfig { retention, ..SqliteConfig::new(file(&directory)) }).unwrap();
    let mut b = WriteBatch::new(cursor(1));
    b.minutes = (0..3000).flat_map(|m| ["A", "B"].map(|s| minute(s, START + m * 60_000, 0))).collect();
    w.write(&b).unwrap();
    run(&mut w, START + 3000 * 60_000);
    let rows = content(&file(&directory), &["minute_trades"]);
    assert_eq!(rows[0].1.len(), 200, "the last hundred of each symbol");
}
