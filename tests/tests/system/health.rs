//! What the services say on their status topics about themselves and their host.

use crate::feed::Feed;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::time::Duration;
use tickberry_tests::generate;
use tickberry_tests::harness::{Tap, TempHome, Up, UpOptions, eventually, turn};

/// The newest message of a service, of those that came.
fn newest(tap: &Tap, service: &str) -> Result<Value> {
    let topic = format!("tickberry/v1/status/{service}/");
    let heard = tap.heard();
    let last = heard.iter().rfind(|message| message.topic.starts_with(&topic)).context("nothing heard")?;
    Ok(serde_json::from_slice(&last.payload)?)
}

#[tokio::test]
async fn every_status_says_what_the_service_counted_and_how_the_host_is() {
    let _turn = turn().await;
    let home = TempHome::new("health");
    let sent = generate::trades(21, generate::START_MS, 2_000);
    let files = Feed::files(&home, &sent);
    let play = crate::feed::Play { frame: 10, shuffle: Duration::ZERO, copies: 0 };
    let feed = Feed::recorded(files, &play).await;
    let mut up = Up::start(&home, &UpOptions::new(&home, feed.address())).await.unwrap();
    let tap = Tap::on(up.options.mqtt, "tickberry/v1/status/#").await.unwrap();
    up.all_stored(sent.len() as u64, Duration::from_secs(60)).await.unwrap();
    let gateway = eventually(Duration::from_secs(20), "the gateway tells all", async || {
        let status = newest(&tap, "gateway")?;
        ensure!(status["counted"]["trades"] == sent.len(), "{status}");
        Ok(status)
    })
    .await
    .unwrap();
    let counted = |name: &str| gateway["counted"][name].as_u64().unwrap();
    assert!(counted("frames") >= sent.len() as u64 / 10, "{gateway}");
    for name in ["price_updates", "rejected_elements", "dropped_records"] {
        assert_eq!(counted(name), 0, "{name} in {gateway}");
    }
    // What comes before the way to the broker is up may be dropped there.
    counted("unpublished_batches");
    counted("unmirrored_trades");
    let aggregator = newest(&tap, "aggregator").unwrap();
    let counted = &aggregator["streams"][0]["counted"];
    assert!(counted["store_writes"].as_u64().unwrap() > 0, "{aggregator}");
    for name in ["implausible_records", "lost_records", "undecodable_batches", "store_failures"] {
        assert_eq!(counted[name], 0, "{name} in {aggregator}");
    }
    for status in [&gateway, &aggregator] {
        let health = &status["health"];
        assert!(health["at_ms"].as_i64().unwrap() > 1_700_000_000_000, "{status}");
        assert!(health["process"]["resident_bytes"].as_u64().unwrap() > 1_000_000, "{status}");
        assert!(health["process"]["cpu_seconds"].as_f64().unwrap() > 0.0, "{status}");
        let (free, total) = (&health["host"]["disk_free_bytes"], &health["host"]["disk_total_bytes"]);
        assert!(free.as_u64().unwrap() < total.as_u64().unwrap(), "{status}");
        // Where a host has no such file, the key is there and says so.
        for name in ["temperature_celsius", "throttled", "written_bytes", "memory_available_bytes"] {
            assert!(health["host"].as_object().unwrap().contains_key(name), "{name} in {status}");
        }
    }
    up.stop().await.unwrap();
}
