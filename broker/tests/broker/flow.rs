//! What works when nobody misbehaves.

use crate::harness::{Broker, Raw, eventually, message, next};
use bytes::Bytes;
use tickberry_service::mqtt::{Event, Will};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_publishes_reaches_services_and_taps() {
    let broker = Broker::start().await;
    let (_, mut events) = broker.service("aggregator", None, &["tickberry/v1/batches/#"]).await;
    let mut tap = Raw::tap(broker.taps, 60).await.subscribed("tickberry/v1/#").await;
    let (publisher, _events) = broker.service("gateway", None, &[]).await;
    for n in 0..500u16 {
        let payload = Bytes::from(n.to_be_bytes().to_vec());
        while !publisher.publish("tickberry/v1/batches/finnhub".into(), payload.clone(), false) {
            tokio::task::yield_now().await;
        }
    }
    for n in 0..500u16 {
        let (topic, payload) = message(&mut events).await;
        assert_eq!((topic.as_str(), &payload[..]), ("tickberry/v1/batches/finnhub", &n.to_be_bytes()[..]));
        let (retained, topic, payload) = tap.publish().await.unwrap();
        assert_eq!(
            (retained, topic.as_str(), &payload[..]),
            (false, "tickberry/v1/batches/finnhub", &n.to_be_bytes()[..])
        );
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn latecomers_get_what_was_retained_until_it_is_cleared() {
    let broker = Broker::start().await;
    let (publisher, _events) = broker.service("gateway", None, &[]).await;
    let topic = |n: u32| format!("tickberry/v1/live/finnhub/S{n:03}");
    for n in 0..300 {
        assert!(publisher.publish(topic(n), "old".into(), true));
        assert!(publisher.publish(topic(n), format!("new {n}").into(), true));
    }
    assert!(publisher.publish("tickberry/v1/trades/finnhub/S".into(), "passing".into(), false));
    eventually("all received", || broker.metric(&["received_messages_total"]) == 601).await;
    eventually("all retained", || broker.metric(&["retained_messages"]) == 2 * 300).await;

    let mut tap = Raw::tap(broker.taps, 60).await.subscribed("tickberry/v1/#").await;
    let (_, mut events) = broker.service("console", None, &["tickberry/v1/live/#"]).await;
    for n in 0..300 {
        let expected = format!("new {n}").into_bytes();
        assert_eq!(tap.publish().await.unwrap(), (true, topic(n), expected.clone()));
        assert_eq!(message(&mut events).await, (topic(n), expected.into()));
    }
    for n in 0..300 {
        assert!(publisher.publish(topic(n), Bytes::new(), true));
    }
    eventually("all cleared", || broker.metric(&["retained_"]) == 0).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_will_is_published_for_who_vanishes_and_not_for_who_leaves() {
    let broker = Broker::start().await;
    let (_, mut events) = broker.service("console", None, &["tickberry/v1/status/#"]).await;
    let will =
        |name: &str| Will { topic: format!("tickberry/v1/status/gateway/{name}"), payload: "offline".into() };
    let leaves = broker.service("leaves", Some(will("leaves")), &[]).await;
    let vanishes = broker.service("vanishes", Some(will("vanishes")), &[]).await;
    leaves.0.close().await;
    eventually("left", || broker.metric(&["disconnected", "goodbye"]) == 1).await;
    drop(vanishes);
    assert_eq!(message(&mut events).await, ("tickberry/v1/status/gateway/vanishes".into(), "offline".into()));
    let mut tap = Raw::tap(broker.taps, 60).await.subscribed("tickberry/v1/status/+/+").await;
    assert_eq!(tap.publish().await.unwrap().1, "tickberry/v1/status/gateway/vanishes");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_come_back_by_themselves_after_the_broker_did() {
    let broker = Broker::start().await;
    let (publisher, mut events) = broker.service("both", None, &["tickberry/v1/#"]).await;
    let (taps, services, secret) = (broker.taps, broker.services, broker.secret.clone());
    broker.stop().await;
    assert!(matches!(next(&mut events).await, Event::Down(_)));
    assert!(
        !publisher.publish("tickberry/v1/x".into(), "nobody".into(), false),
        "dropped while the broker is away"
    );
    assert_eq!(publisher.dropped(), 1);

    let config = tickberry_broker::Config { taps, services, ..Default::default() };
    let built = tickberry_broker::build(config, std::sync::Arc::new(secret)).await.unwrap();
    let running = tokio::spawn(built.run(Default::default()));
    while next(&mut events).await != Event::Up {}
    assert!(publisher.publish("tickberry/v1/x".into(), "again".into(), false));
    assert_eq!(message(&mut events).await.1, "again");
    running.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_does_not_fetch_loses_the_oldest_and_keeps_its_connection() {
    let broker = Broker::start().await;
    let (_, mut events) = broker.service("slow", None, &["tickberry/v1/#"]).await;
    let mut publisher = Raw::service(&broker, "fast").await;
    let last = 30_000u32;
    for n in 0..=last {
        publisher.send(&crate::harness::publish(b"tickberry/v1/x", &n.to_be_bytes())).await;
        if n % 1_000 == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
    eventually("they were dropped", || events.dropped() > 10_000).await;
    let mut numbers = Vec::new();
    while numbers.last() != Some(&last) {
        let Event::Message { payload, .. } = next(&mut events).await else { panic!("no change of state") };
        numbers.push(u32::from_be_bytes(payload[..].try_into().unwrap()));
    }
    assert!(numbers.is_sorted() && numbers.len() < 20_001, "{}", numbers.len());
    broker.stop().await;
}
