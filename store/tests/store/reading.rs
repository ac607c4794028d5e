//! Queries against a scan of what was written.

use proptest::prelude::*;
use tickberry_store::sqlite::SqliteReader;
use tickberry_store::{GapRow, Query, StoreReader, StoreWriter, TradeRow, WriteBatch};

use crate::kit::{EPOCH, START, batch, cursor, file, minute, trade, writer};

/// Three epochs, blocks of offsets crossed, times out of order, two symbols.
fn trades() -> Vec<TradeRow> {
    (0..9_000_u64)
        .map(|o| {
            let jitter = (o as i64 * 7919) % 5000;
            let epoch = EPOCH + if o < 5000 { 9 } else { 0 } + u64::from(o >= 8800);
            TradeRow { epoch, ..trade(o, ["A", "B"][(o % 3 == 0) as usize], START + o as i64 * 30 - jitter) }
        })
        .collect()
}

fn filled(directory: &tempfile::TempDir) -> SqliteReader {
    let mut w = writer(&file(directory));
    for (i, chunk) in trades().chunks(331).enumerate() {
        if i % 7 == 3 {
            w = writer(&file(directory));
        }
        w.write(&batch(chunk[0].journal_offset, chunk.to_vec())).unwrap();
    }
    SqliteReader::open(file(directory)).unwrap()
}

#[test]
fn trades_of_a_range_are_those_a_scan_finds() {
    let directory = tempfile::tempdir().unwrap();
    let (reader, all) = (filled(&directory), trades());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(200));
    let range = (-10_000_i64..300_000, 0_i64..200_000, 1_usize..3000, any::<bool>(), 0_usize..3);
    runner
        .run(&range, |(from, length, limit, newest, which)| {
            let query = Query {
                source: None,
                symbol: [Some("A".to_owned()), Some("B".to_owned()), None][which].clone(),
                from_ms: START + from,
                to_ms: START + from + length,
                limit,
                newest,
            };
            let mut expected: Vec<TradeRow> = all
                .iter()
                .filter(|t| query.symbol.as_deref().is_none_or(|s| s == &*t.symbol))
                .filter(|t| (query.from_ms..query.to_ms).contains(&t.time_ms))
                .cloned()
                .collect();
            expected.sort_by_key(|t| (t.time_ms, t.epoch, t.journal_offset));
            if newest {
                expected.drain(..expected.len().saturating_sub(limit));
            }
            expected.truncate(limit);
            prop_assert_eq!(reader.trades(&query).unwrap(), expected);
            Ok(())
        })
        .unwrap();
}

#[test]
fn the_extremes_of_time_are_a_range_too() {
    let directory = tempfile::tempdir().unwrap();
    let reader = filled(&directory);
    assert_eq!(reader.trades(&Query { symbol: None, ..Query::symbol("", 100_000) }).unwrap().len(), 9000);
    assert_eq!(reader.trades(&Query::symbol("nothing", 10)).unwrap(), []);
    assert_eq!(reader.days(&Query::symbol("A", 10)).unwrap(), []);
}

#[test]
fn minutes_come_merged_in_time() {
    let directory = tempfile::tempdir().unwrap();
    let mut w = writer(&file(&directory));
    let mut b = WriteBatch::new(cursor(1));
    b.minutes = (0..10).flat_map(|m| ["B", "A"].map(|s| minute(s, START + m * 60_000, 0))).collect();
    w.write(&b).unwrap();
    let reader = SqliteReader::open(file(&directory)).unwrap();
    let of = |symbol: Option<&str>, from: i64, to: i64, limit, newest| {
        let query = Query {
            source: Some("finnhub".into()),
            symbol: symbol.map(str::to_owned),
            from_ms: START + from * 60_000,
            to_ms: START + to * 60_000,
            limit,
            newest,
        };
        let rows = reader.minutes(&query).unwrap();
        rows.iter()
            .map(|m| format!("{}{}", m.symbol, (m.start_ms - START) / 60_000))
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(of(None, 0, 2, 9, false), "A0 B0 A1 B1");
    assert_eq!(of(Some("A"), 0, 10, 3, true), "A7 A8 A9");
    assert_eq!(of(Some("A"), 2, 4, 9, false), "A2 A3");
    assert_eq!(of(None, 0, 10, 3, true), "B8 A9 B9");
    let series = reader.series().unwrap();
    assert_eq!(series.iter().map(|s| &*s.symbol).collect::<Vec<_>>(), ["A", "B"]);
    assert_eq!((series[0].first_ms, series[0].last_ms), (START, START + 9 * 60_000));
}

#[test]
fn gaps_that_overlap_the_range_count() {
    let directory = tempfile::tempdir().unwrap();
    let mut w = writer(&file(&directory));
    let gap = |symbol: &str, from: i64, to: i64| GapRow {
        source: "finnhub".into(),
        symbol: symbol.into(),
        start_ms: START + from,
        end_ms: START + to,
        reason: "stall".into(),
    };
    let mut b = WriteBatch::new(cursor(1));
    b.gaps = vec![gap("*", 0, 10), gap("A", 10, 20), gap("B", 15, 40)];
    w.write(&b).unwrap();
    let reader = SqliteReader::open(file(&directory)).unwrap();
    let of = |symbol: &str, from: i64, to: i64| {
        let query = Query { from_ms: START + from, to_ms: START + to, ..Query::symbol(symbol, 9) };
        reader.gaps(&query).unwrap().iter().map(|g| g.start_ms - START).collect::<Vec<_>>()
    };
    assert_eq!(of("A", 0, 100), [0, 10]);
    assert_eq!(of("A", 10, 11), [10]);
    assert_eq!(of("B", 9, 15), [0]);
    assert_eq!(of("B", 39, 40), [15]);
}
