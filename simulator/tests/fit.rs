//! Does the generated market look like the recorded one?

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::collections::{HashMap, HashSet};

use tickberry_simulator::{Config, Market, Next, Scheduled, Trade, load, session};

/// 2026-11-23 00:00 UTC, a Monday.
const START: i64 = 1_795_392_000_000;

/// What describes a stretch of one symbol's trades, in exchange order.
#[derive(Debug)]
struct Shape {
    per_second: f64,
    shared_ms: f64,
    neighbours_same_ms: f64,
    neighbours_same_price: f64,
    equal: f64,
    worst_ms: usize,
    bursts_over_10_per_minute: f64,
    longest_gap_ms: i64,
    /// Highest over lowest price, minus 1.
    range: f64,
}

impl Shape {
    fn of(trades: &[Trade]) -> Shape {
        let n = trades.len() as f64;
        let span_ms = trades.last().unwrap().time_ms - trades[0].time_ms;
        let mut per_ms: HashMap<i64, usize> = HashMap::new();
        trades.iter().for_each(|t| *per_ms.entry(t.time_ms).or_default() += 1);
        let pairs = |same: fn(&Trade, &Trade) -> bool| {
            trades.windows(2).filter(|pair| same(&pair[0], &pair[1])).count() as f64 / (n - 1.0)
        };
        let mut seen = HashSet::new();
        let equal = trades.iter().filter(|t| !seen.insert((t.time_ms, &t.price, &t.volume))).count();
        let prices = trades.iter().map(|t| t.price.parse::<f64>().unwrap());
        let (low, high) = prices.fold((f64::MAX, 0f64), |(low, high), p| (low.min(p), high.max(p)));
        Shape {
            per_second: n * 1000.0 / span_ms as f64,
            shared_ms: per_ms.values().filter(|&&n| n > 1).sum::<usize>() as f64 / n,
            neighbours_same_ms: pairs(|a, b| a.time_ms == b.time_ms),
            neighbours_same_price: pairs(|a, b| a.price == b.price),
            equal: equal as f64 / n,
            worst_ms: *per_ms.values().max().unwrap(),
            bursts_over_10_per_minute: per_ms.values().filter(|&&n| n > 10).count() as f64 * 60_000.0
                / span_ms as f64,
            longest_gap_ms: trades.windows(2).map(|pair| pair[1].time_ms - pair[0].time_ms).max().unwrap(),
            range: high / low - 1.0,
        }
    }
}

fn generated(seed: u64, symbol: &str, minutes: i64) -> Vec<Scheduled> {
    session(seed, &[symbol.to_owned()], START, START + minutes * 60_000, 1.0)
}

fn shape(seed: u64, symbol: &str, minutes: i64) -> Shape {
    Shape::of(&generated(seed, symbol, minutes).into_iter().map(|s| s.trade).collect::<Vec<_>>())
}

/// Fails unless `value` is within `share` of `target`.
fn near(what: &str, value: f64, target: f64, share: f64) {
    assert!((value - target).abs() <= target * share, "{what} is {value}, recorded {target}");
}

/// The measured figures, so that the comparison bites without the files too.
fn compare(symbol: &str, [per_second, shared, same_ms, same_price, equal, bursts]: [f64; 6]) {
    let shape = shape(1, symbol, 60);
    println!("{symbol} {shape:#?}");
    near("trades a second", shape.per_second, per_second, 0.2);
    near("share in a shared millisecond", shape.shared_ms, shared, 0.05);
    near("neighbours with the same ms", shape.neighbours_same_ms, same_ms, 0.07);
    near("neighbours with the same price", shape.neighbours_same_price, same_price, 0.1);
    near("equal trades", shape.equal, equal, 0.2);
    near("bursts over 10 a minute", shape.bursts_over_10_per_minute, bursts, 0.35);
    assert!((2000..15_000).contains(&shape.longest_gap_ms), "longest gap {} ms", shape.longest_gap_ms);
    assert!((0.002..0.08).contains(&shape.range), "an hour's price range {}", shape.range);
}

#[test]
fn bitcoin_has_the_measured_shape() {
    compare("BINANCE:BTCUSDT", [28.2, 0.768, 0.670, 0.588, 0.145, 26.4]);
}

#[test]
fn ether_has_the_measured_shape() {
    compare("BINANCE:ETHUSDT", [17.7, 0.819, 0.685, 0.682, 0.191, 19.8]);
}

#[test]
fn the_worst_bursts_come() {
    for (symbol, worst) in [("BINANCE:BTCUSDT", 735), ("BINANCE:ETHUSDT", 219)] {
        let seen: Vec<usize> = (1..=5).map(|seed| shape(seed, symbol, 60).worst_ms).collect();
        assert!(seen.iter().all(|&n| n <= worst), "{symbol}: {seen:?}");
        assert!(seen.iter().any(|&n| n > worst / 2), "{symbol}: {seen:?}");
    }
}

