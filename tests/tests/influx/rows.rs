//! The store's writer and reader against the real server, row by row: hostile names, numbers at their limits, refusals.

use std::sync::Arc;
use std::time::Duration;

use tickberry_store::influx::{InfluxConfig, InfluxReader, InfluxWriter};
use tickberry_store::{
    Cursor, DayRow, GapRow, LeftOut, MinuteRow, Query, Receipt, StoreReader, StoreWriter, TradeRow,
    WriteBatch,
};
use tickberry_tests::harness::influx_store::{MINUTES, TRADES};
use tickberry_tests::harness::{InfluxStore, TempHome, turn};

const EPOCH: u64 = 1_795_000_000 << 20 | 77;
const AT: i64 = 1_795_000_020_000;

fn config(home: &TempHome, influx: &InfluxStore) -> InfluxConfig {
    let token = std::fs::read_to_string(influx.tokens().join("influxdb-token")).unwrap();
    InfluxConfig {
        url: influx.url(),
        org: "tickberry".into(),
        bucket: TRADES.into(),
        minutes_bucket: MINUTES.into(),
        token: Arc::new(move || Ok(token.trim().into())),
        settle: Duration::from_secs(2),
        refused: home.join("refused.lp"),
    }
}

fn trade(offset: u64, symbol: &str, time_ms: i64) -> TradeRow {
    TradeRow {
        source: "finnhub".into(),
        epoch: EPOCH,
        journal_offset: offset,
        symbol: symbol.into(),
        time_ms,
        price: 61_234.5,
        volume: 0.001,
        conditions: None,
        received_ms: None,
    }
}

fn minute(symbol: &str, start_ms: i64) -> MinuteRow {
    MinuteRow {
        source: "finnhub".into(),
        symbol: symbol.into(),
        start_ms,
        open: 0.1,
        high: f64::MAX,
        low: f64::MIN_POSITIVE,
        close: 5e-324,
        volume: 9_007_199_254_740_993.0,
        trade_count: i64::MAX,
        vwap: 1.0 / 3.0,
        avg_price: 100.0,
        coverage: 1.0,
        revision: 9_007_199_254_740_993,
        final_: 1,
    }
}

fn cursor(stored: u64) -> Cursor {
    // A state as large as that of a thousand symbols.
    Cursor {
        source: "finnhub".into(),
        epoch: EPOCH,
        stored,
        rebuild_from: 3,
        floor_ms: i64::MIN,
        state: vec![0xa5; 100_000],
    }
}

fn all(symbol: &str) -> Query {
    Query::symbol(symbol, 1000)
}

