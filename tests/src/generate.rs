//! Generated trades of the measured shape, for machines without the recordings and for seeded tests.

use crate::oracle::{Sent, recorded::HEADER};
use anyhow::Result;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::io::Write;
use std::path::Path;

/// 2024-08-08 23:54:15 UTC: like the recordings, a run over midnight.
pub const START_MS: i64 = 1_723_161_255_342;
/// The default symbols of the gateway.
pub const SYMBOLS: [&str; 2] = ["BINANCE:BTCUSDT", "BINANCE:ETHUSDT"];

/// `count` trades in time order: bursts that share a millisecond, equal neighbours, both symbols mixed,
/// two thirds of them in a shared millisecond; about 45 a second, so 15,000 are five minutes.
pub fn trades(seed: u64, start_ms: i64, count: usize) -> Vec<Sent> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut cents = [6_183_763i64, 268_412];
    let mut time_ms = start_ms;
    let mut sent: Vec<Sent> = Vec::with_capacity(count);
    while sent.len() < count {
        let burst = if rng.random_bool(0.004) { rng.random_range(100..400) } else { rng.random_range(1..7) };
        let which = usize::from(rng.random_bool(0.4));
        for _ in 0..burst.min(count - sent.len()) {
            let twin = sent.last().filter(|t| t.symbol == SYMBOLS[which] && t.time_ms == time_ms).cloned();
            if let Some(twin) = twin.filter(|_| rng.random_bool(0.2)) {
                sent.push(twin);
                continue;
            }
            if rng.random_bool(0.4) {
                cents[which] += rng.random_range(-60..=60);
            }
            let places = if which == 0 { 5 } else { 4 };
            let lots: u64 =
                if rng.random_bool(0.9) { rng.random_range(1..20_000) } else { rng.random_range(1..500_000) };
            sent.push(Sent {
                symbol: SYMBOLS[which].to_owned(),
                time_ms,
                price: scaled(cents[which] as u64, 2),
                volume: scaled(lots, places),
            });
        }
        time_ms +=
            if rng.random_bool(0.01) { rng.random_range(200..2_000) } else { rng.random_range(1..180) };
    }
    sent
}

fn scaled(number: u64, places: u32) -> String {
    let unit = 10u64.pow(places);
    format!("{}.{:0width$}", number / unit, number % unit, width = places as usize)
}

/// Writes the trades of one symbol as a recording, the columns of the real ones.
pub fn record(path: &Path, symbol: &str, trades: &[Sent]) -> Result<()> {
    let short = symbol.strip_prefix("BINANCE:").unwrap_or(symbol);
    let mut file = flate2::write::GzEncoder::new(std::fs::File::create(path)?, flate2::Compression::fast());
    writeln!(file, "{HEADER}")?;
    for (id, trade) in trades.iter().filter(|t| t.symbol == symbol).enumerate() {
        let t = trade.time_ms;
        writeln!(file, "{}000000,{t},{t},{short},{},{},{},1,", t - 1270, trade.price, trade.volume, id + 1)?;
    }
    file.finish()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_shape_is_about_that_of_the_recordings() {
        let all = trades(7, START_MS, 15_000);
        let times: Vec<i64> = all.iter().map(|t| t.time_ms).collect();
        let shared = (0..times.len())
            .filter(|&i| (i > 0 && times[i - 1] == times[i]) || times.get(i + 1) == Some(&times[i]))
            .count();
        let distinct: HashSet<_> = all.iter().map(|t| (&t.symbol, t.time_ms, &t.price, &t.volume)).collect();
        let span_s = (times[times.len() - 1] - times[0]) / 1000;
        assert!(shared * 10 > all.len() * 6, "{shared} share a millisecond");
        assert!(all.len() - distinct.len() > all.len() / 20, "{} equal trades", all.len() - distinct.len());
        assert!((240..900).contains(&span_s), "{span_s} s");
    }

    #[test]
    fn a_recording_reads_back_as_written() {
        let all = trades(8, START_MS, 500);
        let path = std::env::temp_dir().join(format!("tickberry-recording-{}.csv.gz", std::process::id()));
        record(&path, SYMBOLS[1], &all).unwrap();
        let back = crate::oracle::recorded::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let want: Vec<Sent> = all.into_iter().filter(|t| t.symbol == SYMBOLS[1]).collect();
        assert_eq!(back, want);
    }
}
