//! Every known way to brick or kill rumqttd 0.20, tried against both listeners while a stream runs. (The numbers are
//! those of the project's notes on rumqttd: K1 to K9.)

use crate::harness::{Broker, Raw, eventually, packet, publish, subscribe, unique};
use crate::stream::{Stream, will};
use std::time::Duration;
use tickberry_broker::Limits;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

async fn stream() -> Stream {
    Stream::over(Broker::start().await).await
}

/// Everything a stalled client's socket buffers take, and more.
const FLOOD: usize = 12 << 20;

/// Publishes that many bytes, fast, as one service.
async fn flood(stream: &Stream, bytes: usize) {
    let before = stream.broker.metric(&["received_messages_total"]);
    let mut raw = Raw::service(&stream.broker, &unique()).await;
    let message = publish(b"tickberry/v1/flood", &[7; 8 << 10]);
    let count = bytes / message.len() + 1;
    for _ in 0..count {
        raw.send(&message).await;
    }
    eventually("the flood is in", || {
        stream.broker.metric(&["received_messages_total"]) >= before + count as u64
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn k1_client_ids_of_wildcards_twice() {
    let stream = stream().await;
    for door in stream.doors() {
        for id in ["a+b", "$SYS", "a/b", "#", "+", "é", "", &"x".repeat(300)] {
            for _ in 0..2 {
                let mut raw = Raw::open(door.address).await;
                raw.send(&door.connect(id, 60)).await;
                let refused = if door.secret.is_some() { 2 } else { 0 };
                assert_eq!(raw.packet().await, Some((0x20, vec![0, refused])), "{} {id:?}", door.name);
            }
        }
        stream.goes_on("odd client ids").await;
    }
    stream.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn k2_topics_that_begin_with_a_multi_byte_character() {
    let stream = stream().await;
    for door in stream.doors() {
        let topics: [&[u8]; 7] = [
            "é/x".as_bytes(),
            "tickberry/v1/é".as_bytes(),
            b"\xff\xfe",
            b"",
            b"$SYS/x",
            b"tickberry/v1/+",
            b"other/x",
        ];
        for topic in topics {
            let mut raw = door.enter(&unique()).await;
            raw.send(&publish(topic, b"x")).await;
            assert!(raw.is_closed().await, "{} {topic:?}", door.name);
        }
        for filter in ["é/#", "日本", "tickberry/v1/é/+"] {
            let mut raw = door.enter(&unique()).await;
            raw.send(&subscribe(1, filter)).await;
            assert_eq!(raw.packet().await.map(|(kind, _)| kind), Some(0x90));
        }
        stream.goes_on("non-ASCII topics").await;
    }
    let mut raw = Raw::open(stream.broker.services).await;
    raw.send(&crate::harness::connect("w", 60, Some(&stream.broker.secret), Some(("é/x", "will")))).await;
    assert_eq!(raw.packet().await, Some((0x20, vec![0, 5])), "a will, too, has a topic");
    stream.goes_on("a will on a non-ASCII topic").await;
    stream.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn k3_shared_persistent_subscriptions_that_are_never_acknowledged() {
    let stream = stream().await;
    for door in stream.doors() {
        for _ in 0..3 {
            let mut raw = Raw::open(door.address).await;
            let mut connect = door.connect("shared", 60);
            // The flags follow type, length, the protocol's name and level: no clean session.
            connect[9] &= !2;
            raw.send(&connect).await;
            assert_eq!(raw.packet().await, Some((0x20, vec![0, 0])), "never a session present");
            raw.send(&subscribe(1, "$share/group/tickberry/v1/batches/#")).await;
            assert_eq!(raw.packet().await, Some((0x90, vec![0, 1, 0x80])), "no shared subscriptions");
            raw.send(&packet(0x82, b"\0\x02\0\x16tickberry/v1/batches/#\x01")).await;
            assert_eq!(raw.packet().await, Some((0x90, vec![0, 2, 0])), "QoS 1 is granted as QoS 0");
            raw.send(&packet(0xe0, &[])).await;
            assert!(raw.is_closed().await);
        }
        stream.goes_on("shared subscriptions").await;
    }
    stream.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn k4_more_connections_than_allowed_and_again_with_the_same_id() {
    let limits = Limits { taps: 6, services: 6, ..Limits::default() };
    let stream = Stream::over(Broker::with(limits).await).await;
    for door in stream.doors() {
        let mut inside = Vec::new();
        let mut refused = 0;
        for n in 0..12 {
            for _ in 0..3 {
                let mut raw = Raw::open(door.address).await;
                raw.send(&door.connect(&format!("same{n}"), 60)).await;
                match raw.packet().await {
                    Some((0x20, body)) if body == [0, 0] => inside.push(raw),
                    Some((0x20, body)) if body == [0, 3] => refused += 1,
                    other => panic!("{other:?}"),
                }
            }
        }
        assert!(refused > 10, "{refused}");
        drop(inside);
        let name = door.name;
        let base = if name == "taps" { 1 } else { 2 };
        eventually("places are free again", || stream.broker.metric(&["_connections{", name]) == base).await;
        stream.goes_on("too many connections").await;
    }
    stream.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn k5_resets_before_connack_and_the_same_ids_again() {
    let stream = stream().await;
    for door in stream.doors() {
        for round in 0..5 {
            for id in 0..20 {
                let raw = Raw::open(door.address).await;
                let connect = door.connect(&format!("reset{id}"), 60);
                let part = if round % 2 == 0 { connect.len() } else { connect.len() / 2 };
                let mut socket = raw.stream;
                socket.write_all(&connect[..part]).await.unwrap();
                socket.set_zero_linger().unwrap();
                drop(socket);
            }
        }
        drop(door.enter("reset0").await);
        stream.goes_on("resets before CONNACK").await;
    }
    stream.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn k6_backlogged_subscribers_that_say_goodbye() {
    let stream = stream().await;
    for door in stream.doors() {
        let mut backlogged = Vec::new();
        for n in 0..8 {
            backlogged.push(door.enter(&format!("backlogged{n}")).await.subscribed("tickberry/v1/#").await);
        }
        flood(&stream, FLOOD).await;
        for raw in &mut backlogged {
            raw.send(&packet(0xe0, &[])).await;
        }
        flood(&stream, 1 << 20).await;
        drop(backlogged);
        for _ in 0..100 {
            let mut raw = door.enter("cycle").await.subscribed("tickberry/v1/#").await;
            raw.send(&packet(0xe0, &[])).await;
            assert!(raw.is_closed().await);
        }
        stream.goes_on("goodbyes of backlogged subscribers").await;
    }
    stream.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn k7_connections_that_say_nothing_or_half_a_word() {
    let limits = Limits { connect_timeout: Duration::from_millis(500), ..Limits::default() };
    let stream = Stream::over(Broker::with(limits).await).await;
    for door in stream.doors() {
        let mut idle: Vec<TcpStream> = Vec::new();
        for n in 0..100 {
            let mut socket = TcpStream::connect(door.address).await.unwrap();
            if n % 2 == 0 {
                // The oldest may have had to make room already.
                drop(socket.write_all(&door.connect("slow", 60)[..7]).await);
            }
            idle.push(socket);
        }
        stream.goes_on("a hundred idle connections").await;
        for stream in idle {
            assert!(Raw { stream }.is_closed().await, "whoever says nothing is thrown out");
        }
    }
    stream.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn k8_connections_that_come_and_go() {
    let stream = stream().await;
    for door in stream.doors() {
        for n in 0..400 {
            let mut raw = Raw::open(door.address).await;
            raw.send(&door.connect(&format!("churn{}", n % 7), 60)).await;
            if n % 3 == 0 {
                raw.send(&subscribe(1, "tickberry/v1/#")).await;
            }
            if n % 2 == 0 {
                assert!(raw.packet().await.is_some());
            }
        }
        stream.goes_on("connections that come and go").await;
    }
    stream.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn k9_stalled_subscribers_still_have_a_keep_alive_and_a_will() {
    let stream = stream().await;
    let (_, mut events) = stream.broker.service("watch", None, &["tickberry/v1/status/#"]).await;
    for door in stream.doors() {
        let mut raw = Raw::open(door.address).await;
        let will = will(door.name);
        let said = door.secret.as_ref().map(|_| (will.topic.as_str(), "offline"));
        raw.send(&crate::harness::connect("stalled", 1, door.secret.as_ref(), said)).await;
        let mut raw = raw.subscribed_after_connack("tickberry/v1/#").await;
        flood(&stream, FLOOD).await;
        // It reads nothing and says nothing: gone after one and a half keep-alives, though its writes are stuck.
        let name = door.name;
        eventually("the keep-alive ends it", || {
            stream.broker.metric(&["disconnected", name, "\"keep_alive\""]) == 1
        })
        .await;
        if door.secret.is_some() {
            assert_eq!(crate::harness::message(&mut events).await.0, will.topic);
        }
        assert!(raw.is_closed().await);
        stream.goes_on("a stalled subscriber").await;
    }
    stream.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_ways_to_annoy_a_broker() {
    let stream = stream().await;
    for door in stream.doors() {
        let attacks: [(&str, Vec<u8>); 12] = [
            ("a second CONNECT", door.connect("again", 60)),
            (
                "an acknowledgement of nothing, then out of order",
                [packet(0x40, &[0, 9]), packet(0x40, &[0, 3])].concat(),
            ),
            ("PUBREL of nothing", packet(0x62, &[0, 1])),
            ("a CONNACK", packet(0x20, &[0, 0])),
            ("an UNSUBACK", packet(0xb0, &[0, 1])),
            ("QoS 3", packet(0x36, b"\0\x01a\0\x01x")),
            ("QoS 2", packet(0x34, b"\0\x0etickberry/v1/x\0\x01x")),
            ("an announced 256 MiB", vec![0x30, 0xff, 0xff, 0xff, 0x7f]),
            ("a length without end", vec![0x30, 0xff, 0xff, 0xff, 0xff, 0xff]),
            ("SUBSCRIBE of nothing", packet(0x82, &[0, 1])),
            ("UNSUBSCRIBE of what never was", packet(0xa2, b"\0\x01\0\x01x")),
            ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ];
        for (name, bytes) in attacks {
            let mut inside = door.enter(&unique()).await;
            inside.send(&bytes).await;
            // Some may close while we still write: that is fine.
            drop(inside.stream.write_all(&packet(0xe0, &[])).await);
            assert!(inside.is_closed().await, "{} {name}", door.name);
            let mut outside = Raw::open(door.address).await;
            outside.send(&bytes).await;
            drop(outside.stream.shutdown().await);
            assert!(outside.is_closed().await, "{} {name}, without CONNECT", door.name);
        }
        let mut pings = door.enter(&unique()).await;
        let many = packet(0xc0, &[]).repeat(1 << 20);
        drop(pings.stream.try_write(&many));
        assert!(pings.is_closed().await, "whoever asks faster than it reads is thrown out");
        stream.goes_on("everything else").await;
    }
    stream.end().await;
}
