//! Trades in, windows out: every number in the store against the oracle.

use crate::feed::{Feed, Play};
use anyhow::{Context, Result, ensure};
use std::path::PathBuf;
use std::time::Duration;
use tickberry_tests::generate;
use tickberry_tests::harness::{Database, SOURCE, TempHome, Up, UpOptions, eventually, turn};
use tickberry_tests::oracle::{Sent, days, matched, minutes, recorded, same};

const MINUTE_MS: i64 = 60_000;

/// The recordings, both symbols; None where they are not there.
fn recordings() -> Option<(Vec<PathBuf>, Vec<Sent>)> {
    let files = recorded::files()?;
    let sent: Vec<Sent> = files.iter().flat_map(|f| recorded::read(f).expect("a recording reads")).collect();
    assert_eq!(sent.len(), recorded::TRADES);
    Some((files, sent))
}

/// Generated trades as recordings in `home`.
fn generated(home: &TempHome, seed: u64, count: usize) -> (Vec<PathBuf>, Vec<Sent>) {
    let sent = generate::trades(seed, generate::START_MS, count);
    (Feed::files(home, &sent), sent)
}

/// Streams `sent` as `play` says through a real `up` and compares every table.
async fn stored(home: &TempHome, files: Vec<PathBuf>, sent: &[Sent], play: Play) {
    let copies = 1 + play.copies as usize;
    let all: Vec<Sent> = (0..copies).flat_map(|_| sent.iter().cloned()).collect();
    let (frame, shuffle) = (play.frame, play.shuffle);
    let feed = Feed::recorded(files, &play).await;
    let mut up = Up::start(home, &UpOptions::new(home, feed.address())).await.unwrap();
    let stream = up.all_stored(all.len() as u64 + 1, Duration::from_secs(120)).await.unwrap();
    assert!(stream.stored <= stream.committed, "only what is committed is stored: {stream:?}");
    let database = up.database().unwrap();
    compare(&database, &all)
        .unwrap_or_else(|e| panic!("frames of {frame}, shuffled by {shuffle:?}, {copies} times: {e}"));
    closed(&mut up, &database).await.unwrap();
    compare(&database, &all).unwrap_or_else(|e| panic!("after the minutes were final: {e}"));
    if shuffle.is_zero() && copies == 1 {
        in_order(&database, sent).unwrap();
        undisturbed(&database).unwrap();
    }
    // Of frames of 500, too few end within the three seconds that count.
    if !shuffle.is_zero() && copies == 1 && frame < 100 {
        let revised = database.minute_rows().unwrap().iter().filter(|m| m.revision > 0).count();
        assert!(revised > 0, "5 s of disorder with 2 s of allowed lateness must revise a minute");
    }
    if copies > 1 {
        let suspected = up.http.metric("tickberry_gateway_suspected_copies_total").await.unwrap();
        assert!(suspected >= Some(sent.len() as f64), "suspected copies: {suspected:?}");
    }
    assert_eq!(feed.connections(), 1, "one connection was enough");
    up.stop().await.unwrap();
    let log = up.process.log();
    assert!(!log.contains(tickberry_tests::harness::TOKEN), "the token is in the log");
}

/// `trades`, `minute_trades` and `daily_trades` against the oracle.
fn compare(database: &Database, sent: &[Sent]) -> Result<()> {
    let rows = database.trades()?;
    let trades = matched(sent, &rows).map_err(anyhow::Error::msg).context("the table trades")?;
    same(&minutes(&trades), &database.minutes()?).map_err(anyhow::Error::msg).context("minute_trades")?;
    let days = days(&trades);
    same(&days, &database.days(&days)?).map_err(anyhow::Error::msg).context("daily_trades")
}

/// All minutes but each symbol's newest become final, although nothing more is sent.
async fn closed(up: &mut Up, database: &Database) -> Result<()> {
    eventually(Duration::from_secs(20), "the older minutes are final", async || {
        up.process.must_live()?;
        let rows = database.minute_rows()?;
        let newest = rows.iter().map(|m| m.start_ms).max().context("no minutes")?;
        let open: Vec<_> = rows.iter().filter(|m| m.start_ms < newest && m.is_final != 1).collect();
        ensure!(open.is_empty(), "{open:?}");
        Ok(())
    })
    .await?;
    let stream = up.http.stream(SOURCE).await?;
    up.all_stored(stream.head, Duration::from_secs(20)).await.map(drop)
}

