//! The trades that are measured: recorded ones where they are there, else made up in their shape.

use std::io::Read as _;
use std::path::PathBuf;

use tickberry_wire::{Decimal, Symbol, Trade};

/// The symbol of all trades here.
pub const SYMBOL: &str = "BINANCE:BTCUSDT";

/// Recorded trades, or, said aloud, made-up ones.
pub fn load() -> Vec<Trade> {
    let folder = std::env::var_os("TICKBERRY_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")),
        PathBuf::from,
    );
    let path = folder.join("binance_spot_btcusdt_20240808_trades.csv.gz");
    match std::fs::File::open(&path).map(flate2::read::GzDecoder::new) {
        Ok(mut file) => {
            let mut text = String::new();
            file.read_to_string(&mut text).expect("the recording is readable text");
            println!("trades: recorded BTCUSDT");
            text.lines().skip(1).map(recorded).collect()
        }
        Err(error) => {
            println!(
                "trades: MADE UP, for there is no {} ({error}); TICKBERRY_DATA names its folder",
                path.display()
            );
            (0..9757).map(made_up).collect()
        }
    }
}

fn trade(time_ms: i64, price: Decimal, volume: Decimal) -> Trade {
    let symbol = Symbol::new(SYMBOL).expect("a symbol");
    Trade { symbol, time_ms, price: price.normalized(), volume: volume.normalized(), conditions: None }
}

fn recorded(line: &str) -> Trade {
    let fields: Vec<&str> = line.split(',').collect();
    let number = |at: usize| Decimal::parse(fields[at]).expect("a recorded number");
    trade(fields[2].parse().expect("a recorded time"), number(4), number(5))
}

/// Two thirds share their millisecond and price with the one before, as recorded ones do.
fn made_up(at: i64) -> Trade {
    let noise = (at / 3).wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as i64) as u64;
    let price = 6_183_763 + (noise >> 54) as i64;
    let volume = 1 + (noise >> 40 & 0x3fff) as i64;
    let number = |mantissa, scale| Decimal::new(mantissa, scale).expect("within a decimal's limits");
    trade(1_723_161_255_342 + at / 3 * 106, number(price, 2), number(volume, 5))
}
