//! The recorded Binance trades, where they are there.

use super::trade::Sent;
use crate::skipped;
use anyhow::{Context, Result, ensure};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Both symbols' files.
pub const FILES: [&str; 2] =
    ["binance_spot_btcusdt_20240808_trades.csv.gz", "binance_spot_ethusdt_20240808_trades.csv.gz"];
/// How many trades they hold together.
pub const TRADES: usize = 15_863;
/// The columns of a recording.
pub const HEADER: &str = "recv_ns,event_ms,trade_ms,symbol,price,qty,trade_id,buyer_maker,x";

/// The paths of both files; None, with a line that says so, where the data is not there.
pub fn files() -> Option<Vec<PathBuf>> {
    let folder = std::env::var_os("TB_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let paths: Vec<PathBuf> = FILES.iter().map(|name| folder.join(name)).collect();
    if paths.iter().all(|path| path.is_file()) {
        return Some(paths);
    }
    skipped(&format!("no recorded trades in {}; TB_DATA names their folder", folder.display()));
    None
}

/// The trades of one recording, in its order.
pub fn read(path: &Path) -> Result<Vec<Sent>> {
    let file = std::fs::File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(file)
        .read_to_string(&mut text)
        .with_context(|| format!("unpacking {}", path.display()))?;
    let mut lines = text.lines();
    ensure!(lines.next() == Some(HEADER), "{}: not the columns of a recording", path.display());
    lines.map(|line| row(line).with_context(|| format!("{}: {line:?}", path.display()))).collect()
}

fn row(line: &str) -> Result<Sent> {
    let fields: Vec<&str> = line.split(',').collect();
    ensure!(fields.len() == 9, "{} fields, expected 9", fields.len());
    Ok(Sent {
        symbol: format!("BINANCE:{}", fields[3]),
        time_ms: fields[2].parse()?,
        price: fields[4].to_owned(),
        volume: fields[5].to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::{in_arrival_order, minutes};

    /// Trades a minute as counted by hand from the files (23:54 … 00:00).
    #[test]
    fn recorded_trades_fall_into_the_known_minutes() {
        let Some(files) = files() else { return };
        let known: [&[i64]; 2] =
            [&[875, 1255, 1011, 2069, 3216, 1312, 19], &[728, 1029, 899, 764, 1275, 1403, 8]];
        let mut total = 0;
        for (file, known) in files.iter().zip(known) {
            let sent = read(file).unwrap();
            total += sent.len();
            let counts: Vec<i64> =
                minutes(&in_arrival_order(&sent).unwrap()).values().map(|w| w.trade_count).collect();
            assert_eq!(counts, known, "{}", file.display());
        }
        assert_eq!(total, TRADES);
    }
}