/// Undisturbed, each symbol's trades are counted in the order in which they were sent.
fn in_order(database: &Database, sent: &[Sent]) -> Result<()> {
    let rows = database.trades()?;
    for symbol in generate::SYMBOLS {
        let times = rows.iter().filter(|r| r.symbol == symbol).map(|r| (r.time_ms, r.price.to_bits()));
        let want = sent.iter().filter(|s| s.symbol == symbol);
        let want = want.map(|s| (s.time_ms, s.price.parse::<f64>().map_or(0, f64::to_bits)));
        ensure!(times.eq(want), "{symbol}: not in the order of sending");
    }
    Ok(())
}

/// Undisturbed, no minute is revised and those inside the session are covered completely.
fn undisturbed(database: &Database) -> Result<()> {
    let rows = database.minute_rows()?;
    let (first, last) = (rows.iter().map(|m| m.start_ms).min(), rows.iter().map(|m| m.start_ms).max());
    for m in &rows {
        ensure!(m.revision == 0, "{m:?} was revised");
        ensure!((0.0..=1.0).contains(&m.coverage), "{m:?}");
        ensure!(m.start_ms % MINUTE_MS == 0, "{m:?}");
        if Some(m.start_ms) != first && Some(m.start_ms) != last {
            ensure!(m.coverage == 1.0, "{m:?}");
        }
    }
    let sources = database.number("SELECT COUNT(*) FROM minute_trades WHERE source <> 'finnhub'")?;
    ensure!(sources == 0, "{sources} minutes of another source");
    Ok(())
}

async fn recorded_at(name: &str, play: Play) {
    let _turn = turn().await;
    let Some((files, sent)) = recordings() else { return };
    stored(&TempHome::new(name), files, &sent, play).await;
}

async fn generated_at(name: &str, play: Play) {
    let _turn = turn().await;
    let home = TempHome::new(name);
    let (files, sent) = generated(&home, play.frame as u64, 12_000);
    stored(&home, files, &sent, play).await;
}

const SHUFFLED: Duration = Duration::from_secs(5);

macro_rules! cases {
    ($($name:ident: $run:ident($frame:literal, $shuffle:expr, $copies:literal);)+) => {$(
        #[tokio::test]
        async fn $name() {
            let play = Play { frame: $frame, shuffle: $shuffle, copies: $copies };
            $run(stringify!($name), play).await;
        }
    )+};
}

cases! {
    recorded_frames_of_1: recorded_at(1, Duration::ZERO, 0);
    recorded_frames_of_10: recorded_at(10, Duration::ZERO, 0);
    recorded_frames_of_30: recorded_at(30, Duration::ZERO, 0);
    recorded_frames_of_500: recorded_at(500, Duration::ZERO, 0);
    recorded_frames_of_1_shuffled: recorded_at(1, SHUFFLED, 0);
    recorded_frames_of_10_shuffled: recorded_at(10, SHUFFLED, 0);
    recorded_frames_of_30_shuffled: recorded_at(30, SHUFFLED, 0);
    recorded_frames_of_500_shuffled: recorded_at(500, SHUFFLED, 0);
    recorded_frames_of_1_repeated: recorded_at(1, Duration::ZERO, 1);
    recorded_frames_of_10_repeated: recorded_at(10, Duration::ZERO, 1);
    recorded_frames_of_30_repeated: recorded_at(30, Duration::ZERO, 2);
    recorded_frames_of_500_repeated: recorded_at(500, Duration::ZERO, 1);
    recorded_frames_of_10_shuffled_and_repeated: recorded_at(10, SHUFFLED, 1);
    recorded_frames_of_500_shuffled_and_repeated: recorded_at(500, SHUFFLED, 1);
    generated_frames_of_10: generated_at(10, Duration::ZERO, 0);
    generated_frames_of_1_shuffled: generated_at(1, SHUFFLED, 0);
    generated_frames_of_30_repeated: generated_at(30, Duration::ZERO, 1);
    generated_frames_of_500_shuffled_and_repeated: generated_at(500, SHUFFLED, 1);
}

/// Programs wait for `stored == head`: it must come true soon after the last trade.
#[tokio::test]
async fn all_is_in_is_said() {
    let _turn = turn().await;
    let home = TempHome::new("all-in");
    let (files, sent) = generated(&home, 71, 2_000);
    let feed = Feed::recorded(files, &Play { frame: 10, shuffle: Duration::ZERO, copies: 0 }).await;
    let mut up = Up::start(&home, &UpOptions::new(&home, feed.address())).await.unwrap();
    let trades = sent.len() as u64;
    let Up { process, http, .. } = &mut up;
    eventually(Duration::from_secs(10), "stored == head", async || {
        process.must_live()?;
        let stream = http.stream(SOURCE).await?;
        ensure!(stream.head > trades && stream.stored == stream.head, "{stream:?}");
        Ok(())
    })
    .await
    .unwrap();
    up.stop().await.unwrap();
}
