//! The trades that are measured: recorded ones where they are there, else made up in their shape.

use std::io::Read as _;
use std::path::PathBuf;

use tickberry_wire::{Decimal, Symbol, Trade};

/// The symbol of the trades that are made up.
pub const SYMBOL: &str = "BINANCE:BTCUSDT";

/// The recorded BTC trades, or, said aloud, made-up ones.
pub fn load() -> Vec<Trade> {
    received(&[("btcusdt", SYMBOL)]).into_iter().map(|(_, trade)| trade).collect()
}

/// The recorded trades of BTC and ETH in the order they were received in, each with that time (ms since 1970); or,
/// said aloud, made-up ones.
pub fn load_both() -> Vec<(i64, Trade)> {
    received(&[("btcusdt", SYMBOL), ("ethusdt", "BINANCE:ETHUSDT")])
}

fn received(files: &[(&str, &str)]) -> Vec<(i64, Trade)> {
    let folder = std::env::var_os("TB_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")),
        PathBuf::from,
    );
    let mut all = Vec::new();
    for (file, symbol) in files {
        let path = folder.join(format!("binance_spot_{file}_20240808_trades.csv.gz"));
        match std::fs::File::open(&path).map(flate2::read::GzDecoder::new) {
            Ok(mut file) => {
                let mut text = String::new();
                file.read_to_string(&mut text).expect("the recording is readable text");
                println!("trades: recorded {symbol}");
                all.extend(text.lines().skip(1).map(|line| recorded(symbol, line)));
            }
            Err(error) => {
                println!(
                    "trades: MADE UP, for there is no {} ({error}); TB_DATA names its folder",
                    path.display()
                );
                return (0..9757).map(made_up).map(|trade| (trade.time_ms, trade)).collect();
            }
        }
    }
    all.sort_by_key(|&(received_ns, _)| received_ns);
    all.into_iter().map(|(received_ns, trade)| (received_ns / 1_000_000, trade)).collect()
}

fn trade(symbol: &str, time_ms: i64, price: Decimal, volume: Decimal) -> Trade {
    let symbol = Symbol::new(symbol).expect("a symbol");
    Trade { symbol, time_ms, price: price.normalized(), volume: volume.normalized(), conditions: None }
}

fn recorded(symbol: &str, line: &str) -> (i64, Trade) {
    let fields: Vec<&str> = line.split(',').collect();
    let number = |at: usize| Decimal::parse(fields[at]).expect("a recorded number");
    let time = |at: usize| fields[at].parse().expect("a recorded time");
    (time(0), trade(symbol, time(2), number(4), number(5)))
}

/// Two thirds share their millisecond and price with the one before, as recorded ones do.
fn made_up(at: i64) -> Trade {
    let noise = (at / 3).wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as i64) as u64;
    let price = 6_183_763 + (noise >> 54) as i64;
    let volume = 1 + (noise >> 40 & 0x3fff) as i64;
    let number = |mantissa, scale| Decimal::new(mantissa, scale).expect("within a decimal's limits");
    trade(SYMBOL, 1_723_161_255_342 + at / 3 * 106, number(price, 2), number(volume, 5))
}
