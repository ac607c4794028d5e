//! The other commands, and the API, against a running `up`: all of them say what the database says.

use crate::feed::{Feed, Play};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;
use tickberry_tests::generate;
use tickberry_tests::harness::{Finished, SOURCE, TempHome, Up, UpOptions, command, eventually, turn};
use tickberry_tests::skipped;
use tokio::process::Command;

/// An `up` that has stored a recording which ends now, and the number of its trades.
async fn filled(home: &TempHome, count: usize) -> (Feed, Up) {
    let sent = generate::trades(41, generate::START_MS, count);
    let feed = Feed::recorded_now(Feed::files(home, &sent)).await;
    let mut up = Up::start(home, &UpOptions::new(home, feed.address())).await.unwrap();
    up.all_stored(count as u64 + 1, Duration::from_secs(60)).await.unwrap();
    (feed, up)
}

#[tokio::test]
async fn the_api_gives_what_is_stored_as_json_and_as_csv() {
    let _turn = turn().await;
    let home = TempHome::new("api");
    let (_feed, mut up) = filled(&home, 6_000).await;
    let database = up.database().unwrap();
    let symbol = generate::SYMBOLS[0];
    let stored = database.minutes().unwrap();
    let stored: Vec<_> = stored.iter().filter(|((name, _), _)| name == symbol).collect();
    let (from, to) = (stored[0].0.1, stored[stored.len() - 1].0.1 + 60_000);

    let path = format!("/api/v1/minutes?symbol={symbol}&from={from}&to={to}");
    let rows = up.http.json(&format!("{path}&format=json")).await.unwrap();
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), stored.len());
    for (row, ((_, start), w)) in rows.iter().zip(&stored) {
        let real = |column: &str| row[column].as_f64().unwrap().to_bits();
        assert_eq!(row["start_ms"].as_i64(), Some(*start));
        assert_eq!(row["trade_count"].as_i64(), Some(w.trade_count));
        let reals =
            [("open", w.open), ("high", w.high), ("low", w.low), ("close", w.close), ("volume", w.volume)];
        for (column, want) in reals.into_iter().chain([("vwap", w.vwap), ("avg_price", w.avg_price)]) {
            assert_eq!(real(column), want.to_bits(), "{column} of {row}");
        }
    }
    let csv = up.http.text(&format!("{path}&format=csv")).await.unwrap();
    let mut lines = csv.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let volume = header.iter().position(|name| *name == "volume").unwrap();
    let volumes: Vec<f64> = lines.map(|line| line.split(',').nth(volume).unwrap().parse().unwrap()).collect();
    assert_eq!(volumes, stored.iter().map(|(_, w)| w.volume).collect::<Vec<_>>());

    // from is in, to is out.
    let one = format!("/api/v1/minutes?symbol={symbol}&from={from}&to={}", from + 60_000);
    assert_eq!(up.http.json(&one).await.unwrap().as_array().unwrap().len(), 1);
    let none =
        up.http.json(&format!("/api/v1/minutes?symbol={symbol}&from={to}&to={}", to + 1)).await.unwrap();
    assert_eq!(none.as_array().unwrap().len(), 0);

    let path = format!("/api/v1/trades?symbol={symbol}&from={from}&to={to}");
    let trades = up.http.json(&path).await.unwrap();
    let rows = database.trades().unwrap();
    let stored: Vec<(i64, f64)> =
        rows.iter().filter(|r| r.symbol == symbol).map(|r| (r.offset, r.price)).collect();
    let mut got: Vec<(i64, f64)> = trades
        .as_array()
        .unwrap()
        .iter()
        .map(|t| (t["journal_offset"].as_i64().unwrap(), t["price"].as_f64().unwrap()))
        .collect();
    got.sort_by_key(|(offset, _)| *offset);
    assert_eq!(got, stored);

    for bad in ["minutes", "minutes?symbol=X&from=yesterday", "trades?symbol=X&format=xml", "minutes?symbl=X"]
    {
        let (code, body) = up.http.get(&format!("/api/v1/{bad}")).await.unwrap();
        assert!(
            code == 400 || code == 200 && bad == "minutes",
            "{bad}: {code} {}",
            String::from_utf8_lossy(&body)
        );
    }
    up.stop().await.unwrap();
}

