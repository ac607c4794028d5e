//! The whole way: the real services write, the real Grafana shows, with the token that `tickberry setup influxdb` made for it.

use crate::feed::Feed;
use anyhow::{Result, ensure};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tickberry_tests::grafana::{ask, dashboards, of_dashboard};
use tickberry_tests::harness::{
    Grafana, GrafanaOptions, InfluxStore, TempHome, Up, UpOptions, eventually, turn,
};
use tickberry_tests::influxql::Range;

/// What not every host tells, and minutes that were late or only partly heard: of those there need be none.
const NEED_NOT_BE: [&str; 4] = ["temperature_celsius", "throttled", "written_bytes", "\"revision\" >"];

/// A range of the last minutes; steps of the points' own pace.
fn now() -> Range {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    Range { from_ms: now_ms - 300_000, to_ms: now_ms + 60_000, interval_ms: 15_000, now_ms }
}

#[tokio::test]
async fn what_the_services_write_fills_every_panel() {
    let _turn = turn().await;
    let home = TempHome::new("grafana-live");
    let influx = InfluxStore::ready(&home, &[]).await.unwrap();
    let feed = Feed::generated(1.0).await;
    let mut options = UpOptions::new(&home, feed.address());
    options.environment.extend(influx.environment());
    let mut up = Up::start(&home, &options).await.unwrap();
    let token = influx.grafana_token().unwrap();
    let grafana =
        Grafana::start(&home, &influx.url(), &GrafanaOptions::new("tickberry", &token)).await.unwrap();
    let health = grafana.get("/api/datasources/uid/tickberry/health").await.unwrap();
    assert_eq!(health["status"], "OK", "{health}");
    let mut asked = 0;
    for query in dashboards().unwrap().iter().flat_map(|(_, board)| of_dashboard(board).unwrap()) {
        // Final minutes come after a minute, and are covered but for the first.
        let waits = query.query.contains("\"final\" = 1");
        if waits || NEED_NOT_BE.iter().any(|name| query.query.contains(name)) {
            continue;
        }
        eventually(Duration::from_secs(60), &query.name, async || -> Result<()> {
            up.process.must_live()?;
            let frames = ask(&grafana, "tickberry", &query, &now()).await?;
            let rows = |frame: &serde_json::Value| frame["data"]["values"][0].as_array().map_or(0, Vec::len);
            ensure!(!frames.is_empty() && frames.iter().all(|frame| rows(frame) > 0), "no rows: {frames:?}");
            Ok(())
        })
        .await
        .unwrap();
        asked += 1;
    }
    println!("{asked} queries have rows");
    assert!(asked >= 25, "{asked}");
    up.stop().await.unwrap();
}
