//! Whatever MQTT loses, doubles, delays or cuts: the journal heals it, and the store is the same byte for byte.

use crate::feed::{Feed, Play};
use anyhow::{Result, ensure};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tickberry_tests::generate;
use tickberry_tests::harness::{Database, Host, Role, TABLES, TempHome, eventually, turn};
use tickberry_tests::oracle::{Sent, matched, minutes, same};
use tickberry_tests::proxy::{Proxy, trouble::Trouble};

/// One gateway, one broker, and two aggregators of the same journal; the second one hears through `trouble`.
async fn equal_stores(name: &str, sent: &[Sent], feed: Feed, trouble: Trouble) {
    let home = TempHome::new(name);
    let (mut broker, services, _taps) = Role::broker(&home).unwrap();
    let proxy = Proxy::start(Host::unique().at(0), services, trouble).await.unwrap();
    let mut sound = Role::aggregator(&home, "sound", services).unwrap();
    let mut spoiled = Role::aggregator(&home, "spoiled", proxy.address()).unwrap();
    let mut gateway = Role::gateway(&home, services, feed.address()).unwrap();
    eventually(Duration::from_secs(90), "both stores hold all and are equal", async || {
        for role in [&mut broker, &mut sound, &mut spoiled, &mut gateway] {
            role.process.must_live()?;
        }
        let (one, other) = (sound.database()?, spoiled.database()?);
        complete(&one, sent)?;
        complete(&other, sent)?;
        equal(&one, &other)
    })
    .await
    .unwrap();
    let count = proxy.count();
    let spoilt = [&count.lost, &count.doubled, &count.delayed, &count.cut].map(|c| c.load(Ordering::Relaxed));
    let passed = count.passed.load(Ordering::Relaxed);
    eprintln!("passed {passed}; lost, doubled, delayed, cut: {spoilt:?}");
    assert!(spoilt.iter().sum::<u64>() > 50, "too little was spoiled to show anything: {spoilt:?}");
    assert_eq!(feed.connections(), 1);
    for role in [&mut spoiled, &mut sound, &mut gateway, &mut broker] {
        role.stop().await.unwrap();
    }
}

/// Trades and windows against the oracle.
fn complete(database: &Database, sent: &[Sent]) -> Result<()> {
    let count = database.number("SELECT COUNT(*) FROM trades")?;
    ensure!(count == sent.len() as i64, "{count} of {} trades", sent.len());
    let trades = matched(sent, &database.trades()?).map_err(anyhow::Error::msg)?;
    same(&minutes(&trades), &database.minutes()?).map_err(anyhow::Error::msg)
}

/// Every table of both, byte for byte: epochs, times of receipt, coverage and revisions too.
fn equal(one: &Database, other: &Database) -> Result<()> {
    for (table, order) in TABLES {
        let (a, b) = (one.dump(table, order, &[])?, other.dump(table, order, &[])?);
        let differing = a.lines().zip(b.lines()).find(|(a, b)| a != b);
        let (count, others) = (a.lines().count(), b.lines().count());
        ensure!(a == b, "{table}: {count} and {others} rows; the first that differ: {differing:#?}");
    }
    Ok(())
}

fn batches(seed: u64) -> Trouble {
    Trouble::new("tickberry/v1/batches/", seed)
}

/// Trades over a few seconds, so that the bus is in use all the time.
async fn streamed(name: &str, trouble: Trouble) {
    let _turn = turn().await;
    let sent = generate::trades(51, generate::START_MS, 6_000);
    let files = TempHome::new(&format!("{name}-files"));
    let feed = Feed::recorded_times(Feed::files(&files, &sent), 25.0).await;
    equal_stores(name, &sent, feed, trouble).await;
}

#[tokio::test]
async fn lost_messages() {
    streamed("lost", batches(1).lose(0.3)).await;
}

#[tokio::test]
async fn doubled_messages() {
    streamed("doubled", batches(2).double(0.5)).await;
}

#[tokio::test]
async fn delayed_messages() {
    streamed("delayed", batches(3).delay(0.3, Duration::from_millis(800))).await;
}

#[tokio::test]
async fn everything_at_once_and_cut_connections() {
    let trouble = batches(4).lose(0.1).double(0.1).delay(0.1, Duration::from_millis(300)).cut(0.01);
    streamed("everything", trouble).await;
}

/// All at once, shuffled: late trades revise windows, and both revise them alike.
#[tokio::test]
async fn lost_and_doubled_messages_of_a_shuffled_flood() {
    let _turn = turn().await;
    let sent = generate::trades(52, generate::START_MS, 9_000);
    let files = TempHome::new("flood-files");
    let play = Play { frame: 10, shuffle: Duration::from_secs(5), copies: 0 };
    let feed = Feed::recorded(Feed::files(&files, &sent), &play).await;
    equal_stores(
        "flood",
        &sent,
        feed,
        batches(5).lose(0.2).double(0.2).delay(0.1, Duration::from_millis(50)),
    )
    .await;
}