#[tokio::test]
async fn status_tells_by_its_exit_code() {
    let _turn = turn().await;
    let home = TempHome::new("status");
    let feed = Feed::generated(5.0).await;
    let mut up = Up::start(&home, &UpOptions::new(&home, feed.address())).await.unwrap();
    let at = up.options.http.to_string();
    eventually(Duration::from_secs(20), "healthy", async || {
        let finished = Finished::of(command(&home, &["status", "--http", &at])).await?;
        ensure!(finished.code == 0 && finished.out.contains(SOURCE), "{finished:?}");
        Ok(())
    })
    .await
    .unwrap();
    feed.silence();
    eventually(Duration::from_secs(20), "degraded", async || {
        let finished = Finished::of(command(&home, &["status", "--http", &at])).await?;
        ensure!(finished.code == 1, "{finished:?}");
        Ok(())
    })
    .await
    .unwrap();
    up.stop().await.unwrap();
    let finished = Finished::of(command(&home, &["status", "--http", &at])).await.unwrap();
    assert_eq!(finished.code, 69, "{finished:?}");
}

#[tokio::test]
async fn audit_finds_the_store_equal_and_a_changed_row() {
    let _turn = turn().await;
    let home = TempHome::new("audit");
    let (_feed, mut up) = filled(&home, 6_000).await;
    let at = up.options.http.to_string();
    let audit = || command(&home, &["audit", "--since", "24h", "--http", &at]);
    let mut finished = Finished::of(audit()).await.unwrap();
    assert_eq!(finished.code, 0, "{finished:?}");
    assert!(finished.out.contains("equal") && finished.out.contains("0 differ"), "{finished:?}");
    assert!(finished.out.contains(": 6000 trades, 0 lost, 0 doubled"), "{finished:?}");
    let writer = rusqlite::Connection::open(up.options.data_dir.join("tickberry.sqlite3")).unwrap();
    writer.busy_timeout(Duration::from_secs(10)).unwrap();
    let sql = "UPDATE minute_trades SET volume = volume * 1.0000001 WHERE start_ms = (SELECT MIN(start_ms) FROM minute_trades) + 60000";
    assert!(writer.execute(sql, []).unwrap() >= 1);
    finished = Finished::of(audit()).await.unwrap();
    assert_eq!(finished.code, 1, "{finished:?}");
    assert!(!finished.out.contains(" 0 differ"), "{finished:?}");
    assert!(finished.out.contains(" 0 lost, 0 doubled"), "{finished:?}");
    let lose = "DELETE FROM trades WHERE journal_offset IN (700, 5000)";
    let double = "INSERT INTO trades SELECT source, epoch + 1, journal_offset, symbol, time_ms, price, volume, \
                  conditions, received_ms FROM trades WHERE journal_offset = 3000";
    for sql in [lose, double] {
        assert!(writer.execute(sql, []).unwrap() >= 1);
    }
    finished = Finished::of(audit()).await.unwrap();
    assert!(finished.code == 1 && finished.out.contains(" 2 lost, 1 doubled"), "{finished:?}");
    up.stop().await.unwrap();
}

/// With other settings the minutes have other revisions: an audit goes by the same settings as the aggregator.
#[tokio::test]
async fn audit_goes_by_the_configured_lateness() {
    let _turn = turn().await;
    let home = TempHome::new("audit-lateness");
    let sent = generate::trades(43, generate::START_MS, 6_000);
    let play = Play { frame: 10, shuffle: Duration::from_secs(5), copies: 0 };
    let feed = Feed::recorded(Feed::files(&home, &sent), &play).await;
    let mut options = UpOptions::new(&home, feed.address());
    let lateness =
        ["GATEWAY", "AGGREGATOR"].map(|role| (format!("TICKBERRY_{role}__LATENESS"), "10s".to_owned()));
    options.environment.extend(lateness.clone());
    let mut up = Up::start(&home, &options).await.unwrap();
    up.all_stored(sent.len() as u64 + 1, Duration::from_secs(60)).await.unwrap();
    let at = up.options.http.to_string();
    let audit = || command(&home, &["audit", "--http", &at]);
    let mut as_configured = audit();
    as_configured.envs(lateness);
    let finished = Finished::of(as_configured).await.unwrap();
    assert!(finished.code == 0 && finished.out.contains(" 0 differ"), "{finished:?}");
    let finished = Finished::of(audit()).await.unwrap();
    assert!(
        finished.code == 1 && !finished.out.contains(" 0 differ"),
        "the settings make no difference: {finished:?}"
    );
    up.stop().await.unwrap();
}

/// The (identity, text) pairs of JSON lines of trades.
fn identities(lines: &str) -> Result<Vec<(i64, i64, String)>> {
    let parse = |line: &str| -> Result<(i64, i64, String)> {
        let value: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        let number = |key: &str| value[key].as_i64().with_context(|| format!("{key} of {line}"));
        Ok((number("epoch")?, number("journal_offset")?, line.to_owned()))
    };
    lines.lines().map(parse).collect()
}

