//! Every query of every panel, variable, annotation and rule through `/api/ds/query`, beside the oracle's answer.

use crate::lab::{BUCKET, Lab, data, lines};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::collections::BTreeSet;
use tickberry_tests::grafana::{
    Asked, Buckets, Kind, SOURCE, SYMBOL, TRADES_BUCKET, ask, check, dashboard, expected, of_dashboard,
    renamed, used,
};
use tickberry_tests::harness::{TempHome, turn};
use tickberry_tests::influxql::{Point, Range};

#[tokio::test]
async fn every_query_answers_what_the_oracle_says() {
    let _turn = turn().await;
    let home = TempHome::new("grafana-queries");
    let lab = Lab::start(&home, |_| ()).await;
    let data = data();
    lab.fill(&data).await;
    let asked = lab.asked().await;
    let of = |kind: Kind| asked.iter().filter(|asked| asked.kind == kind).count();
    println!(
        "{} panels, {} variables, {} annotations, {} rules; {} + {} points",
        of(Kind::Panel),
        of(Kind::Variable),
        of(Kind::Annotation),
        of(Kind::Alert),
        data.minutes.len(),
        data.trades.len()
    );
    let mut wrong = Vec::new();
    for asked in &asked {
        // Once in the shortest steps, once in longer ones. (Of 105 s Grafana makes 1m: its steps are of whole units.)
        for interval_ms in [asked.interval_ms, asked.interval_ms * 8] {
            let range = data.range(interval_ms);
            let result = match expected(asked, &data, &range) {
                Ok(wanted) => check(&lab.grafana, "tickberry", asked, &range, &wanted).await,
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                wrong.push(format!("{} (steps of {interval_ms} ms): {error:#}", asked.name));
            }
        }
    }
    if let Err(error) = of_the_last_hour(&lab, &data, &asked).await {
        wrong.push(format!("of a long range: {error:#}"));
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), 2 * asked.len(), wrong.join("\n"));
}

/// Trades are read of the last hour, also where the range is longer: Grafana narrows it only where it ends now.
async fn of_the_last_hour(lab: &Lab, data: &Buckets, asked: &[Asked]) -> Result<()> {
    const LONG_MS: i64 = 2 * 3_600_000;
    let asked =
        asked.iter().find(|asked| asked.query.contains("now()")).context("no query of the last hour")?;
    let of_it = |point: &&Point| point.tags["source"] == SOURCE && point.tags["symbol"] == SYMBOL;
    let old = data.trades.iter().filter(of_it).take(10).cloned();
    let old: Vec<Point> =
        old.map(|point| Point { time_ns: point.time_ns - LONG_MS * 1_000_000, ..point }).collect();
    lab.influx.write(TRADES_BUCKET, &lines(&old)).await?;
    let data = Buckets { trades: [&old[..], &data.trades].concat(), ..data.clone() };
    let range = data.range(asked.interval_ms);
    let wanted = expected(asked, &data, &range)?;
    check(&lab.grafana, "tickberry", asked, &range, &wanted).await?;
    // Where nothing is left of the range that is no error either.
    let long_ago = Range { to_ms: range.from_ms + 60_000, ..range };
    let nothing = ask(&lab.grafana, "tickberry", asked, &long_ago).await?;
    ensure!(
        nothing.iter().all(|frame| frame["data"]["values"][0].as_array().is_none_or(Vec::is_empty)),
        "{nothing:?}"
    );
    // Without the bound the old ones are there, and noticed.
    let unbound = Asked { query: asked.query.replace("time > now() - 1h AND ", ""), ..asked.clone() };
    ensure!(check(&lab.grafana, "tickberry", &unbound, &range, &wanted).await.is_err(), "nothing is cut off");
    Ok(())
}

/// Fields and tags that queries name; the tag every variable is about included.
fn named(asked: &[Asked], data: &Buckets) -> BTreeSet<(String, String)> {
    let mut names = BTreeSet::new();
    for asked in asked {
        let (measurement, used) = used(&asked.query).unwrap();
        names.extend(used.into_iter().map(|name| (measurement.clone(), name)));
    }
    let points = || data.minutes.iter().chain(&data.trades);
    let is_field = |(measurement, name): &(String, String)| {
        points().any(|point| point.measurement == *measurement && point.fields.contains_key(name))
    };
    names.into_iter().filter(is_field).collect()
}

