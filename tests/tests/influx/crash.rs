//! influxd and aggregator killed and stopped under load, and a server that forgets: nothing is lost, nothing is doubled.

use std::path::Path;
use std::time::Duration;

use crate::feed::Feed;
use crate::kit::{agree, options, resident};
use anyhow::{Result, ensure};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use rustix::process::Signal;
use tickberry_tests::harness::{InfluxStore, SOURCE, TempHome, Up, UpOptions, eventually, turn};

fn rng() -> StdRng {
    let seed = std::env::var("TB_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_129);
    eprintln!("TB_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// The store goes on: it has something that was not there.
async fn goes_on(up: &mut Up) -> Result<()> {
    let Up { process, http, .. } = up;
    let before = http.stream(SOURCE).await?.head;
    eventually(Duration::from_secs(90), "the store has what is new", async || {
        process.must_live()?;
        let stream = http.stream(SOURCE).await?;
        ensure!(stream.stored > before, "{stream:?}, {before}");
        Ok(())
    })
    .await
}

/// The feed ends; store and journal come to agree.
async fn comes_right(influx: &InfluxStore, up: &mut Up, feed: &Feed) -> usize {
    feed.silence();
    let Up { process, http, .. } = up;
    let agreed = eventually(Duration::from_secs(120), "store and journal agree", async || {
        process.must_live()?;
        agree(influx, http).await
    });
    let count = agreed.await.unwrap();
    let refused = http.metric("tickberry_aggregator_store_refused_rows_total").await.unwrap();
    assert_eq!(refused, Some(0.0));
    count
}

#[tokio::test]
async fn killed_at_random_server_aggregator_and_both() {
    let _turn = turn().await;
    let mut rng = rng();
    let home = TempHome::new("influx-kill9");
    let mut influx = InfluxStore::ready(&home, &[]).await.unwrap();
    let feed = Feed::generated(20.0).await;
    let options = options(&home, feed.address(), &influx);
    let mut up = Up::start(&home, &options).await.unwrap();
    goes_on(&mut up).await.unwrap();
    for round in 0..9 {
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..1500))).await;
        if round % 3 != 1 {
            influx.kill9().await.unwrap();
        }
        if round % 3 != 0 {
            up.process.kill9().await.unwrap();
            up = Up::start(&home, &options).await.unwrap();
        }
        if round % 3 != 1 {
            tokio::time::sleep(Duration::from_millis(rng.random_range(0..1000))).await;
            influx.run().await.unwrap();
        }
        goes_on(&mut up).await.unwrap_or_else(|e| panic!("round {round}: {e:#}"));
    }
    let count = comes_right(&influx, &mut up, &feed).await;
    eprintln!("9 kills, {count} trades: all there, once");
    up.stop().await.unwrap();
}

#[tokio::test]
async fn an_outage_costs_no_memory_and_is_made_up_for() {
    let _turn = turn().await;
    let home = TempHome::new("influx-outage");
    let mut influx = InfluxStore::ready(&home, &[]).await.unwrap();
    // An hour of the usual 33 trades/s in the time of this test.
    let feed = Feed::generated(400.0).await;
    let mut up = Up::start(&home, &options(&home, feed.address(), &influx)).await.unwrap();
    goes_on(&mut up).await.unwrap();
    // It takes connections, and says nothing.
    let process = influx.process.as_ref().unwrap();
    process.signal(Signal::STOP).unwrap();
    let head = up.http.stream(SOURCE).await.unwrap().head;
    let mut most = [0, 0];
    for (part, records) in [(0, 30_000), (1, 120_000)] {
        let Up { process, http, .. } = &mut up;
        eventually(Duration::from_secs(180), "the feed goes on", async || {
            process.must_live()?;
            let stream = http.stream(SOURCE).await?;
            ensure!(stream.head > head + records, "{stream:?}");
            Ok(())
        })
        .await
        .unwrap();
        most[part] = resident(&up).unwrap();
        if part == 0 {
            // And then there is nobody at all.
            influx.kill9().await.unwrap();
        }
    }
    let stream = up.http.stream(SOURCE).await.unwrap();
    eprintln!(
        "{} records behind, {} and {} MiB resident",
        stream.head - stream.stored,
        most[0] >> 20,
        most[1] >> 20
    );
    // 90,000 records more, were they kept, would be some 8 MiB; one run differs from itself by less than one.
    assert!(most[1] < most[0] + (6 << 20), "{most:?}");
    influx.run().await.unwrap();
    let count = comes_right(&influx, &mut up, &feed).await;
    assert!(count > 100_000, "{count}");
    // A server that hangs holds no end up.
    influx.process.as_ref().unwrap().signal(Signal::STOP).unwrap();
    up.stop().await.unwrap();
}

