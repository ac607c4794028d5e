//! Trouble around the broker: ports, limits, versions, the router's death.

use crate::harness::{Broker, PATIENCE, Raw, packet, subscribe};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tickberry_broker::{Config, Limits, SharedSecret, build};
use tickberry_service::mqtt::{self, BusConfig, Event};

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_an_error_that_names_it_and_a_free_one_is_free_again_afterwards() {
    let broker = Broker::start().await;
    let (taps, services) = (broker.taps, broker.services);
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    for config in [
        Config { taps, services: any, limits: Limits::default() },
        Config { taps: any, services, limits: Limits::default() },
    ] {
        let error = build(config, Arc::new(SharedSecret::generate())).await.err().expect("the port is taken");
        assert!(error.is_address_in_use(), "{error}");
        let text = error.to_string();
        assert!(text.contains(&taps.to_string()) || text.contains(&services.to_string()), "{text}");
        assert!(text.contains("choose another address"), "{text}");
    }
    broker.stop().await;
    let config = Config { taps, services, limits: Limits::default() };
    build(config, Arc::new(SharedSecret::generate())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_the_router_would_die_of_are_refused() {
    for limits in
        [Limits { segment_bytes: 100, ..Limits::default() }, Limits { segments: 0, ..Limits::default() }]
    {
        let config = Config { limits, ..Config::default() };
        let error = build(config, Arc::new(SharedSecret::generate())).await.err().expect("refused");
        assert!(error.to_string().contains("limits.segment"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_with_the_wrong_password_hears_why_and_keeps_trying() {
    let broker = Broker::start().await;
    let address = broker.services.to_string();
    let bus = BusConfig { address, username: Some("tickberry".into()), password: Some("wrong".into()) };
    let (publisher, mut events) = mqtt::connect(bus, "impostor", None, vec![]);
    for _ in 0..2 {
        let Event::Down(reason) = crate::harness::next(&mut events).await else { panic!() };
        assert!(reason.contains("BadUserNamePassword"), "{reason}");
    }
    assert!(!publisher.is_connected());
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_is_quick_whatever_clients_do() {
    let broker = Broker::start().await;
    let _silent = Raw::open(broker.taps).await;
    let mut tap = Raw::tap(broker.taps, 60).await.subscribed("#").await;
    let mut service = Raw::service(&broker, "x").await;
    let started = std::time::Instant::now();
    broker.stop().await;
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert!(tap.is_closed().await && service.is_closed().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_new_and_unknown_versions() {
    let broker = Broker::start().await;
    let connect = |name: &str, level: u8, rest: &[u8]| {
        let name = [&[0, name.len() as u8][..], name.as_bytes()].concat();
        packet(0x10, &[&name[..], &[level, 2, 0, 60], rest].concat())
    };
    let mut old = Raw::open(broker.taps).await;
    old.send(&connect("MQIsdp", 3, b"\0\x01o")).await;
    let mut old = old.subscribed_after_connack("tickberry/v1/#").await;

    let mut new = Raw::open(broker.taps).await;
    new.send(&connect("MQTT", 5, b"\0\0\0")).await;
    let (kind, body) = new.packet().await.unwrap();
    assert_eq!((kind, &body[..2]), (0x20, &[0, 0][..]));
    assert!(body.windows(5).any(|w| w == b"taps-"), "a client without an id is given one");
    new.send(&packet(0x82, b"\0\x01\0\0\x0etickberry/v1/#\x01")).await;
    assert_eq!(new.packet().await, Some((0x90, vec![0, 1, 0, 0])));

    let mut unknown = Raw::open(broker.taps).await;
    unknown.send(&connect("MQTT", 6, b"\0\x01u")).await;
    assert_eq!(unknown.packet().await, Some((0x20, vec![0, 1])));
    assert!(unknown.is_closed().await);

    let (publisher, _events) = broker.service("publisher", None, &[]).await;
    assert!(publisher.publish("tickberry/v1/x".into(), "hello".into(), false));
    assert_eq!(old.publish().await.unwrap().2, b"hello");
    assert_eq!(new.publish().await.unwrap().2, b"\0hello", "no properties, then the payload");
    new.send(&packet(0x30, b"\0\x01a\0x")).await;
    assert_eq!(new.packet().await, Some((0xe0, vec![0x87, 0])), "told why: not authorized");
    assert!(new.is_closed().await);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retain_handling_and_subscribing_again() {
    let broker = Broker::start().await;
    let (publisher, _events) = broker.service("publisher", None, &[]).await;
    assert!(publisher.publish("tickberry/v1/live/s/S".into(), "kept".into(), true));
    crate::harness::eventually("retained", || broker.metric(&["retained_messages"]) == 2).await;
    let mut tap = Raw::tap(broker.taps, 60).await.subscribed("tickberry/v1/#").await;
    assert!(tap.publish().await.unwrap().0);
    tap.send(&subscribe(2, "tickberry/v1/#")).await;
    assert_eq!(tap.packet().await, Some((0x90, vec![0, 2, 0])));
    assert!(tap.publish().await.unwrap().0, "again, as the specification wants it");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_outlives_its_broker_only_as_long_as_it_is_wanted() {
    let broker = Broker::start().await;
    let (publisher, mut events) = broker.service("x", None, &[]).await;
    publisher.close().await;
    assert_eq!(tokio::time::timeout(PATIENCE, events.recv()).await.unwrap(), None, "closed for good");
    crate::harness::eventually("gone", || broker.metric(&["_connections{", "services"]) == 0).await;
    broker.stop().await;
}
