//! Frames word for word: the real ones, and every strange one.

use crate::feed::Feed;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::path::Path;
use std::time::Duration;
use tickberry_simulator::Trouble;
use tickberry_tests::harness::{Journal, SOURCE, TempHome, Up, UpOptions, eventually, turn};
use tickberry_tests::oracle::{Sent, exact, minutes, same};
use tickberry_tests::skipped;

/// A feed that sends what the test injects and nothing else, with a running `up` subscribed to `symbols`.
async fn quiet(home: &TempHome, symbols: &str) -> (Feed, Up) {
    let feed = Feed::silent(symbols.split(',')).await;
    let mut options = UpOptions::new(home, feed.address());
    options.symbols = symbols.to_owned();
    let up = Up::start(home, &options).await.unwrap();
    let subscriptions = symbols.split(',').count() as u64;
    let subscribed = feed.control().until(|counts| counts.subscriptions == subscriptions);
    tokio::time::timeout(Duration::from_secs(10), subscribed).await.expect("all symbols are subscribed to");
    (feed, up)
}

/// Sends frames as fast as the simulator takes them.
async fn inject(feed: &Feed, frame: &str) -> Result<()> {
    eventually(Duration::from_secs(10), "room for a frame", async || {
        ensure!(feed.control().inject(frame), "the simulator's queue is full");
        Ok(())
    })
    .await
}

#[derive(Deserialize)]
struct Line {
    frame: String,
}

#[derive(Deserialize)]
struct Frame {
    r#type: String,
    #[serde(default)]
    data: Vec<Raw>,
}

#[derive(Deserialize)]
struct Raw {
    s: String,
    t: i64,
    p: Box<RawValue>,
    v: Box<RawValue>,
}

