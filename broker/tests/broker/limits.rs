//! The bounds, and what happens at each of them.

use crate::harness::{
    Broker, PATIENCE, Raw, connect, eventually, message, packet, publish, subscribe, unique,
};
use crate::stream::{Stream, will};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tickberry_broker::{Authenticator, Config, Credentials, Limits, Refusal, Rights, SharedSecret, build};

#[tokio::test(flavor = "multi_thread")]
async fn a_tap_that_reads_nothing_costs_the_others_nothing_and_is_thrown_out() {
    let limits = Limits { stall_timeout: Duration::from_secs(2), ..Limits::default() };
    let stream = Stream::over(Broker::with(limits).await).await;
    let mut stalled = Vec::new();
    for _ in 0..8 {
        stalled.push(Raw::tap(stream.broker.taps, 0).await.subscribed("tickberry/v1/#").await);
    }
    let mut publisher = Raw::service(&stream.broker, "flood").await;
    let flood = publish(b"tickberry/v1/flood", &[7; 32 << 10]).repeat(32);
    let started = Instant::now();
    let thrown_out = || stream.broker.metric(&["disconnected", "taps", "\"stalled\""]);
    while thrown_out() < 8 {
        publisher.send(&flood).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(started.elapsed() < PATIENCE, "{} of 8 stalled taps are gone", thrown_out());
    }
    assert!(stream.broker.metric(&["dropped", "taps", "\"queue\""]) > 0, "what did not fit is counted");
    stream.goes_on("stalled taps").await;
    stream.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_are_refused_with_a_code() {
    let stream = Stream::over(Broker::start().await).await;
    let services = stream.broker.services;
    let wrong = [SharedSecret::new("tickberry", "guess".into()), SharedSecret::new("root", "x".into())];
    for secret in [Some(&wrong[0]), Some(&wrong[1]), None] {
        let mut raw = Raw::open(services).await;
        raw.send(&connect("intruder", 60, secret, Some(("tickberry/v1/status/x/y", "lie")))).await;
        assert_eq!(raw.packet().await, Some((0x20, vec![0, 4])));
        assert!(raw.is_closed().await);
    }
    eventually("counted", || stream.broker.metric(&["refused", "credentials"]) == 3).await;
    stream.goes_on("wrong passwords").await;
    let mut tap = stream.doors()[0].enter(&unique()).await;
    tap.send(&subscribe(1, "tickberry/v1/status/#")).await;
    tap.send(&packet(0xc0, &[])).await;
    assert_eq!(tap.packet().await, Some((0x90, vec![0, 1, 0])));
    assert_eq!(tap.packet().await, Some((0xd0, vec![])), "no will of a client that was never let in");
    stream.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newer_connection_of_a_client_takes_over_and_the_old_will_comes_first() {
    let stream = Stream::over(Broker::start().await).await;
    let broker = &stream.broker;
    let (_, mut events) = broker.service("watch", None, &["tickberry/v1/status/#"]).await;
    let will = will("twin");
    let mut twins: Vec<Raw> = Vec::new();
    for n in 0..5usize {
        let mut raw = Raw::open(broker.services).await;
        raw.send(&connect("twin", 60, Some(&broker.secret), Some((&will.topic, &format!("end of {n}")))))
            .await;
        assert_eq!(raw.packet().await, Some((0x20, vec![0, 0])));
        raw.send(&publish(will.topic.as_bytes(), format!("start of {n}").as_bytes())).await;
        if let Some(older) = twins.last_mut() {
            assert_eq!(
                message(&mut events).await.1,
                format!("end of {}", n - 1),
                "its own, before the next begins"
            );
            assert!(older.is_closed().await);
        }
        assert_eq!(message(&mut events).await.1, format!("start of {n}"));
        twins.push(raw);
    }
    twins[4].send(&packet(0xc0, &[])).await;
    assert_eq!(twins[4].packet().await, Some((0xd0, vec![])));
    // Taps are nobody in particular.
    let mut first = stream.doors()[0].enter("same").await;
    let _second = stream.doors()[0].enter("same").await;
    first.send(&packet(0xc0, &[])).await;
    assert_eq!(first.packet().await, Some((0xd0, vec![])));
    stream.goes_on("takeovers").await;
    stream.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_up_to_64_kib_pass_and_larger_ones_do_not() {
    let broker = Broker::start().await;
    let (publisher, _) = broker.service("publisher", None, &[]).await;
    let (_, mut events) = broker.service("consumer", None, &["tickberry/v1/#"]).await;
    let mut tap = Raw::tap(broker.taps, 60).await.subscribed("tickberry/v1/#").await;
    for size in [0, 1, 127, 128, 16_384, 65_535, 65_536] {
        assert!(publisher.publish("tickberry/v1/x".into(), vec![7; size].into(), false));
        assert_eq!(message(&mut events).await.1.len(), size);
        assert_eq!(tap.publish().await.unwrap().2.len(), size);
    }
    assert!(!publisher.publish("tickberry/v1/x".into(), vec![7; 65_537].into(), false), "not even sent");
    for size in [65_537, 1 << 20] {
        let mut raw = Raw::service(&broker, &unique()).await;
        drop(raw.stream.try_write(&publish(b"tickberry/v1/x", &vec![7; size])));
        assert!(raw.is_closed().await);
    }
    let mut tap = Raw::tap(broker.taps, 60).await;
    tap.send(&packet(0x82, &[&[0, 1][..], &b"\0\x01a\0".repeat(5_000)].concat())).await;
    assert!(tap.is_closed().await, "a tap has no reason for so large a packet");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_on_subscriptions_topics_and_retained_messages() {
    let limits = Limits { subscriptions: 3, topics: 10, retained_messages: 5, ..Limits::default() };
    let broker = Broker::with(limits).await;
    let mut tap = Raw::tap(broker.taps, 60).await;
    for n in 0..5u8 {
        tap.send(&subscribe(1, &format!("tickberry/v1/{n}"))).await;
        let granted = if n < 3 { 0 } else { 0x80 };
        assert_eq!(tap.packet().await, Some((0x90, vec![0, 1, granted])));
    }
    tap.send(&packet(0xa2, b"\0\x02\0\x0etickberry/v1/0")).await;
    assert_eq!(tap.packet().await, Some((0xb0, vec![0, 2])));
    tap.send(&subscribe(3, "tickberry/v1/+")).await;
    assert_eq!(tap.packet().await, Some((0x90, vec![0, 3, 0])), "the place is free again");
    let mut service = Raw::service(&broker, "many").await;
    for n in 0..30u8 {
        let mut message = publish(format!("tickberry/v1/{n:02}").as_bytes(), b"x");
        message[0] |= 1;
        service.send(&message).await;
    }
    eventually("counted", || broker.metric(&["dropped", "\"topics\""]) == 20).await;
    eventually("counted", || broker.metric(&["dropped", "taps", "\"retained\""]) == 5).await;
    assert_eq!(broker.metric(&["retained_messages", "taps"]), 5);
    for n in 0..10 {
        assert_eq!(tap.publish().await.unwrap().1, format!("tickberry/v1/{n:02}"), "the known topics go on");
    }
    broker.stop().await;
}

/// May publish one topic and subscribe one filter.
struct OneTopic;

impl Authenticator for OneTopic {
    fn admit(&self, credentials: &Credentials<'_>) -> Result<Rights, Refusal> {
        if credentials.client_id != "gateway" {
            return Err(Refusal::NotAuthorized);
        }
        let [publish, subscribe] =
            ["tickberry/v1/batches/finnhub", "tickberry/v1/status/+/+"].map(|f| vec![f.to_owned()]);
        Ok(Rights { publish, subscribe })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_are_kept_to() {
    let any = ([127, 0, 0, 1], 0).into();
    let config = Config { taps: any, services: any, limits: Limits::default() };
    let built = build(config, Arc::new(OneTopic)).await.unwrap();
    let address = built.service_address();
    let running = tokio::spawn(built.run(Default::default()));
    let enter = |id: &'static str, will: Option<&'static str>| async move {
        let mut raw = Raw::open(address).await;
        raw.send(&connect(id, 60, None, will.map(|topic| (topic, "x")))).await;
        (raw.packet().await.unwrap().1[1], raw)
    };
    assert_eq!(enter("console", None).await.0, 5);
    assert_eq!(enter("gateway", Some("tickberry/v1/batches/other")).await.0, 5, "nor in a will");
    let (0, mut raw) = enter("gateway", Some("tickberry/v1/batches/finnhub")).await else { panic!() };
    for (filter, granted) in [("#", 0x80), ("tickberry/v1/status/#", 0x80), ("tickberry/v1/status/a/+", 0)] {
        raw.send(&subscribe(1, filter)).await;
        assert_eq!(raw.packet().await, Some((0x90, vec![0, 1, granted])), "{filter}");
    }
    raw.send(&publish(b"tickberry/v1/batches/finnhub", b"x")).await;
    raw.send(&packet(0xc0, &[])).await;
    assert_eq!(raw.packet().await, Some((0xd0, vec![])), "still there");
    raw.send(&publish(b"tickberry/v1/batches/other", b"x")).await;
    assert!(raw.is_closed().await);
    running.abort();
}