#[test]
fn the_files_agree() {
    for (name, symbol) in [(common::BTC, "BINANCE:BTCUSDT"), (common::ETH, "BINANCE:ETHUSDT")] {
        let Some(path) = common::data(name) else { return };
        let recorded = Shape::of(&load(&path).expect("readable"));
        let own = shape(1, symbol, 60);
        println!("{symbol} recorded {recorded:#?} generated {own:#?}");
        for (what, own, recorded, share) in [
            ("trades a second", own.per_second, recorded.per_second, 0.2),
            ("share in a shared millisecond", own.shared_ms, recorded.shared_ms, 0.05),
            ("neighbours with the same ms", own.neighbours_same_ms, recorded.neighbours_same_ms, 0.07),
            (
                "neighbours with the same price",
                own.neighbours_same_price,
                recorded.neighbours_same_price,
                0.1,
            ),
            ("equal trades", own.equal, recorded.equal, 0.2),
        ] {
            near(what, own, recorded, share);
        }
    }
}

/// Neighbouring trades of one symbol that go back in time, as a share; and the furthest step back.
fn disorder(trades: &[Scheduled]) -> (f64, i64) {
    let mut trades: Vec<&Scheduled> = trades.iter().collect();
    trades.sort_by_key(|s| s.release_ms);
    let steps: Vec<i64> =
        trades.windows(2).map(|pair| pair[0].trade.time_ms - pair[1].trade.time_ms).collect();
    (steps.iter().filter(|&&back| back > 0).count() as f64 / steps.len() as f64, *steps.iter().max().unwrap())
}

#[test]
fn trades_are_out_of_order_by_up_to_a_second() {
    let (share, furthest) = disorder(&generated(1, "BINANCE:BTCUSDT", 30));
    println!("{share} back by up to {furthest} ms");
    near("share of neighbours that go back", share, 9.0 / 187.0, 0.4);
    assert!((800..=1000).contains(&furthest), "furthest step back {furthest} ms");
}

#[test]
fn frames_are_mixed_and_often_full() {
    let mut market = Market::new(&Config::default());
    ["BINANCE:BTCUSDT", "BINANCE:ETHUSDT"]
        .iter()
        .for_each(|symbol| market.subscribe(&(*symbol).into(), START));
    let (mut now, mut frames) = (START, Vec::new());
    while now < START + 600_000 {
        match market.next(now) {
            Next::Frame(trades) => frames.push(trades),
            Next::Wait(until) => now = until,
            Next::End => panic!("the market never ends"),
        }
    }
    let share = |what: fn(&Vec<Trade>) -> bool| {
        frames.iter().filter(|f| what(f)).count() as f64 / frames.len() as f64
    };
    let (full, mixed) = (share(|f| f.len() == 10), share(|f| f.iter().any(|t| t.symbol != f[0].symbol)));
    let split = frames
        .windows(2)
        .filter(|pair| pair[0].last().map(|t| t.time_ms) == Some(pair[1][0].time_ms))
        .count();
    println!("{} frames, {full} full, {mixed} mixed, {split} milliseconds split", frames.len());
    assert!(
        (0.28..1.0).contains(&full),
        "8 of 29 real frames were full, and they had one symbol each: {full}"
    );
    assert!((0.1..0.9).contains(&mixed), "{mixed}");
    assert!(split > frames.len() / 10, "one millisecond regularly spans frames: {split} of {}", frames.len());
}

#[test]
fn stocks_have_conditions_whole_volumes_and_four_decimals() {
    let open = START + 16 * 3_600_000;
    let trades = session(1, &["AAPL".to_owned()], open, open + 1_800_000, 1.0);
    assert!(trades.len() > 3000, "{} trades in half an hour", trades.len());
    assert!(trades.iter().all(|s| !s.trade.volume.contains('.')));
    let decimals = |s: &Scheduled| s.trade.price.split_once('.').map_or(0, |(_, d)| d.len());
    assert!(trades.iter().any(|s| decimals(s) == 4) && trades.iter().all(|s| decimals(s) <= 4));
    let conditions: HashSet<String> = trades
        .iter()
        .filter(|s| &*s.trade.volume != "0")
        .map(|s| format!("{:?}", s.trade.conditions))
        .collect();
    assert_eq!(conditions.len(), 5, "{conditions:?}");
}

#[test]
fn there_are_price_updates_and_whole_prices() {
    let trades = generated(1, "BINANCE:BTCUSDT", 120);
    let updates = trades.iter().filter(|s| &*s.trade.volume == "0").count();
    assert!((20..trades.len() / 500).contains(&updates), "{updates} of {}", trades.len());
    assert!(trades.iter().any(|s| !s.trade.price.contains('.')));
    assert!(trades.iter().all(|s| !s.trade.price.ends_with('0') || !s.trade.price.contains('.')));
    let forex = generated(1, "OANDA:EUR_USD", 10);
    assert!(!forex.is_empty() && forex.iter().all(|s| &*s.trade.volume == "0"));
}

#[test]
fn the_seed_decides() {
    assert_eq!(generated(1, "BINANCE:BTCUSDT", 1), generated(1, "BINANCE:BTCUSDT", 1));
    assert_ne!(generated(1, "BINANCE:BTCUSDT", 1), generated(2, "BINANCE:BTCUSDT", 1));
}
