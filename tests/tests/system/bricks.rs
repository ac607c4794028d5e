//! Every known way to brick or kill the broker inside, tried on the tap listener while trades stream through.
//!
//! After each: the trades go on, a new tap hears them, and the feed never had to connect again.

use crate::feed::Feed;
use anyhow::{Context, Result, ensure};
use std::net::SocketAddr;
use std::time::Duration;
use tickberry_tests::harness::{SOURCE, Tap, TempHome, Up, UpOptions, eventually, raw, turn};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const ALL: &str = "tickberry/v1/#";
const TRADES: &str = "tickberry/v1/trades/#";

struct Streaming {
    home: TempHome,
    feed: Feed,
    up: Up,
    /// Connected before the attack; it must hear trades all the time and never be thrown out.
    witness: Tap,
}

impl Streaming {
    async fn start(name: &str) -> Streaming {
        let home = TempHome::new(name);
        let feed = Feed::generated(10.0).await;
        let up = Up::start(&home, &UpOptions::new(&home, feed.address())).await.unwrap();
        eventually(Duration::from_secs(20), "it streams", async || {
            let stream = up.http.stream(SOURCE).await?;
            ensure!(stream.stored > 0, "{stream:?}");
            Ok(())
        })
        .await
        .unwrap();
        let witness = Tap::on(up.options.mqtt, TRADES).await.unwrap();
        Streaming { home, feed, up, witness }
    }

    fn taps(&self) -> SocketAddr {
        self.up.options.mqtt
    }

    async fn streams_on(mut self) {
        let (before, heard) = (self.up.http.stream(SOURCE).await.unwrap(), self.witness.count());
        let newcomer = Tap::on(self.taps(), TRADES).await.expect("a new tap is let in");
        let Streaming { up, witness, .. } = &mut self;
        eventually(
            Duration::from_secs(20),
            "trades go on to the journal, to the store and to taps",
            async || {
                up.process.must_live()?;
                let now = up.http.stream(SOURCE).await?;
                ensure!(now.epoch == before.epoch, "another epoch: {now:?} after {before:?}");
                ensure!(now.stored > before.head + 20, "{now:?} after {before:?}");
                ensure!(newcomer.count() > 20, "a new tap heard {}", newcomer.count());
                ensure!(witness.count() > heard + 20, "the old tap heard {} after {heard}", witness.count());
                Ok(())
            },
        )
        .await
        .unwrap();
        assert_eq!(self.witness.connections(), 1, "an innocent tap was thrown out");
        assert_eq!(self.feed.connections(), 1, "one and the same connection to the feed");
        self.up.stop().await.unwrap();
        drop(self.home);
    }
}

/// Talks to the tap listener without caring what it answers.
async fn say(address: SocketAddr, packets: &[Vec<u8>]) -> Result<TcpStream> {
    let mut socket = TcpStream::connect(address).await?;
    for packet in packets {
        // It may already have been thrown out, and rightly so.
        if socket.write_all(packet).await.is_err() {
            break;
        }
    }
    Ok(socket)
}

#[tokio::test]
async fn k1_client_ids_of_filter_characters_twice() {
    let _turn = turn().await;
    let s = Streaming::start("k1").await;
    for id in ["a+b", "$SYS", "#", "a/b", "+", "é", ""] {
        for _ in 0..3 {
            let socket = say(s.taps(), &[raw::connect(id, true, 30), raw::subscribe(ALL, 0)]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
            drop(socket);
        }
    }
    s.streams_on().await;
}

#[tokio::test]
async fn k2_a_publish_whose_topic_begins_with_two_bytes() {
    let _turn = turn().await;
    let s = Streaming::start("k2").await;
    let _subscribed = Tap::on(s.taps(), "#").await.unwrap();
    for topic in ["é/x", "\u{1F353}", "", "$SYS/x", "tickberry/v1/trades/finnhub/X"] {
        let mut socket = raw::connected(s.taps(), "k2", true).await.unwrap();
        socket.write_all(&raw::publish(topic, b"1")).await.unwrap();
        gone(&mut socket).await.unwrap();
    }
    let forged = s.witness.heard().into_iter().any(|m| m.payload.as_ref() == b"1");
    assert!(!forged, "a tap must not be able to publish");
    s.streams_on().await;
}

/// The other side must close.
async fn gone(socket: &mut TcpStream) -> Result<()> {
    use tokio::io::AsyncReadExt;
    let mut rest = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(5), socket.read_to_end(&mut rest));
    // A reset is an end as well.
    let _closed_or_reset = end.await.context("the connection is still open")?;
    Ok(())
}

