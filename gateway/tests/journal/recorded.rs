//! The recorded trades of both symbols, in messages as the feed sends them.

use std::io::Read as _;
use std::path::PathBuf;

use tickberry_wire::{Decimal, Symbol, Trade};

/// A message: when it was received, ms since 1970, and its trades.
pub(crate) type Message = (i64, Vec<Trade>);

/// So many trades a message, in the order they were received in; `None`, said aloud, without the recording.
pub(crate) fn messages(per_message: usize) -> Option<Vec<Message>> {
    let mut all = Vec::new();
    for (file, symbol) in [("btcusdt", "BINANCE:BTCUSDT"), ("ethusdt", "BINANCE:ETHUSDT")] {
        let symbol = Symbol::new(symbol).unwrap();
        let text = text(&format!("binance_spot_{file}_20240808_trades.csv.gz"))?;
        all.extend(text.lines().skip(1).map(|line| recorded(&symbol, line)));
    }
    all.sort_by_key(|&(received_ns, _)| received_ns);
    let message = |trades: &[(i64, Trade)]| {
        let received_ns = trades.last().expect("chunks are not empty").0;
        (received_ns / 1_000_000, trades.iter().map(|(_, trade)| trade.clone()).collect())
    };
    Some(all.chunks(per_message).map(message).collect())
}

fn text(name: &str) -> Option<String> {
    let folder = std::env::var_os("TB_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")),
        PathBuf::from,
    );
    let path = folder.join(name);
    let Ok(file) = std::fs::File::open(&path) else {
        eprintln!("SKIPPED: there is no {}; TB_DATA names its folder", path.display());
        return None;
    };
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("the recording is readable text");
    Some(text)
}

fn recorded(symbol: &Symbol, line: &str) -> (i64, Trade) {
    let fields: Vec<&str> = line.split(',').collect();
    let integer = |at: usize| fields[at].parse::<i64>().expect("a recorded integer");
    // As the feed writes them, without the zeros behind.
    let number = |at: usize| Decimal::parse(fields[at]).expect("a recorded number").normalized();
    let trade = Trade {
        symbol: symbol.clone(),
        time_ms: integer(2),
        price: number(4),
        volume: number(5),
        conditions: None,
    };
    (integer(0), trade)
}