/// The trades of a frame, texts as they stand in it.
fn trades(frame: &str) -> Result<Vec<Sent>> {
    let frame: Frame = serde_json::from_str(frame).with_context(|| frame.to_owned())?;
    let sent = |raw: Raw| {
        let (price, volume) = (raw.p.get().to_owned(), raw.v.get().to_owned());
        Sent { symbol: raw.s, time_ms: raw.t, price, volume }
    };
    Ok(if frame.r#type == "trade" { frame.data.into_iter().map(sent).collect() } else { Vec::new() })
}

fn real_frames() -> Option<Vec<String>> {
    let folder = std::env::var_os("TB_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), Into::into);
    let path = folder.join("finnhub_real_frames.jsonl");
    let Ok(text) = std::fs::read_to_string(&path) else {
        skipped(&format!("no {}; TB_DATA names its folder", path.display()));
        return None;
    };
    Some(text.lines().map(|line| serde_json::from_str::<Line>(line).unwrap().frame).collect())
}

#[tokio::test]
async fn the_real_frames_come_back_digit_for_digit() {
    let _turn = turn().await;
    let Some(frames) = real_frames() else { return };
    let home = TempHome::new("real-frames");
    // In the order of their times: a trade an hour older than the newest would be too late for its window.
    let mut frames = frames;
    frames.sort_by_key(|frame| trades(frame).unwrap().first().map(|t| t.time_ms));
    let sent: Vec<Sent> = frames.iter().flat_map(|frame| trades(frame).unwrap()).collect();
    assert_eq!((frames.len(), sent.len()), (56, 244));
    let symbols = "AAPL,BINANCE:BTCUSDT,TSLA,XOM,CLOV,BINANCE:ETHUSDT,SPY,GOOG";
    let (feed, mut up) = quiet(&home, symbols).await;
    for frame in &frames {
        inject(&feed, frame).await.unwrap();
    }
    up.all_stored(sent.len() as u64 + 1, Duration::from_secs(30)).await.unwrap();
    let journal = Journal::read(&up.http, SOURCE, 0).await.unwrap();
    assert_eq!(journal.sent(), sent, "each number's text, in the order of sending");
    let database = up.database().unwrap();
    same(&minutes(&journal.exact().unwrap()), &database.minutes().unwrap()).unwrap();
    assert_eq!(database.number("SELECT COUNT(*) FROM trades").unwrap(), 244);
    assert_eq!(feed.connections(), 1);
    up.stop().await.unwrap();
}

/// One strange frame after another on one connection: what can't be read is counted, and the stream goes on.
#[tokio::test]
async fn strange_frames_are_survived() {
    let _turn = turn().await;
    let home = TempHome::new("strange-frames");
    let (feed, mut up) = quiet(&home, "BINANCE:BTCUSDT,BINANCE:ETHUSDT").await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now_ms = now.as_millis() as i64;
    let mut sent = 0;
    for (i, (name, trouble)) in Trouble::frames().into_iter().enumerate() {
        // Larger than any frame may be: the WebSocket itself refuses it, by closing.
        if name == "huge" {
            continue;
        }
        feed.control().trouble(trouble);
        let time_ms = now_ms + i as i64;
        let good = format!(
            r#"{{"data":[{{"c":null,"p":1.5,"s":"BINANCE:BTCUSDT","t":{time_ms},"v":2}}],"type":"trade"}}"#
        );
        inject(&feed, &good).await.unwrap();
        sent += 1;
        let Up { process, http, .. } = &mut up;
        eventually(Duration::from_secs(15), &format!("a good trade after {name}"), async || {
            process.must_live()?;
            let journal = Journal::read(http, SOURCE, 0).await?;
            let there = journal.trades.values().any(|t| t.time_ms == time_ms && t.price == "1.5");
            ensure!(there, "{} trades in the journal", journal.trades.len());
            Ok(())
        })
        .await
        .unwrap();
    }
    assert!(sent > 20);
    assert_eq!(feed.connections(), 1, "no strange frame ends the connection");
    let stream = up.http.stream(SOURCE).await.unwrap();
    up.all_stored(stream.head, Duration::from_secs(20)).await.unwrap();
    let journal = Journal::read(&up.http, SOURCE, 0).await.unwrap();
    same(&minutes(&journal.exact().unwrap()), &up.database().unwrap().minutes().unwrap()).unwrap();
    for text in journal.trades.values().flat_map(|t| [&t.price, &t.volume]) {
        exact(text).unwrap();
    }
    up.stop().await.unwrap();
}

/// Volume 0 moves the last price and counts in no window; an absurd time is stored and opens none.
#[tokio::test]
async fn price_updates_and_absurd_times_open_no_minute() {
    let _turn = turn().await;
    let home = TempHome::new("updates");
    let (feed, mut up) = quiet(&home, "BINANCE:BTCUSDT").await;
    let trade = |t: i64, p: &str, v: &str| {
        format!(r#"{{"data":[{{"c":null,"p":{p},"s":"BINANCE:BTCUSDT","t":{t},"v":{v}}}],"type":"trade"}}"#)
    };
    let base = 1_723_161_255_342;
    for (t, p, v) in [
        (base, "10", "1"),
        (base + 60_000, "11", "0"),
        (base + 1, "12.50", "5e-05"),
        (base + 120_000, "13", "0.0"),
        (946_684_799_999, "14", "1"),
        (7_258_118_400_000, "15", "1"),
        (base + 180_000, "16", "2"),
    ] {
        inject(&feed, &trade(t, p, v)).await.unwrap();
    }
    up.all_stored(8, Duration::from_secs(20)).await.unwrap();
    let journal = Journal::read(&up.http, SOURCE, 0).await.unwrap();
    assert_eq!(journal.trades.len(), 7);
    let database = up.database().unwrap();
    let expected = minutes(&journal.exact().unwrap());
    assert_eq!(expected.len(), 2);
    same(&expected, &database.minutes().unwrap()).unwrap();
    let absurd = "SELECT COUNT(*) FROM trades WHERE time_ms IN (946684799999, 7258118400000)";
    assert_eq!(database.number(absurd).unwrap(), 2);
    let last = up.http.json("/api/v1/status").await.unwrap();
    assert!(last["feeds"][0]["source"] == SOURCE, "{last}");
    up.stop().await.unwrap();
}
