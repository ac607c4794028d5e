//! The simulator over a real socket.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::time::Duration;

use common::start;
use tickberry_simulator::{Config, Generated, Recorded, SessionSpec, Speed, TOO_MANY, schedule, trade_frame};
use tokio_tungstenite::tungstenite::Error;

const BTC: &str = "BINANCE:BTCUSDT";
const ETH: &str = "BINANCE:ETHUSDT";
const SATURDAY: i64 = 1_795_276_800_000;

fn recorded(recorded: Recorded) -> Config {
    let symbols = vec![BTC.to_owned(), ETH.to_owned()];
    let session = SessionSpec { symbols, from_ms: SATURDAY, length: Duration::from_secs(120) };
    Config { recorded: Recorded { session: Some(session), ..recorded }, ..Config::default() }
}

fn at_once() -> Config {
    recorded(Recorded { speed: Speed::Max, ..Recorded::default() })
}

fn status(error: Error) -> u16 {
    match error {
        Error::Http(answer) => answer.status().as_u16(),
        other => panic!("no HTTP answer: {other}"),
    }
}

#[tokio::test]
async fn a_generated_market_streams() {
    let simulator = start(Config::default()).await;
    let mut client = simulator.subscribed(&[BTC, ETH]).await;
    let mut trades = Vec::new();
    while trades.len() < 50 {
        trades.extend(client.trades().await.expect("connected"));
    }
    assert!(trades.iter().all(|t| t["s"] == BTC || t["s"] == ETH));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    assert!(trades.iter().all(|t| (now - t["t"].as_i64().unwrap()).abs() < 30_000));
}

#[tokio::test]
async fn a_recording_comes_whole_and_in_order() {
    for frame_trades in [1, 10, 500] {
        let config = Config { frame_trades, ..at_once() };
        let played = schedule(&config).unwrap().unwrap();
        let simulator = start(config.clone()).await;
        let mut client = simulator.subscribed(&[ETH, BTC]).await;
        for frame in played.chunks(frame_trades) {
            let mut rng = rand::SeedableRng::seed_from_u64(0);
            let expected = trade_frame(frame.iter().map(|s| &s.trade), config.style, &mut rng);
            assert_eq!(client.text().await, expected);
        }
        let counts = simulator.control.until(|counts| counts.ended == 1).await;
        assert_eq!((counts.trades, counts.connections), (played.len() as u64, 1));
        assert_eq!(counts.frames, played.len().div_ceil(frame_trades) as u64);
    }
}

#[tokio::test]
async fn the_files_come_whole() {
    let (Some(btc), Some(eth)) = (common::data(common::BTC), common::data(common::ETH)) else { return };
    let recorded = Recorded {
        files: vec![btc, eth],
        speed: Speed::Max,
        shuffle: Duration::from_secs(5),
        ..Recorded::default()
    };
    let simulator = start(Config { recorded, repeat_frames: 2, ..Config::default() }).await;
    let mut client = simulator.subscribed(&[BTC, ETH]).await;
    let mut received = 0;
    while received < 15_863 {
        received += client.trades().await.expect("connected").len() as u64;
    }
    let counts = simulator.control.until(|counts| counts.ended == 1).await;
    assert!(counts.copies > 1000, "{counts:?}");
    assert_eq!(counts.trades - counts.copies, 15_863);
    while received < counts.trades {
        received += client.trades().await.expect("connected").len() as u64;
    }
    assert_eq!(received, counts.trades);
}

#[tokio::test]
async fn real_speed_takes_its_time() {
    // 120 s at 100 times the speed.
    let simulator = start(recorded(Recorded { speed: Speed::Times(100.0), ..Recorded::default() })).await;
    let began = std::time::Instant::now();
    let mut client = simulator.subscribed(&[BTC, ETH]).await;
    client.trades().await.expect("connected");
    simulator.control.until(|counts| counts.ended == 1).await;
    let took = began.elapsed();
    assert!((Duration::from_millis(1100)..Duration::from_secs(10)).contains(&took), "{took:?}");
}

#[tokio::test]
async fn pings_go_on_while_a_stock_market_is_closed() {
    let config = Config {
        ping_every: Duration::from_millis(30),
        generated: Generated { pretend_ms: Some(SATURDAY), ..Generated::default() },
        ..Config::default()
    };
    let simulator = start(config).await;
    let mut client = simulator.subscribed(&["AAPL", "no such symbol"]).await;
    for _ in 0..20 {
        assert_eq!(client.text().await, r#"{"type":"ping"}"#);
    }
    assert_eq!(simulator.control.counts().trades, 0);
}

#[tokio::test]
async fn the_plans_limit_is_kept() {
    let simulator = start(Config { max_symbols: 3, ..Config::default() }).await;
    let mut client = simulator.subscribed(&["AAPL", "TSLA", "XOM", "XOM", "SPY"]).await;
    assert_eq!(client.text().await, TOO_MANY);
    client.say(r#"{"type":"unsubscribe","symbol":"XOM"}"#).await;
    client.say("hello?").await;
    client.subscribe(&["SPY"]).await;
    let counts =
        simulator.control.until(|c| c.not_understood == 1 && c.subscriptions == 3 && c.over_limit == 1).await;
    assert_eq!(counts.connections, 1);
}

#[tokio::test]
async fn keys_are_checked() {
    let simulator = start(Config { tokens: vec!["good".to_owned()], ..Config::default() }).await;
    assert_eq!(status(simulator.try_client("bad").await.err().unwrap()), 401);
    assert_eq!(status(simulator.try_client("").await.err().unwrap()), 401);
    drop(simulator.try_client("good").await.unwrap());
    assert_eq!(simulator.control.counts().refused, 2);
    // Without a list everybody is let in, also who has none.
    let simulator = start(Config::default()).await;
    drop(simulator.try_client("").await.unwrap());
}

#[tokio::test]
async fn it_stops_when_told_to() {
    let simulator = start(Config::default()).await;
    let mut client = simulator.subscribed(&[BTC]).await;
    client.trades().await.expect("connected");
    simulator.shutdown.cancel();
    while client.message().await.is_some() {}
    tokio::time::timeout(Duration::from_secs(3), simulator.task).await.expect("in time").unwrap();
}