#[tokio::test]
async fn a_renamed_field_makes_its_queries_fail() {
    let _turn = turn().await;
    let home = TempHome::new("grafana-renamed");
    let lab = Lab::start(&home, |_| ()).await;
    let data = data();
    let asked = lab.asked().await;
    let fields = named(&asked, &data);
    assert!(fields.len() > 40, "{fields:?}");
    let mut unnoticed = Vec::new();
    let measurements: BTreeSet<&String> = fields.iter().map(|(measurement, _)| measurement).collect();
    // Of each measurement, first, nothing is renamed: then all must be well.
    let controls = measurements.into_iter().map(|measurement| (measurement.clone(), String::new()));
    let rounds: Vec<(String, String)> = controls.chain(fields.iter().cloned()).collect();
    for (i, (measurement, field)) in rounds.iter().enumerate() {
        let bucket = format!("renamed-{i}");
        lab.influx.bucket(&bucket).await.unwrap();
        let all: Vec<_> = if measurement == "trades" { data.trades.clone() } else { data.minutes.clone() };
        let mut written = renamed(&all, measurement, field);
        written.retain(|point| point.measurement == *measurement);
        lab.influx.write(&bucket, &lines(&written)).await.unwrap();
        source(&lab, &bucket).await;
        let concerned = asked.iter().filter(|asked| {
            let (of, names) = used(&asked.query).unwrap();
            of == *measurement && (field.is_empty() || names.contains(field))
        });
        for asked in concerned {
            let range = data.range(asked.interval_ms);
            let wanted = expected(asked, &data, &range).unwrap();
            let query = asked.query.replace(TRADES_BUCKET, &bucket);
            let planted = Asked { query, ..asked.clone() };
            let result = check(&lab.grafana, &bucket, &planted, &range, &wanted).await;
            match result {
                Err(error) if field.is_empty() => panic!("{}: nothing is renamed, and {error:#}", asked.name),
                Ok(()) if !field.is_empty() => {
                    unnoticed.push(format!("{measurement}.{field} by {}", asked.name))
                }
                _ => {}
            }
        }
    }
    println!("{} fields renamed, one at a time", fields.len());
    assert!(unnoticed.is_empty(), "not noticed:\n{}", unnoticed.join("\n"));
}

/// A data source on another bucket; its uid is the bucket's name. The operator's token: all buckets.
async fn source(lab: &Lab, bucket: &str) {
    let body = json!({"name": bucket, "uid": bucket, "type": "influxdb", "access": "proxy",
        "url": format!("http://{}", lab.influx.address),
        "jsonData": {"dbName": bucket, "version": "InfluxQL", "httpMode": "GET", "httpHeaderName1": "Authorization"},
        "secureJsonData": {"httpHeaderValue1": format!("Token {}", tickberry_tests::harness::OPERATOR)}});
    let (status, said) = lab.grafana.post("/api/datasources", &body).await.unwrap();
    assert_eq!(status, 200, "{said}");
}

/// The check itself: rows that are missing, a value off by a hair, and a name that changed are errors.
#[tokio::test]
async fn an_answer_that_is_nearly_right_is_wrong() {
    let _turn = turn().await;
    let home = TempHome::new("grafana-nearly");
    let lab = Lab::start(&home, |_| ()).await;
    let data = data();
    let candles = of_dashboard(&dashboard("market.json").unwrap()).unwrap();
    let candles = candles.iter().find(|asked| asked.name.contains("Candles")).unwrap();
    let range = data.range(60_000);
    let wanted = expected(candles, &data, &range).unwrap();
    let empty = check(&lab.grafana, "tickberry", candles, &range, &wanted).await;
    assert!(empty.is_err(), "an empty bucket answers nothing");
    lab.fill(&data).await;
    check(&lab.grafana, "tickberry", candles, &range, &wanted).await.unwrap();
    let mut late = data
        .minutes
        .iter()
        .rfind(|point| {
            point.measurement == "minute_trades"
                && point.tags["source"] == "finnhub"
                && point.tags["symbol"].ends_with("BTCUSDT")
        })
        .unwrap()
        .clone();
    let close = late.fields["close"].number().unwrap();
    late = late.float("close", f64::from_bits(close.to_bits() + 100_000));
    lab.influx.write(BUCKET, &lines(&[late])).await.unwrap();
    let off = check(&lab.grafana, "tickberry", candles, &range, &wanted).await.unwrap_err();
    assert!(off.to_string().contains("close"), "{off}");
}
