//! Every way the real one misbehaves, over a real socket.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::time::{Duration, Instant};

use common::{Client, start};
use futures_util::StreamExt as _;
use tickberry_simulator::{
    After, Config, Generated, OnReconnect, Recorded, SecondConnection, SessionSpec, Speed, Step, Trouble,
    schedule,
};
use tokio_tungstenite::tungstenite::{Error, Message};

const BTC: &str = "BINANCE:BTCUSDT";

/// A busy market, and this script.
fn scripted(script: Vec<Step>) -> Config {
    let generated = Generated { rate: 20.0, ..Generated::default() };
    Config { generated, script, ..Config::default() }
}

fn step(after: After, trouble: Trouble) -> Step {
    Step { after, trouble }
}

fn now(trouble: Trouble) -> Step {
    step(After::Nothing, trouble)
}

fn status(error: Error) -> u16 {
    match error {
        Error::Http(answer) => answer.status().as_u16(),
        other => panic!("no HTTP answer: {other}"),
    }
}

/// How the connection ends: the close code, or what the library says of the TCP connection.
async fn ending(client: &mut Client) -> String {
    loop {
        match tokio::time::timeout(common::PATIENCE, client.ws.next()).await.expect("an end in time") {
            Some(Ok(Message::Close(frame))) => {
                return format!("close {}", frame.map_or(0, |f| f.code.into()));
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return error.to_string(),
            None => return "end".to_owned(),
        }
    }
}

#[tokio::test]
async fn strange_frames_come_and_the_stream_goes_on() {
    let named = Trouble::frames();
    let troubles =
        named.iter().map(|(_, trouble)| trouble.clone()).chain([Trouble::Frame("the end".to_owned())]);
    let simulator = start(scripted(troubles.map(|trouble| step(After::Frames(1), trouble)).collect())).await;
    let mut client = simulator.subscribed(&[BTC]).await;
    let (mut binary, mut not_json, mut longest) = (0, 0, 0);
    loop {
        match client.message().await.expect("connected") {
            Message::Binary(_) => binary += 1,
            Message::Text(text) if text == "the end" => break,
            Message::Text(text) => {
                longest = longest.max(text.len());
                not_json += usize::from(serde_json::from_str::<serde_json::Value>(&text).is_err());
            }
            other => panic!("{other}"),
        }
    }
    // The duplicate is counted as a copy.
    assert_eq!(simulator.control.until(|c| c.copies > 0).await.strange, named.len() as u64);
    assert_eq!((binary, longest), (1, 10_000_000));
    assert!(not_json >= 5, "{not_json}");
    assert!(!client.trades().await.expect("connected").is_empty());
    assert_eq!(simulator.control.counts().connections, 1);
}

#[tokio::test]
async fn odd_members_say_what_was_asked_for() {
    let odd = |member, text: &str| now(Trouble::Odd { member, text: text.to_owned() });
    let steps = vec![odd('p', "1e400"), odd('v', "NaN"), odd('c', ""), odd('c', r#"["1"]"#), odd('t', "0")];
    let simulator =
        start(Config { generated: Generated { rate: 1e-6, ..Generated::default() }, ..scripted(steps) })
            .await;
    let mut client = simulator.subscribed(&["BINANCE:ETHUSDT"]).await;
    for part in
        [r#""p":1e400,"s":"BINANCE:ETHUSDT""#, r#""v":NaN}"#, r#"[{"p""#, r#""c":["1"],"#, r#""t":0,"#]
    {
        let text = client.text().await;
        assert!(text.contains(part), "{text} lacks {part}");
    }
}

#[tokio::test]
async fn a_silent_stall_is_silent() {
    let stall = Trouble::Stall { lasts: Some(Duration::from_millis(300)) };
    let config =
        Config { ping_every: Duration::from_millis(10), ..scripted(vec![step(After::Frames(3), stall)]) };
    let simulator = start(config).await;
    let mut client = simulator.subscribed(&[BTC]).await;
    let mut last = Instant::now();
    let mut longest = Duration::ZERO;
    while longest < Duration::from_millis(290) {
        assert!(client.message().await.is_some(), "TCP stays up");
        longest = longest.max(last.elapsed());
        last = Instant::now();
    }
    client.trades().await.expect("it goes on");
}

#[tokio::test]
async fn a_stall_for_ever_ends_with_the_client() {
    let long = Some(Duration::from_secs(3600));
    let stalls = [None, long].map(|lasts| now(Trouble::Stall { lasts }));
    let simulator = start(scripted(stalls.to_vec())).await;
    for _ in stalls {
        let mut client = simulator.subscribed(&[BTC]).await;
        simulator.control.until(|counts| counts.subscriptions == 1).await;
        client.say("still there?").await;
        drop(client);
        simulator.control.until(|counts| counts.open == 0).await;
    }
    assert_eq!(simulator.control.counts().frames, 0);
}

#[tokio::test]
async fn connections_end_in_every_way() {
    let simulator = start(scripted(vec![
        step(After::Frames(5), Trouble::Close(1001)),
        step(After::Trades(5), Trouble::Reset),
        step(After::Time(Duration::from_millis(20)), Trouble::Hangup),
    ]))
    .await;
    let endings = [
        ending(&mut simulator.subscribed(&[BTC]).await).await,
        ending(&mut simulator.subscribed(&[BTC]).await).await,
        ending(&mut simulator.subscribed(&[BTC]).await).await,
    ];
    assert_eq!(endings[0], "close 1001");
    assert!(endings[1].contains("reset"), "{endings:?}");
    assert!(endings[2].contains("without closing handshake"), "{endings:?}");
    let counts = simulator.control.until(|counts| counts.open == 0).await;
    assert_eq!((counts.connections, counts.subscriptions), (3, 0));
}

#[tokio::test]
async fn handshakes_fail_in_every_way() {
    let hang = Trouble::Hang(Duration::from_millis(200));
    let statuses = [200, 401, 429, 524];
    let steps = statuses.map(|status| now(Trouble::Refuse(status))).into_iter().chain([now(hang)]).collect();
    let simulator = start(scripted(steps)).await;
    for expected in statuses {
        assert_eq!(status(simulator.try_client("key").await.err().unwrap()), expected);
    }
    let began = Instant::now();
    let mut client = simulator.subscribed(&[BTC]).await;
    assert!(began.elapsed() >= Duration::from_millis(200));
    client.trades().await.expect("connected");
    simulator.control.refuse(Some(401));
    simulator.control.drop_connections();
    assert!(ending(&mut client).await.contains("reset"));
    assert_eq!(status(simulator.try_client("key").await.err().unwrap()), 401);
    simulator.control.refuse(None);
    simulator.client().await;
}

#[tokio::test]
async fn a_second_connection_with_the_same_key() {
    let with = |second_connection| Config { second_connection, ..scripted(vec![]) };
    let simulator = start(with(SecondConnection::DropBoth)).await;
    let (mut first, mut other) = (simulator.client().await, simulator.try_client("other").await.unwrap());
    let mut second = simulator.client().await;
    assert_eq!((&*ending(&mut first).await, &*ending(&mut second).await), ("close 1008", "close 1008"));
    other.subscribe(&[BTC]).await;
    other.trades().await.expect("another key is none of their business");
    simulator.client().await;

    let simulator = start(with(SecondConnection::Refuse)).await;
    let mut first = simulator.subscribed(&[BTC]).await;
    assert_eq!(status(simulator.try_client("key").await.err().unwrap()), 429);
    first.trades().await.expect("the first stays");

    let simulator = start(with(SecondConnection::DropFirst)).await;
    let mut first = simulator.client().await;
    let mut second = simulator.subscribed(&[BTC]).await;
    assert_eq!(ending(&mut first).await, "close 1008");
    second.trades().await.expect("the second stays");
}

#[tokio::test]
async fn frames_can_be_put_in() {
    let simulator = start(Config::default()).await;
    let mut client = simulator.client().await;
    simulator.control.until(|counts| counts.open == 1).await;
    assert!(simulator.control.inject("anything"));
    assert_eq!(client.text().await, "anything");
    simulator.control.trouble(Trouble::UnknownType);
    client.subscribe(&["AAPL"]).await;
    assert!(client.text().await.contains("news"));
}

fn long_recording(on_reconnect: OnReconnect) -> Config {
    let session = SessionSpec {
        symbols: vec![BTC.to_owned()],
        from_ms: 1_795_276_800_000,
        length: Duration::from_secs(3600),
    };
    let recorded =
        Recorded { session: Some(session), speed: Speed::Max, on_reconnect, ..Recorded::default() };
    Config { recorded, ..Config::default() }
}

#[tokio::test]
async fn at_once_waits_for_a_client_that_does_not_read() {
    let config = long_recording(OnReconnect::Continue);
    let all = schedule(&config).unwrap().unwrap().len() as u64;
    let simulator = start(Config { frame_trades: 500, ..config }).await;
    let mut client = simulator.subscribed(&[BTC]).await;
    // Nothing more is taken once the sockets are full.
    let mut before = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let trades = simulator.control.counts().trades;
        if trades > 0 && trades == before {
            break;
        }
        before = trades;
    }
    assert!(before < all, "{before} of {all} trades went nowhere");
    let mut received = 0;
    while received < all {
        received += client.trades().await.expect("connected").len() as u64;
    }
    assert_eq!(simulator.control.until(|counts| counts.ended == 1).await.trades, all);
}

#[tokio::test]
async fn who_comes_back_gets_the_rest_or_all_of_it() {
    for (on_reconnect, whole) in [(OnReconnect::Continue, false), (OnReconnect::Restart, true)] {
        let config = long_recording(on_reconnect);
        let all = schedule(&config).unwrap().unwrap().len();
        let simulator = start(config).await;
        let mut client = simulator.subscribed(&[BTC]).await;
        client.trades().await.expect("connected");
        simulator.control.drop_connections();
        ending(&mut client).await;
        let sent = simulator.control.counts().trades as usize;
        let mut client = simulator.subscribed(&[BTC]).await;
        let expected = if whole { all } else { all - sent };
        let mut received = 0;
        // The frame that was on its way when the connection went is taken, and not counted.
        while received + 10 < expected {
            received += client.trades().await.expect("connected").len();
        }
        let counts = simulator.control.until(|counts| counts.ended == 1).await;
        let second = counts.trades as usize - sent;
        assert!((expected - second) <= 10, "{second} of {expected}");
    }
}
