//! The codec on recorded trades. Skips, and says so, where the recordings are not there.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::io::Read as _;
use std::path::PathBuf;

use tickberry_wire::{Batch, Body, Decimal, Epoch, Symbol, Trade, decode, encode};
/// Where the recordings lie: `TB_DATA`, else beside the project.
fn data(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("TB_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")),
        PathBuf::from,
    );
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: {} is not there; set TB_DATA to the folder of the recordings", path.display());
    None
}
/// Trades with the time each was received.
fn recorded(name: &str, symbol: &str) -> Option<Vec<(i64, Trade)>> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(data(name)?).unwrap())
        .read_to_string(&mut text)
        .unwrap();
    let symbol = Symbol::new(symbol).unwrap();
    let number = |text: &str| Decimal::parse(text).unwrap().normalized();
    let trades = text.lines().skip(1).map(|line| {
        let fields: Vec<&str> = line.split(',').collect();
        let trade = Trade {
            symbol: symbol.clone(),
            time_ms: fields[2].parse().unwrap(),
            price: number(fields[4]),
            volume: number(fields[5]),
            conditions: None,
        };
        (fields[0].parse::<i64>().unwrap() / 1_000_000, trade)
    });
    Some(trades.collect())
}
/// Bytes a trade with everything in the payload counted: version, epoch, offset, clock, symbol, checksum. The offsets
/// and the clock are those of a journal that has run for weeks, so that each takes its usual four bytes.
fn bytes_a_trade(trades: &[(i64, Trade)], per_message: usize) -> f64 {
    let epoch = Epoch::new(1_721_000_000, 0x9_3c5a);
    let (mut offset, mut committed, mut flushed_ms, mut total) = (60_000_000, 60_000_000, 0, 0);
    for frame in trades.chunks(per_message) {
        let received_ms = frame[frame.len() - 1].0;
        if received_ms >= flushed_ms + 1000 {
            (committed, flushed_ms) = (offset, received_ms);
        }
        let batch = Batch {
            epoch,
            first_offset: offset,
            committed,
            elapsed_ms: u64::try_from(received_ms - epoch.origin_ms()).unwrap(),
            anchor_ms: Some(epoch.origin_ms()),
            body: Body::Trades(frame.iter().map(|(_, trade)| trade.clone()).collect()),
        };
        let mut bytes = Vec::new();
        encode(&batch, &mut bytes).unwrap();
        assert_eq!(decode(&bytes), Ok(batch));
        offset += frame.len() as u64;
        total += bytes.len();
    }
    total as f64 / trades.len() as f64
}
#[test]
fn ten_trades_a_message_take_at_most_six_bytes_each() {
    for (name, symbol, at_most) in [
        ("binance_spot_btcusdt_20240808_trades.csv.gz", "BINANCE:BTCUSDT", 6.0),
        ("binance_spot_ethusdt_20240808_trades.csv.gz", "BINANCE:ETHUSDT", 6.0),
    ] {
        let Some(trades) = recorded(name, symbol) else { return };
        let sizes = [1, 4, 10, 16, 64, 256].map(|count| (count, bytes_a_trade(&trades, count)));
        println!("{symbol}: {sizes:.2?} bytes a trade by trades a message");
        assert!(sizes[2].1 <= at_most, "{symbol}: {sizes:?}");
    }
}
