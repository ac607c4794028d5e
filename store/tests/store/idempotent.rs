//! Any replay of batches leaves the content of the plain run.

use proptest::prelude::*;
use tickberry_store::{DayRow, GapRow, MinuteRow, StoreReader, StoreWriter, TradeRow, WriteBatch};

use crate::kit::{EPOCH, START, content, cursor, file, minute, trade, writer};

const ALL: [&str; 5] = ["trades", "minute_trades", "daily_trades", "feed_gaps", "_cursor"];

#[test]
fn a_batch_is_there_whole_and_comes_back_as_it_went_in() {
    let directory = tempfile::tempdir().unwrap();
    let mut w = writer(&file(&directory));
    let mut batch = WriteBatch::new(cursor(3));
    batch.trades = (0..3).map(|i| trade(i, "BINANCE:BTCUSDT", START + i as i64)).collect();
    batch.trades[1].volume = 0.0;
    batch.minutes = vec![minute("BINANCE:BTCUSDT", START, 0)];
    batch.days = vec![DayRow {
        source: "finnhub".into(),
        symbol: "BINANCE:BTCUSDT".into(),
        day: "2026-11-18".into(),
        open: 1.0,
        high: 2.0,
        low: 0.5,
        close: 1.5,
        volume: 0.1 + 0.2,
        trade_count: 2,
    }];
    batch.gaps = vec![GapRow {
        source: "finnhub".into(),
        symbol: "*".into(),
        start_ms: START - 9,
        end_ms: START,
        reason: "start".into(),
    }];
    w.write(&batch).unwrap();
    assert_eq!(w.cursors().unwrap(), [batch.cursor.clone()]);

    let r = tickberry_store::sqlite::SqliteReader::open(file(&directory)).unwrap();
    let all = tickberry_store::Query::symbol("BINANCE:BTCUSDT", 100);
    assert_eq!(r.trades(&all).unwrap(), batch.trades);
    assert_eq!(r.minutes(&all).unwrap(), batch.minutes);
    assert_eq!(r.days(&all).unwrap(), batch.days);
    assert_eq!(r.gaps(&all).unwrap(), batch.gaps);
    assert_eq!(r.cursors().unwrap(), [batch.cursor]);
}

/// A history: batch after batch, each with the trades of its offsets and some minutes changed once more.
fn history() -> impl Strategy<Value = Vec<WriteBatch>> {
    prop::collection::vec((0_usize..40, prop::collection::vec(0_i64..6, 0..4)), 1..12).prop_map(|sizes| {
        let (mut next, mut revision) = (4080_u64, 0);
        sizes
            .into_iter()
            .map(|(count, minutes)| {
                let first = next;
                next += count as u64;
                let trades: Vec<TradeRow> =
                    (first..next).map(|o| trade(o, ["A", "B"][o as usize % 2], START + o as i64)).collect();
                let minutes: Vec<MinuteRow> = minutes
                    .into_iter()
                    .map(|m| {
                        revision += 1;
                        minute("A", START + m * 60_000, revision)
                    })
                    .collect();
                WriteBatch { trades, minutes, ..WriteBatch::new(cursor(next)) }
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// After each batch, go back some batches (as after a failure) and write them again, perhaps after a restart.
    #[test]
    fn replays_change_nothing(history in history(), back in prop::collection::vec((0_usize..5, any::<bool>()), 12)) {
        let directory = tempfile::tempdir().unwrap();
        let plain = directory.path().join("plain");
        let replayed = directory.path().join("replayed");
        let mut w = writer(&plain);
        for b in &history {
            w.write(b).unwrap();
        }
        drop(w);

        let mut w = writer(&replayed);
        for (i, batch) in history.iter().enumerate() {
            w.write(batch).unwrap();
            let (back, restart) = back[i];
            if restart {
                drop(w);
                w = writer(&replayed);
            }
            for again in &history[i.saturating_sub(back)..=i] {
                w.write(again).unwrap();
            }
        }
        drop(w);
        prop_assert_eq!(content(&plain, &ALL), content(&replayed, &ALL));
    }
}

#[test]
fn nothing_is_deduplicated_by_value() {
    let directory = tempfile::tempdir().unwrap();
    let mut w = writer(&file(&directory));
    let mut batch = WriteBatch::new(cursor(735));
    batch.trades = (0..735).map(|o| TradeRow { price: 1.0, ..trade(o, "A", START) }).collect();
    w.write(&batch).unwrap();
    let other_epoch: Vec<TradeRow> =
        batch.trades.iter().map(|t| TradeRow { epoch: EPOCH + 1, ..t.clone() }).collect();
    w.write(&WriteBatch { trades: other_epoch, ..WriteBatch::new(cursor(735)) }).unwrap();
    assert_eq!(content(&file(&directory), &["trades"])[0].1.len(), 1470);
}
