//! Recorded trades through everything into InfluxDB, read back in both its languages.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::feed::{Feed, Play};
use crate::kit::{agree, compare, options};
use anyhow::{Result, ensure};
use tickberry_tests::generate;
use tickberry_tests::harness::{Finished, InfluxStore, SOURCE, TempHome, Up, command, eventually, turn};
use tickberry_tests::oracle::{Sent, Window, Windows, minutes, recorded, same};

/// The recordings, or generated trades of the same shape where they are not there.
fn trades(home: &TempHome) -> (Vec<std::path::PathBuf>, Vec<Sent>) {
    match recorded::files() {
        Some(files) => {
            let sent = files.iter().flat_map(|f| recorded::read(f).expect("a recording reads")).collect();
            (files, sent)
        }
        None => {
            let sent = generate::trades(1, generate::START_MS, 12_000);
            (Feed::files(home, &sent), sent)
        }
    }
}

/// `minute_trades` as Flux tells it.
async fn minutes_in_flux(influx: &InfluxStore) -> Result<Windows> {
    let script = r#"from(bucket: "tickberry") |> range(start: 2000-01-01T00:00:00Z, stop: 2100-01-01T00:00:00Z)
        |> filter(fn: (r) => r._measurement == "minute_trades")
        |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
        |> map(fn: (r) => ({r with start_ns: uint(v: r._time)})) |> drop(columns: ["_start", "_stop", "_time"])"#;
    let window = |row: &BTreeMap<String, String>| {
        let real = |name: &str| -> Result<f64> { Ok(row[name].parse()?) };
        let window = Window::of_row(row["trade_count"].parse()?, real)?;
        Ok(((row["symbol"].clone(), row["start_ns"].parse::<i64>()? / 1_000_000), window))
    };
    influx.flux(script).await?.iter().map(window).collect()
}

async fn audit(home: &TempHome, up: &Up) -> Finished {
    let http = up.options.http.to_string();
    Finished::of(command(home, &["audit", "--http", &http, "--since", "1000d"])).await.unwrap()
}

async fn stored(name: &str, play: Play) {
    let _turn = turn().await;
    let home = TempHome::new(name);
    let influx = InfluxStore::ready(&home, &[]).await.unwrap();
    let (files, sent) = trades(&home);
    let all: Vec<Sent> = (0..=play.copies).flat_map(|_| sent.iter().cloned()).collect();
    let feed = Feed::recorded(files, &play).await;
    let mut up = Up::start(&home, &options(&home, feed.address(), &influx)).await.unwrap();
    let stream = up.all_stored(all.len() as u64 + 1, Duration::from_secs(120)).await.unwrap();
    assert_eq!(stream.store, "influxdb");
    assert!(stream.stored <= stream.committed, "only what is committed is stored: {stream:?}");
    compare(&influx, &all).await.unwrap();
    // The same in Flux, and through our own API against the journal.
    let trades: Vec<_> = influx.trades().await.unwrap();
    let exact = tickberry_tests::oracle::matched(&all, &trades).unwrap();
    same(&minutes(&exact), &minutes_in_flux(&influx).await.unwrap()).unwrap();
    let count = influx.flux(
        r#"from(bucket: "tickberry_trades") |> range(start: 2000-01-01T00:00:00Z, stop: 2100-01-01T00:00:00Z)
        |> filter(fn: (r) => r._measurement == "trades" and r._field == "price") |> group() |> count()"#,
    );
    assert_eq!(count.await.unwrap()[0]["_value"], all.len().to_string());
    assert_eq!(agree(&influx, &up.http).await.unwrap(), all.len());
    let audited = audit(&home, &up).await;
    assert!(audited.code == 0 && audited.out.contains(" 0 differ"), "{audited:?}");
    assert!(!audited.out.contains(" 0 minutes equal"), "{audited:?}");
    // Everything once more from the journal, into the same points.
    let expected = settled(&influx, &mut up).await.unwrap();
    up.stop().await.unwrap();
    influx.delete("tickberry", "tickberry_cursor").await.unwrap();
    let cursors = influx.influxql("tickberry", "SELECT * FROM tickberry_cursor").await.unwrap();
    assert!(cursors.is_empty(), "{cursors:?}");
    let mut up = Up::start(&home, &up.options.clone()).await.unwrap();
    up.all_stored(all.len() as u64 + 1, Duration::from_secs(120)).await.unwrap();
    compare(&influx, &all).await.unwrap();
    let rows = up.http.metric("tickberry_aggregator_store_rows_total").await.unwrap().unwrap_or_default();
    assert!(rows > all.len() as f64, "only {rows} rows were written: it did not begin again");
    eventually(Duration::from_secs(60), "the same again", async || {
        let again = without_gaps(&influx.dump().await?);
        ensure!(again == expected, "{} bytes, then {}", expected.len(), again.len());
        Ok(())
    })
    .await
    .unwrap();
    let refused = up.http.metric("tickberry_aggregator_store_refused_rows_total").await.unwrap();
    assert_eq!(refused, Some(0.0));
    up.stop().await.unwrap();
    let log = up.process.log();
    let token = std::fs::read_to_string(influx.tokens().join("influxdb-token")).unwrap();
    assert!(!log.contains(token.trim()), "the token is in the log");
}

/// A second start is a gap of its own.
fn without_gaps(dump: &str) -> String {
    dump.lines().filter(|line| !line.starts_with("feed_gaps")).collect::<Vec<_>>().join("\n")
}

/// The content when no minute but the newest of a symbol is open any more, and nothing waits.
async fn settled(influx: &InfluxStore, up: &mut Up) -> Result<String> {
    eventually(Duration::from_secs(90), "the minutes are final", async || {
        let open = influx.influxql("tickberry", "SELECT * FROM minute_trades WHERE \"final\" = 0").await?;
        ensure!(open.is_empty(), "{open:?}");
        let stream = up.http.stream(SOURCE).await?;
        ensure!(stream.stored == stream.head, "{stream:?}");
        Ok(without_gaps(&influx.dump().await?))
    })
    .await
}

#[tokio::test]
async fn recorded_trades() {
    stored("influx-path", Play { frame: 10, shuffle: Duration::ZERO, copies: 0 }).await;
}

#[tokio::test]
async fn recorded_trades_shuffled_and_repeated() {
    stored("influx-twice", Play { frame: 30, shuffle: Duration::from_secs(5), copies: 1 }).await;
}