const HOSTILE: [&str; 14] = [
    "BINANCE:BTCUSDT",
    r"\",
    r"a\,b=c d\",
    "a,b=c d",
    "line\nbreak\r\ttab",
    "%5C",
    "%",
    "\"quoted\"",
    "it's",
    "Müller-Łódź 株",
    "#comment",
    "\u{0}\u{7f}\u{85}",
    "=",
    " leading and trailing ",
];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_is_read() {
    let _turn = turn().await;
    let home = TempHome::new("influx-rows");
    let influx = InfluxStore::ready(&home, &[]).await.unwrap();
    let config = config(&home, &influx);
    let mut writer = InfluxWriter::open(config.clone()).unwrap();
    let reader = InfluxReader::new(config).unwrap();
    assert!(reader.series().unwrap().is_empty() && reader.cursors().unwrap().is_empty());
    let mut trades: Vec<TradeRow> = HOSTILE
        .iter()
        .zip(0..)
        .flat_map(|(symbol, n)| [trade(n * 2, symbol, AT), trade(n * 2 + 1, symbol, AT)])
        .collect();
    trades[1].conditions = Some(r#"["1","a\"b\\","\n,= "]"#.into());
    trades[1].received_ms = Some(9_007_199_254_740_993);
    trades[3].price = 9_007_199_254_740_993.0;
    let minutes: Vec<MinuteRow> = HOSTILE.iter().map(|symbol| minute(symbol, AT - 20_000)).collect();
    let day = DayRow {
        source: "finnhub".into(),
        symbol: HOSTILE[2].into(),
        day: "2026-11-18".into(),
        open: 1.0,
        high: 2.0,
        low: 0.5,
        close: 1.5,
        volume: 1e300,
        trade_count: 7,
    };
    let gap = |symbol: &str, start_ms, end_ms, reason: &str| GapRow {
        source: "finnhub".into(),
        symbol: symbol.into(),
        start_ms,
        end_ms,
        reason: reason.into(),
    };
    let gaps = vec![
        gap("*", 0, AT, "start"),
        gap("*", AT, AT + 5, "stall"),
        gap("*", AT, AT + 5, "disconnect"),
        gap(HOSTILE[1], AT, AT + 9, "limit"),
    ];
    let batch = WriteBatch {
        trades: trades.clone(),
        minutes: minutes.clone(),
        days: vec![day.clone()],
        gaps,
        ..WriteBatch::new(cursor(30))
    };
    assert_eq!(writer.write(&batch).unwrap(), Receipt::default());
    assert_eq!(writer.write(&batch).unwrap(), Receipt::default(), "a repetition changes nothing");
    for (i, symbol) in HOSTILE.iter().enumerate() {
        assert_eq!(reader.trades(&all(symbol)).unwrap(), trades[2 * i..2 * i + 2], "{symbol:?}");
        assert_eq!(reader.minutes(&all(symbol)).unwrap(), minutes[i..=i], "{symbol:?}");
    }
    let everything = Query { symbol: None, ..all("") };
    assert_eq!(reader.trades(&everything).unwrap(), trades);
    assert_eq!(reader.series().unwrap().len(), HOSTILE.len());
    assert_eq!(reader.days(&everything).unwrap(), [day]);
    assert_eq!(reader.gaps(&everything).unwrap().len(), 4);
    assert_eq!(reader.gaps(&all(HOSTILE[1])).unwrap().len(), 4);
    for (newest, limit) in [(false, 1), (false, 2), (false, 3), (true, 1), (true, 2), (true, 9)] {
        let mut some = reader.gaps(&everything).unwrap();
        let cut = reader.gaps(&Query { newest, limit, ..everything.clone() }).unwrap();
        if newest {
            some.drain(..some.len().saturating_sub(limit));
        }
        some.truncate(limit);
        assert_eq!(cut, some, "newest {newest}, at most {limit}");
    }
    assert_eq!(reader.gaps(&Query { to_ms: AT, ..everything.clone() }).unwrap().len(), 1, "to is exclusive");
    assert_eq!(reader.gaps(&Query { from_ms: AT + 5, ..all("x") }).unwrap(), []);
    assert_eq!(writer.cursors().unwrap(), [cursor(30)]);
    assert_eq!(reader.cursors().unwrap(), [cursor(30)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_cut_as_in_sqlite() {
    let _turn = turn().await;
    let home = TempHome::new("influx-pages");
    let influx = InfluxStore::ready(&home, &[]).await.unwrap();
    let config = config(&home, &influx);
    let mut writer = InfluxWriter::open(config.clone()).unwrap();
    let reader = InfluxReader::new(config).unwrap();
    // A burst of one millisecond whose slots wrap around the million, between two other trades.
    let first = 999_700;
    let mut trades: Vec<TradeRow> = (0..700).map(|n| trade(first + n, "A", AT)).collect();
    trades.push(trade(first + 700, "A", AT + 1));
    trades.insert(0, trade(first - 1, "A", AT - 1));
    let sorted = |mut rows: Vec<TradeRow>| {
        rows.sort_by_key(|row| (row.time_ms, row.epoch, row.journal_offset));
        rows
    };
    writer.write(&WriteBatch { trades: trades.clone(), ..WriteBatch::new(cursor(first + 701)) }).unwrap();
    let trades = sorted(trades);
    for limit in [1, 2, 300, 701, 702, 1000] {
        let oldest = reader.trades(&Query::symbol("A", limit)).unwrap();
        assert_eq!(oldest, trades[..limit.min(702)], "{limit}");
        let newest = reader.trades(&Query { newest: true, ..Query::symbol("A", limit) }).unwrap();
        assert_eq!(newest, trades[702_usize.saturating_sub(limit)..], "{limit}");
    }
    let between = Query { from_ms: AT, to_ms: AT + 1, ..all("A") };
    assert_eq!(reader.trades(&between).unwrap().len(), 700);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_the_real_server_are_what_they_are_taken_for() {
    let _turn = turn().await;
    let home = TempHome::new("influx-refusals");
    let influx = InfluxStore::ready(&home, &[]).await.unwrap();
    let mut writer = InfluxWriter::open(config(&home, &influx)).unwrap();
    // Older than the bucket keeps anything: ten years. Not sent; and at the edge, where the server judges.
    let now = now_ms();
    let kept = 3650 * 86_400_000;
    let old =
        vec![trade(0, "A", now - kept - 3_600_000), trade(1, "A", now - kept - 30_000), trade(2, "A", now)];
    let batch = WriteBatch { trades: old, ..WriteBatch::new(cursor(3)) };
    assert_eq!(
        writer.write(&batch).unwrap(),
        Receipt { left_out: LeftOut { expired: 2, refused: 0 }, doubled: 0 }
    );
    assert_eq!(influx.trades().await.unwrap().len(), 1);
    // Somebody else has written a field of another type: only that day's line goes aside.
    let line = format!(
        "daily_trades,source=finnhub,symbol=A trade_count=1.5 {}",
        now / 86_400_000 * 86_400_000 * 1_000_000
    );
    assert_eq!(influx.write("influxdb-token", MINUTES, &line).await.unwrap(), 204);
    let day = DayRow {
        source: "finnhub".into(),
        symbol: "A".into(),
        day: tickberry_store::day_text(now),
        open: 1.0,
        high: 1.0,
        low: 1.0,
        close: 1.0,
        volume: 1.0,
        trade_count: 1,
    };
    let minutes = (0..50).map(|n| minute("A", now - n * 60_000)).collect();
    let batch = WriteBatch { minutes, days: vec![day], ..WriteBatch::new(cursor(4)) };
    assert_eq!(
        writer.write(&batch).unwrap(),
        Receipt { left_out: LeftOut { expired: 0, refused: 1 }, doubled: 0 }
    );
    assert_eq!(influx.minutes().await.unwrap().len(), 50);
    let aside = std::fs::read_to_string(home.join("refused.lp")).unwrap();
    assert!(aside.contains("field type conflict") && aside.contains("\ndaily_trades,"), "{aside}");
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}