#[tokio::test]
async fn tap_and_mosquitto_sub_show_the_same() {
    let _turn = turn().await;
    let home = TempHome::new("tap");
    let feed = Feed::generated(10.0).await;
    let mut up = Up::start(&home, &UpOptions::new(&home, feed.address())).await.unwrap();
    let at = up.options.mqtt.to_string();
    let tap = |format: &str| {
        command(&home, &["tap", "trades", "--format", format, "--count", "200", "--mqtt", &at])
    };
    let (json, csv) = (Finished::of(tap("json")), Finished::of(tap("csv")));
    let plain = async {
        if !Path::new("/usr/bin/mosquitto_sub").is_file() {
            skipped("no mosquitto_sub; apt-get install mosquitto-clients");
            return None;
        }
        let mut command = Command::new("/usr/bin/mosquitto_sub");
        let (host, port) = (up.options.mqtt.ip().to_string(), up.options.mqtt.port().to_string());
        command
            .args(["-h", &host, "-p", &port, "-t", "tickberry/v1/trades/#", "-C", "200"])
            .kill_on_drop(true);
        Some(Finished::of(command).await.unwrap())
    };
    let (json, csv, plain) = tokio::join!(json, csv, plain);
    let (json, csv) = (json.unwrap(), csv.unwrap());
    assert_eq!((json.code, csv.code), (0, 0), "{} {}", json.err, csv.err);
    assert_eq!(csv.out.lines().count(), 201, "a line of names and 200 trades");
    assert!(
        csv.out.starts_with("kind,source,epoch,journal_offset,symbol,time_ms,price,volume"),
        "{}",
        &csv.out[..100]
    );
    let lines = identities(&json.out).unwrap();
    assert_eq!(lines.len(), 200);
    if let Some(plain) = plain {
        assert_eq!(plain.code, 0, "{}", plain.err);
        let others = identities(&plain.out).unwrap();
        let both: Vec<_> = lines.iter().filter(|l| others.iter().any(|o| (o.0, o.1) == (l.0, l.1))).collect();
        assert!(
            both.len() > 20,
            "they listened at the same time, but only {} trades are in both",
            both.len()
        );
        assert!(both.iter().all(|line| others.contains(line)), "the same line for the same trade");
    }
    let stopped = up.options.mqtt.to_string();
    up.stop().await.unwrap();
    let finished = Finished::of(command(&home, &["tap", "--mqtt", &stopped])).await.unwrap();
    assert_eq!(finished.code, 69, "{finished:?}");
}

/// What listeners to the minutes hear last of each final minute is what is stored of it.
#[tokio::test]
async fn published_minutes_are_the_stored_ones() {
    let _turn = turn().await;
    let home = TempHome::new("minutes");
    let sent = generate::trades(42, generate::START_MS, 8_000);
    let feed = Feed::recorded_now(Feed::files(&home, &sent)).await;
    let options = UpOptions::new(&home, feed.address());
    let minutes = tickberry_tests::harness::Tap::start(options.mqtt, "tickberry/v1/minutes/#");
    let mut up = Up::start(&home, &options).await.unwrap();
    up.all_stored(sent.len() as u64 + 1, Duration::from_secs(60)).await.unwrap();
    let database = up.database().unwrap();
    eventually(Duration::from_secs(20), "a stored final minute is published as it is stored", async || {
        let stored = database.minutes()?;
        let finals: Vec<_> = database.minute_rows()?.into_iter().filter(|m| m.is_final == 1).collect();
        let heard = minutes.heard();
        let newest = finals.iter().map(|m| m.start_ms).max().context("no final minute")?;
        for row in finals.iter().filter(|m| m.start_ms == newest) {
            let said = heard.iter().rev().filter_map(|m| serde_json::from_slice::<Value>(&m.payload).ok());
            let mut said =
                said.filter(|m| m["symbol"] == row.symbol.as_str() && m["start_ms"] == row.start_ms);
            let said = said.next().with_context(|| format!("nothing heard of {row:?}"))?;
            let window = &stored[&(row.symbol.clone(), row.start_ms)];
            ensure!(said["volume"].as_f64() == Some(window.volume), "{said}, stored {window:?}");
            ensure!(said["trade_count"].as_i64() == Some(window.trade_count), "{said}, stored {window:?}");
            ensure!(
                said["vwap"].as_f64() == Some(window.vwap) && said["final"] == 1,
                "{said}, stored {window:?}"
            );
        }
        Ok(())
    })
    .await
    .unwrap();
    up.stop().await.unwrap();
}