#[tokio::test]
async fn k3_the_last_of_a_shared_group_leaves() {
    let _turn = turn().await;
    let s = Streaming::start("k3").await;
    for round in 0..4 {
        let id = format!("k3-{}", round % 2);
        let packets = [raw::connect(&id, false, 30), raw::subscribe("$share/g/tickberry/v1/#", 1)];
        let socket = say(s.taps(), &packets).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(socket);
    }
    s.streams_on().await;
}

#[tokio::test]
async fn k4_more_connections_than_there_are_places_then_again() {
    let _turn = turn().await;
    let s = Streaming::start("k4").await;
    for _ in 0..2 {
        let mut crowd = Vec::new();
        for i in 0..300 {
            let Ok(socket) = say(s.taps(), &[raw::connect(&format!("k4-{i}"), true, 30)]).await else {
                break;
            };
            crowd.push(socket);
        }
        // The refused ones retry with their own ids, while the places are taken.
        for i in 200..300 {
            let _refused_or_not = say(s.taps(), &[raw::connect(&format!("k4-{i}"), true, 30)]).await;
        }
        drop(crowd);
    }
    s.streams_on().await;
}

#[tokio::test]
async fn k5_a_reset_before_the_answer() {
    let _turn = turn().await;
    let s = Streaming::start("k5").await;
    for _ in 0..3 {
        for i in 0..40 {
            let socket = say(s.taps(), &[raw::connect(&format!("k5-{i}"), true, 30)]).await.unwrap();
            socket.set_zero_linger().unwrap();
        }
    }
    s.streams_on().await;
}

#[tokio::test]
async fn k6_backlogged_taps_that_leave_politely() {
    let _turn = turn().await;
    let s = Streaming::start("k6").await;
    for _ in 0..40 {
        let mut behind = raw::connected(s.taps(), "k6", true).await.unwrap();
        behind.write_all(&raw::subscribe(ALL, 0)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(30)).await;
        behind.write_all(&raw::DISCONNECT).await.unwrap();
    }
    s.streams_on().await;
}

#[tokio::test]
async fn k7_connections_that_say_nothing() {
    let _turn = turn().await;
    let s = Streaming::start("k7").await;
    let mut idle = Vec::new();
    for i in 0..50 {
        let half = raw::connect("k7", true, 30);
        let said = if i % 2 == 0 { vec![] } else { vec![half[..7].to_vec()] };
        idle.push(say(s.taps(), &said).await.unwrap());
    }
    s.streams_on().await;
}

#[tokio::test]
async fn k8_coming_and_going() {
    let _turn = turn().await;
    let s = Streaming::start("k8").await;
    for i in 0..600 {
        let mut socket = raw::connected(s.taps(), &format!("k8-{}", i % 7), true).await.unwrap();
        if i % 3 == 0 {
            socket.write_all(&raw::subscribe(ALL, 0)).await.unwrap();
        }
    }
    s.streams_on().await;
}

#[tokio::test]
async fn k9_taps_that_never_read() {
    let _turn = turn().await;
    let s = Streaming::start("k9").await;
    let mut stalled = Vec::new();
    for i in 0..10 {
        stalled.push(
            say(s.taps(), &[raw::connect(&format!("k9-{i}"), true, 2), raw::subscribe("#", 0)])
                .await
                .unwrap(),
        );
    }
    s.streams_on().await;
}

/// Bytes that are no MQTT at all, of every first byte, and lengths that promise too much.
#[tokio::test]
async fn noise() {
    let _turn = turn().await;
    let s = Streaming::start("noise").await;
    for first in 0..=255u8 {
        drop(say(s.taps(), &[vec![first, 0xff, 0xff, 0xff, 0x7f, 1, 2, 3]]).await.unwrap());
        drop(say(s.taps(), &[raw::connect("noise", true, 30), vec![first, 0x03, 0, 0, 0]]).await.unwrap());
    }
    drop(say(s.taps(), &[b"GET / HTTP/1.1\r\n\r\n".to_vec()]).await.unwrap());
    s.streams_on().await;
}
