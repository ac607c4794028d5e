//! Everything that can go wrong between gateway and store.

use std::time::Duration;

use crate::kit::{Aggregator, Broker, Ear, Gateway, START, Store, eventually, trade};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_lost_on_the_bus_are_fetched() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Broker::start().await;
    let mut gateway = Gateway::start(&broker).await;
    let aggregator = Aggregator::start(&broker, directory.path());
    let store = Store::of(directory.path());
    gateway.publishes = |n| n % 5 != 2 && n % 31 > 6;
    for round in 0..20 {
        gateway.stream(100, 3, round * 20_000, 200);
        gateway.flush();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    eventually("all is stored", || store.stored() == gateway.head).await;
    store.check(&gateway);
    assert!(gateway.requests() > 1);
    aggregator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_aggregator_goes_on_where_the_store_is() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Broker::start().await;
    let mut gateway = Gateway::start(&broker).await;
    let store = Store::of(directory.path());
    for round in 0..8 {
        let aggregator = Aggregator::start(&broker, directory.path());
        let before = gateway.head;
        for part in 0..4 {
            gateway.stream(50, 4, round * 40_000 + part * 10_000, 200);
            gateway.flush();
            tokio::task::yield_now().await;
        }
        // Sometimes in the middle of its catching up, sometimes after.
        if round % 2 == 0 {
            eventually("something is stored", || store.stored() > before).await;
        }
        aggregator.kill().await;
    }
    let aggregator = Aggregator::start(&broker, directory.path());
    eventually("all is stored", || store.stored() == gateway.head).await;
    store.check(&gateway);
    aggregator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_never_was_committed_leaves_the_page_and_never_was_in_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Broker::start().await;
    let ear = Ear::listen(&broker, "tickberry/v1/#").await;
    let mut gateway = Gateway::start(&broker).await;
    let aggregator = Aggregator::start(&broker, directory.path());
    let store = Store::of(directory.path());
    eventually("it is connected", || store.stored() == gateway.head).await;
    for life in 2..6 {
        gateway.stream(40, 4, i64::from(life) * 30_000, 100);
        gateway.flush();
        eventually("all is stored", || store.stored() == gateway.head).await;
        gateway.stream(33, 3, i64::from(life) * 30_000 + 5_000, 100);
        let head = gateway.head;
        eventually("the overlay has it", || ear.stream().is_some_and(|s| s.consumed == head)).await;
        gateway.power_cut(life);
    }
    gateway.stream(10, 1, 200_000, 100);
    gateway.flush();
    eventually("all is stored", || store.stored() == gateway.head).await;
    store.check(&gateway);
    aggregator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_stops_nothing_but_itself() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Broker::start().await;
    let ear = Ear::listen(&broker, "tickberry/v1/#").await;
    let mut gateway = Gateway::start(&broker).await;
    let aggregator = Aggregator::start(&broker, directory.path());
    let store = Store::of(directory.path());
    gateway.stream(40, 4, 0, 100);
    gateway.flush();
    eventually("all is stored", || store.stored() == gateway.head).await;

    let other = store.open();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    gateway.stream(4_000, 10, 10_000, 30);
    gateway.flush();
    eventually("the status says what is wrong", || {
        ear.stream().and_then(|s| s.message).is_some_and(|m| m.contains("held by another program"))
    })
    .await;
    gateway.trades(vec![trade(0, START + 150_000)]);
    eventually("the page goes on", || {
        ear.all("/live/finnhub/BINANCE:BTCUSDT")
            .last()
            .is_some_and(|(_, p)| String::from_utf8_lossy(p).contains(&format!("{}", START + 150_000)))
    })
    .await;
    gateway.flush();
    other.execute_batch("ROLLBACK").unwrap();
    eventually("all is stored", || store.stored() == gateway.head).await;
    store.check(&gateway);
    eventually("the message is gone", || {
        ear.stream().is_some_and(|s| s.message.is_none() && s.stored == gateway.head)
    })
    .await;
    aggregator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_cannot_be_read_is_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Broker::start().await;
    let ear = Ear::listen(&broker, "tickberry/v1/#").await;
    let mut gateway = Gateway::start(&broker).await;
    gateway.set_broken(true);
    gateway.stream(40, 4, 0, 100);
    gateway.flush();
    let aggregator = Aggregator::start(&broker, directory.path());
    let store = Store::of(directory.path());
    eventually("the status says what is wrong", || {
        ear.stream().and_then(|s| s.message).is_some_and(|m| m.contains("answers 503"))
    })
    .await;
    gateway.set_broken(false);
    eventually("all is stored", || store.stored() == gateway.head).await;
    store.check(&gateway);
    aggregator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_that_is_gone_is_a_gap() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Broker::start().await;
    let mut gateway = Gateway::start(&broker).await;
    let store = Store::of(directory.path());
    let aggregator = Aggregator::start(&broker, directory.path());
    gateway.stream(300, 3, 0, 1000);
    gateway.flush();
    eventually("all is stored", || store.stored() == gateway.head).await;
    aggregator.stop().await;
    let before = store.minutes();

    gateway.publishes = |_| false;
    gateway.stream(300, 3, 300_000, 1000);
    gateway.forget_before(500);
    gateway.flush();
    let aggregator = Aggregator::start(&broker, directory.path());
    eventually("all there is is stored", || store.stored() == gateway.head).await;
    aggregator.stop().await;
    let gaps: i64 = store
        .open()
        .query_row("SELECT count(*) FROM feed_gaps WHERE reason = 'lost_range'", [], |r| r.get(0))
        .unwrap();
    assert!(gaps > 0);
    let after = store.minutes();
    for (key, minute) in before.iter().filter(|(_, m)| m.6 == 1) {
        assert_eq!(&after[key], minute, "final minutes of before stay");
    }
    assert!(store.trades().iter().any(|t| t.0 >= 590));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_journal_is_noticed_and_its_trades_are_new() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Broker::start().await;
    let mut gateway = Gateway::start(&broker).await;
    let store = Store::of(directory.path());
    let aggregator = Aggregator::start(&broker, directory.path());
    gateway.stream(300, 3, 0, 1000);
    gateway.flush();
    eventually("all is stored", || store.stored() == gateway.head).await;
    let old = store.trades();
    gateway.replace_journal(9);
    gateway.stream(60, 3, 600_000, 1000);
    gateway.flush();
    eventually("the new journal is stored", || store.stored() == gateway.head).await;
    let trades = store.trades();
    assert_eq!(trades.len(), old.len() + 60);
    assert_eq!(trades.iter().filter(|t| t.1 == gateway.epoch.get()).count(), 60);
    aggregator.stop().await;
}
