//! SIGKILL at any moment, and a start: nothing published is lost, nothing is counted twice.

use crate::feed::Feed;
use anyhow::{Context, Result, ensure};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::collections::BTreeMap;
use std::time::Duration;
use tickberry_tests::harness::{
    Database, Heard, Journal, SOURCE, Tap, TempHome, Up, UpOptions, eventually, published, turn,
};
use tickberry_tests::oracle::{Sent, matched, minutes, same};
use tickberry_wire::{Body, decode};

const ROUNDS: u32 = 10;

/// The trades in the binary batches a tap heard.
fn batches(heard: &[Heard]) -> Result<BTreeMap<(i64, i64), Sent>> {
    let mut trades = BTreeMap::new();
    for message in heard.iter().filter(|m| m.topic.starts_with("tickberry/v1/batches/")) {
        let batch = decode(&message.payload).map_err(|e| anyhow::anyhow!("{}: {e}", message.topic))?;
        let Body::Trades(inside) = &batch.body else { continue };
        for (offset, t) in (batch.first_offset..).zip(inside) {
            let (symbol, time_ms) = (t.symbol.as_str().to_owned(), t.time_ms);
            let sent = Sent { symbol, time_ms, price: t.price.to_string(), volume: t.volume.to_string() };
            trades.insert((batch.epoch.get() as i64, offset as i64), sent);
        }
    }
    Ok(trades)
}

/// The store holds what the journal has, each trade under its identity once, and the windows of just those.
fn agree(database: &Database, journal: &Journal) -> Result<()> {
    let rows = database.trades()?;
    let identities: Vec<(i64, i64)> = rows.iter().map(|r| (r.epoch, r.offset)).collect();
    ensure!(
        identities.iter().eq(journal.trades.keys()),
        "{} stored, {} in the journal",
        rows.len(),
        journal.trades.len()
    );
    matched(&journal.sent(), &rows).map_err(anyhow::Error::msg)?;
    same(&minutes(&journal.exact()?), &database.minutes()?).map_err(anyhow::Error::msg)
}

#[tokio::test]
async fn killed_at_any_moment_and_started_again() {
    let _turn = turn().await;
    let seed = std::env::var("TB_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_123);
    eprintln!("TB_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let home = TempHome::new("kill9");
    let feed = Feed::generated(20.0).await;
    let options = UpOptions::new(&home, feed.address());
    let everything = Tap::start(options.mqtt, "tickberry/v1/#");
    let mut epochs = Vec::new();
    for round in 0..ROUNDS {
        if round % 3 == 2 {
            // While it starts, too.
            let mut up = Up::spawn(&home, &options).unwrap();
            tokio::time::sleep(Duration::from_millis(rng.random_range(0..400))).await;
            up.process.kill9().await.unwrap();
        }
        let mut up = Up::start(&home, &options).await.unwrap_or_else(|e| panic!("round {round}: {e:#}"));
        let heard = everything.count();
        eventually(Duration::from_secs(20), "it streams", async || {
            up.process.must_live()?;
            ensure!(everything.count() > heard + 5, "{} messages", everything.count());
            Ok(())
        })
        .await
        .unwrap_or_else(|e| panic!("round {round}: {e:#}"));
        epochs.push(up.http.stream(SOURCE).await.unwrap().epoch);
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..1500))).await;
        up.process.kill9().await.unwrap();
    }
    epochs.dedup();
    assert_eq!(epochs.len(), ROUNDS as usize, "each life has an epoch of its own: {epochs:?}");

    let mut up = Up::start(&home, &options).await.unwrap();
    feed.silence();
    let heard = everything.heard();
    let (json, binary) = (published(&heard).unwrap(), batches(&heard).unwrap());
    assert!(json.len() > 100 && binary.len() > 100, "{} and {} trades heard", json.len(), binary.len());
    let database = up.database().unwrap();
    let Up { process, http, .. } = &mut up;
    eventually(Duration::from_secs(30), "store and journal agree", async || {
        process.must_live()?;
        let journal = Journal::read(http, SOURCE, 0).await?;
        journal.holds(&json).context("JSON topics")?;
        journal.holds(&binary).context("batches")?;
        ensure!(journal.lost.is_empty(), "lost: {:?}", journal.lost);
        agree(&database, &journal)
    })
    .await
    .unwrap();
    let gaps = database.gaps().unwrap();
    assert!(gaps.len() >= ROUNDS as usize, "each time nobody listened is a gap: {gaps:?}");
    up.stop().await.unwrap();
}

/// SIGTERM in the middle of the stream: what was received is in the journal, and in the store as well.
#[tokio::test]
async fn stopped_as_asked_nothing_received_is_lost() {
    let _turn = turn().await;
    let home = TempHome::new("sigterm");
    let feed = Feed::generated(20.0).await;
    let options = UpOptions::new(&home, feed.address());
    let mut up = Up::start(&home, &options).await.unwrap();
    let everything = Tap::on(options.mqtt, "tickberry/v1/#").await.unwrap();
    eventually(Duration::from_secs(20), "it streams", async || {
        ensure!(everything.count() > 200, "{} messages", everything.count());
        Ok(())
    })
    .await
    .unwrap();
    up.stop().await.unwrap();
    let database = up.database().unwrap();
    let rows = database.trades().unwrap();
    let heard = batches(&everything.heard()).unwrap();
    let unstored = heard.keys().filter(|id| !rows.iter().any(|r| (r.epoch, r.offset) == **id)).count();
    assert_eq!(unstored, 0, "of {} trades heard", heard.len());
    let mut up = Up::start(&home, &options).await.unwrap();
    Journal::read(&up.http, SOURCE, 0).await.unwrap().holds(&heard).unwrap();
    up.stop().await.unwrap();
}