/// The server's machine loses power: what was not flushed is gone, acknowledged or not, though its cursor may not be.
#[tokio::test]
async fn a_server_rolled_back_to_its_last_flush_is_healed_by_an_aggregator_that_runs_on() {
    let _turn = turn().await;
    let mut rng = rng();
    let home = TempHome::new("influx-rollback");
    let mut influx = InfluxStore::ready(&home, &["--storage-wal-fsync-delay", "1s"]).await.unwrap();
    // Each request waits for the server's flush: up to a second.
    let feed = Feed::generated(4.0).await;
    let options = UpOptions { more: Vec::new(), ..options(&home, feed.address(), &influx) };
    let mut up = Up::start(&home, &options).await.unwrap();
    let (mut rounds, mut rolled) = (0, 0);
    // Whether a cut takes something depends on when the last flush was, so it is repeated until some did.
    while rounds < 3 || rolled < 1 {
        assert!(rounds < 9, "{rolled} of {rounds} cuts took something acknowledged");
        rounds += 1;
        goes_on(&mut up).await.unwrap();
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..2000))).await;
        // As the disk is now, and no more of what is acknowledged from now on.
        let (folder, copy) = (influx.folder(), home.join("copy"));
        let process = influx.process.as_ref().unwrap();
        process.signal(Signal::STOP).unwrap();
        copied(&folder, &copy).unwrap();
        process.signal(Signal::CONT).unwrap();
        // Longer than its flush waits, so that something is acknowledged; less than the settle time.
        tokio::time::sleep(Duration::from_millis(rng.random_range(1000..1600))).await;
        let before = influx.trades().await.unwrap().len();
        influx.kill9().await.unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        std::fs::rename(&copy, &folder).unwrap();
        influx.run().await.unwrap();
        let after = influx.trades().await.unwrap().len();
        rolled += usize::from(after < before);
        goes_on(&mut up).await.unwrap_or_else(|e| panic!("round {rounds}: {e:#}"));
    }
    let count = comes_right(&influx, &mut up, &feed).await;
    eprintln!("{rolled} of {rounds} cuts took something acknowledged; {count} trades: all there, once");
    up.stop().await.unwrap();
}

/// A backup is put back while both processes run on. (What `influx restore` does; here by deleting.)
#[tokio::test]
async fn data_that_vanish_under_a_running_server_come_back() {
    let _turn = turn().await;
    let home = TempHome::new("influx-restore");
    let influx = InfluxStore::ready(&home, &[]).await.unwrap();
    let feed = Feed::generated(20.0).await;
    let mut up = Up::start(&home, &options(&home, feed.address(), &influx)).await.unwrap();
    goes_on(&mut up).await.unwrap();
    for (bucket, measurement) in [
        ("tickberry", "tickberry_cursor"),
        ("tickberry_trades", "trades"),
        ("tickberry", "minute_trades"),
        ("tickberry", "daily_trades"),
    ] {
        influx.delete(bucket, measurement).await.unwrap();
    }
    goes_on(&mut up).await.unwrap();
    comes_right(&influx, &mut up, &feed).await;
    up.stop().await.unwrap();
}

fn copied(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copied(&entry.path(), &target)?
        } else {
            std::fs::copy(entry.path(), target).map(drop)?
        }
    }
    Ok(())
}
