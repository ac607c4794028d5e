//! Nothing goes wrong, and what should be there is there.

use tickberry_wire::json::{LiveJson, MinuteJson};
use tickberry_wire::{Body, Control};

use crate::kit::{Aggregator, Broker, Ear, Gateway, START, Store, eventually, trade};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_committed_is_stored_and_shown() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Broker::start().await;
    let ear = Ear::listen(&broker, "tickberry/v1/#").await;
    let mut gateway = Gateway::start(&broker).await;
    let aggregator = Aggregator::start(&broker, directory.path());
    let store = Store::of(directory.path());
    eventually("the epoch start is stored", || store.stored() == gateway.head).await;

    // Three minutes and a bit; the last frame is not committed yet.
    gateway.stream(400, 7, 0, 500);
    gateway.flush();
    eventually("all is stored", || store.stored() == gateway.head).await;
    store.check(&gateway);
    let minutes = store.minutes();
    assert_eq!(
        minutes.values().filter(|m| m.6 == 1).count(),
        6,
        "three final minutes of two symbols: {minutes:?}"
    );
    assert_eq!(minutes.len(), 8);

    eventually("status says so", || {
        ear.stream()
            .is_some_and(|s| s.stored == gateway.head && s.consumed == gateway.head && s.message.is_none())
    })
    .await;
    eventually("final minutes are published", || ear.all("/minutes/").len() == 6).await;
    let (_, payload) = &ear.all("/minutes/finnhub/BINANCE:BTCUSDT")[0];
    let minute: MinuteJson = serde_json::from_slice(payload).unwrap();
    assert_eq!((minute.start_ms, minute.trade_count, minute.is_final), (START, 60, 1));

    // Ahead of its commit: shown, and not stored.
    gateway.trades(vec![trade(0, START + 210_000)]);
    eventually("the live minute runs ahead", || {
        ear.all("/live/finnhub/BINANCE:BTCUSDT").last().is_some_and(|(_, payload)| {
            let live: LiveJson = serde_json::from_slice(payload).unwrap();
            live.last_time_ms == START + 210_000
        })
    })
    .await;
    assert_eq!(store.stored(), gateway.head - 1);
    aggregator.stop().await;
    store.check(&gateway);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_long_after_reads_the_journal() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Broker::start().await;
    let mut gateway = Gateway::start(&broker).await;
    gateway.publishes = |_| false;
    gateway.stream(30_000, 30, 0, 300);
    gateway.append(Body::Control(Control::Tick));
    gateway.flush();
    let aggregator = Aggregator::start(&broker, directory.path());
    let store = Store::of(directory.path());
    eventually("all is stored", || store.stored() == gateway.head).await;
    store.check(&gateway);
    aggregator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shutdown_waits_for_the_last_commit() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Broker::start().await;
    let ear = Ear::listen(&broker, "tickberry/v1/#").await;
    let mut gateway = Gateway::start(&broker).await;
    let aggregator = Aggregator::start(&broker, directory.path());
    let store = Store::of(directory.path());
    eventually("it is connected", || store.stored() == gateway.head).await;
    gateway.stream(100, 5, 0, 500);
    eventually("all is heard", || ear.stream().is_some_and(|s| s.consumed == gateway.head)).await;
    let stopping = tokio::spawn(aggregator.stop());
    tokio::task::yield_now().await;
    gateway.flush();
    stopping.await.unwrap();
    assert_eq!(store.stored(), gateway.head);
    store.check(&gateway);
    eventually("and says goodbye", || {
        ear.all("/status/aggregator/").last().is_some_and(|(_, p)| p.ends_with(br#""state":"offline"}"#))
    })
    .await;
}
